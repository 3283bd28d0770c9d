"""Numbers, dates and units, read and compared by rule: whether two sentences give figures that cannot both hold.

A model is not asked: it takes 1,103 and 1130 for the same more often than not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

import attrs
from dougong_analyzer import sentences, simplified, terms

_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_TENS = {"十": 10, "百": 100, "千": 1000}
_SCALES = {"万": 1e4, "亿": 1e8, "hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_TENTHS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {word: i for i, word in enumerate(_SMALL.split())} | {
    word: 10 * i for i, word in enumerate(_TENTHS.split(), 2)
}
# Spellings of a unit: what it measures, and how many base units it is.
_UNITS: dict[str, dict[str, float]] = {
    "length": {
        "mm|millimet(?:er|re)s?|毫米": 0.001, "cm|centimet(?:er|re)s?|厘米|公分": 0.01,
        "km|kilomet(?:er|re)s?|公里|千米": 1000, "m|met(?:er|re)s?|米|公尺": 1, "miles?|英里": 1609.344,
        "ft|feet|foot|英尺": 0.3048, "inch(?:es)?|英寸": 0.0254,
    },
    "mass": {"kg|kilograms?|公斤|千克": 1, "g|grams?|克": 0.001, "tons?|tonnes?|吨": 1000, "lbs?|pounds?|磅": 0.45359},
    "duration": {
        "seconds?|秒": 1, "minutes?|分钟": 60, "hours?|个?小时": 3600, "days?|天|日": 86400,
        "weeks?|周|个?星期": 604800, "个月|months?": 2629800, "years?|年": 31557600,
    },
    "percent": {"%|per ?cent|％": 1},
    "USD": {r"dollars?|美元": 1}, "CNY": {"yuan|RMB|元|人民币": 1}, "EUR": {"euros?|欧元": 1},
}  # fmt: skip
_UNIT = [
    (re.compile(rf"\s?-?(?:{spelling})(?![a-z])", re.I), kind, size)
    for kind, table in _UNITS.items()
    for spelling, size in table.items()
]
_MONTH_NAMES = "january february march april may june july august september october november december"
_MONTHS = _MONTH_NAMES.split()
_MONTH = "|".join(f"{name[:3]}(?:{name[3:]})?" for name in _MONTHS)
_HAN = "[零〇一二三四五六七八九十百千两]+"
_DATE = re.compile(
    rf"(?P<y1>\d{{3,4}})年(?:(?P<m1>\d{{1,2}})月)?(?:(?P<d1>\d{{1,2}})[日号])?"
    r"|(?P<y2>\d{4})-(?P<m2>\d{2})-(?P<d2>\d{2})"
    rf"|\b(?P<m3>{_MONTH})\.? (?:(?P<d3>\d{{1,2}})(?:st|nd|rd|th)?,? )?(?P<y3>\d{{4}})\b"
    rf"|\b(?P<d4>\d{{1,2}})(?:st|nd|rd|th)? (?P<m4>{_MONTH})\.?,? (?P<y4>\d{{4}})\b"
    r"|\b(?:in|since|by|from|until|of|year|AD) (?P<y5>\d{3,4})(?!\d|,\d|\.\d)"
    r"(?! ?%| (?!was|his|its)[a-z]+s\b| ?[ckm]?[mg]\b)"
    r"|(?<![\d.,$])(?P<y6>1\d{3}|20\d{2})(?!\d|[.,]\d|\s?%|s\b)",
    re.I,
)
_NUMBER = re.compile(
    r"(?P<money>[$€¥]\s?)?(?:(?<![A-Za-z\d.])(?P<plain>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
    rf"|(?P<han>{_HAN}(?:点[零一二三四五六七八九]+)?)"
    rf"|\b(?P<tens>{_TENTHS.replace(' ', '|')})(?:[- ](?P<ones>{'|'.join(_SMALL.split()[1:10])}))?\b"
    rf"|\b(?P<word>{'|'.join(_SMALL.split()[:1:-1])})\b)"
    r"(?P<scale>(?: ?(?:hundred|thousand|million|billion|trillion)\b| ?[百千]?[万亿])*)",
    re.I,
)
_HEDGE = re.compile(r"(?:about|around|nearly|almost|roughly|some|over|approximately|约|大约|近|将近|超过)\s?$", re.I)
_ITEM = re.compile(r"^\s*(?:\d+[.)、）]|[（(]\d+[)）])\s*(?!\d)", re.M)
_MONEY = {"$": "USD", "€": "EUR", "¥": "CNY"}


@attrs.frozen
class Figure:
    """A quantity in base units of `kind`, or a date ``(year, month, day)`` with 0 for what is not said.

    `kind`: ``length``, ``date``...; the counted noun; empty for a bare number. `slack`: how far the value may be off;
    `unit`: base units of the unit written.
    """

    text: str
    kind: str
    value: float = 0.0
    slack: float = 0.0
    date: tuple[int, int, int] = (0, 0, 0)
    unit: float = 1.0

    def agrees(self, other: Figure) -> bool:
        """Whether both may be the same quantity: rounding as written, a tenth where one says "about"."""
        if self.kind == other.kind == "date":
            return all(a == b or not a or not b for a, b in zip(self.date, other.date))
        if "date" in (self.kind, other.kind):  # 857, said elsewhere to be a year
            date, number = (self, other) if self.kind == "date" else (other, self)
            return not number.kind and number.value == date.date[0]
        converted = 0.01 if self.unit != other.unit else 1e-9  # miles told in kilometres are rounded
        return abs(self.value - other.value) <= max(self.slack, other.slack) + converted * abs(self.value)


def figures(text: str) -> list[Figure]:
    """The figures of `text`, in order: 1,103 days, 1.2 million, 三十天, 857年, 5 July 1903."""
    text = simplified(unicodedata.normalize("NFKC", text))
    found: list[tuple[int, Figure]] = []
    rest = list(text)
    for match in _DATE.finditer(text):
        named = {key[0]: value for key, value in match.groupdict().items() if value}
        month = named.get("m", "0")
        number = int(month) if month.isdigit() else [name[:3] for name in _MONTHS].index(month[:3].lower()) + 1
        date = (int(named["y"]), number, int(named.get("d", 0)))
        found.append((match.start(), Figure(match[0].strip(), "date", date=date)))
        rest[match.start() : match.end()] = " " * len(match[0])
    for match in _NUMBER.finditer(left := "".join(rest)):
        value, places = _value(match)
        scale = 1.0
        for part in re.findall(r"[a-z]+|[百千万亿]", match["scale"].lower()):
            scale *= _SCALES.get(part) or _TENS[part]
        kind, size, end = _unit(left, match.end(), match["money"])
        counts = kind in _UNITS or (kind and match["han"] != "一")
        if match["han"] and len(match["han"]) == 1 and scale == 1.0 and not counts:
            continue  # 一 of 一般, 千 of 千古, the article of 一座
        slack = 0.5 * scale * size * 10.0**-places if places or scale > 1 else 0.0
        if _HEDGE.search(left, max(0, match.start() - 16), match.start()) or left[end : end + 2] == "左右":
            slack = max(slack, 0.1 * value * scale * size)
        words = left[match.start() : end].strip()
        found.append((match.start(), Figure(words, kind, value * scale * size, slack, unit=size)))
    return [figure for _, figure in sorted(found, key=lambda pair: pair[0])]


def unsupported(claim: str, evidence: Iterable[str]) -> list[str]:
    """The figures of `claim` that no text of `evidence` has. Numbers of a list's items are none."""
    claim = _ITEM.sub(" ", claim)
    known = [figure for text in evidence for figure in figures(text)]
    return [f.text for f in figures(claim) if not any(f.agrees(k) and _same_kind(f, k) for k in known)]


def conflict(first: str, second: str) -> tuple[str, str] | None:
    """Figures of two sentences about the same that cannot both hold; None where there are none.

    About the same: at least two terms, three fifths of the shorter one's and three tenths of the longer one's are
    shared, figures aside. A kind of quantity conflicts where no figure of the one sentence agrees with any of the
    other's.
    """
    ours, theirs = figures(first), figures(second)
    if not ours or not theirs:
        return None
    a, b = _context(first, ours), _context(second, theirs)
    shared = len(a & b)
    if shared < max(2, 0.6 * min(len(a), len(b)), 0.3 * max(len(a), len(b))):
        return None
    for figure in ours:
        same = [other for other in theirs if other.kind == figure.kind]
        mine = [other for other in ours if other.kind == figure.kind]
        if figure.kind and same and not any(x.agrees(y) for x in mine for y in same):
            return figure.text, same[0].text
    return None


def sentence_conflicts(quote: str, passage: str) -> Iterable[tuple[int, int]]:
    """Offsets in `passage` of the sentences that conflict with `quote`."""
    return ((start, end) for start, end in sentences(passage) if conflict(quote, passage[start:end]))


def _value(match: re.Match[str]) -> tuple[float, int]:
    """The number, and how many decimal places it is written with."""
    if match["plain"]:
        digits = match["plain"].replace(",", "")
        return float(digits), len(digits.partition(".")[2])
    if match["tens"]:
        return float(_WORDS[match["tens"].lower()] + _WORDS[(match["ones"] or "zero").lower()]), 0
    if match["word"]:
        return float(_WORDS[match["word"].lower()]), 0
    whole, _, decimals = match["han"].partition("点")
    if not set(whole) & set(_TENS):  # 一九〇一, digit by digit
        value = float("".join(str(_DIGITS[c]) for c in whole) or 0)
    else:
        value, digit = 0.0, 0
        for c in whole:
            if c in _TENS:
                value, digit = value + (digit or 1) * _TENS[c], 0
            else:
                digit = _DIGITS[c]
        value += digit
    for place, c in enumerate(decimals, 1):
        value += _DIGITS[c] * 10.0**-place
    return value, len(decimals)


def _unit(text: str, at: int, money: str | None) -> tuple[str, float, int]:
    """Kind, size in base units, and end of what is counted at `at`."""
    if money:
        return _MONEY[money.strip()], 1.0, at
    for pattern, kind, size in _UNIT:
        if match := pattern.match(text, at):
            return kind, size, match.end()
    if match := re.compile(r" ([A-Za-z]{3,})|([座个位人名件种次本卷层根幢栋间])").match(text, at):
        noun = (terms(match[1]) or [""])[0] if match[1] else match[2]
        return noun, 1.0, match.end()
    return "", 1.0, at


def _same_kind(claim: Figure, known: Figure) -> bool:
    """A bare number of the one may be anything of the other; two kinds must be one."""
    return claim.kind == known.kind or not (claim.kind in _UNITS and known.kind in _UNITS)


def _context(text: str, found: Sequence[Figure]) -> set[str]:
    words = simplified(unicodedata.normalize("NFKC", text))
    for figure in found:
        words = words.replace(figure.text, " ")
    return set(terms(words))
