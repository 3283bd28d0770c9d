"""The numbers and bullets of lists, counted as Word counts them (ECMA-376 part 1, 17.9)."""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs
from lxml import etree

from dougong_loader_docx.package import W

# What bullets in Word's symbol fonts look like; others of their private characters are shown as a plain bullet.
_BULLETS = {"\uf0a7": "▪", "\uf0d8": "➢", "\uf0fc": "✓", "\uf076": "❖", "\uf0e0": "→", "\uf0a8": "◻", "o": "◦"}


@attrs.define
class _Level:
    start: int = 1
    format: str = "decimal"
    text: str = ""
    restart: int | None = None
    legal: bool = False


class Numbering:
    """Counts list paragraphs in the order of the document."""

    def __init__(self, root: etree._Element | None) -> None:
        self._levels: dict[str, dict[int, _Level]] = {}  # of each num
        self._abstract: dict[str, str] = {}
        self._starts: dict[tuple[str, int], int] = {}  # where a num starts a level anew
        self._counts: dict[str, dict[int, int]] = {}  # of each abstractNum
        if root is None:
            return
        abstract = {part.get(W + "abstractNumId", ""): part for part in root.iterfind(W + "abstractNum")}
        styled = {_value(part, "styleLink"): part for part in abstract.values() if _value(part, "styleLink")}
        for num in root.iterfind(W + "num"):
            name = num.get(W + "numId", "")
            part = abstract.get(_value(num, "abstractNumId"))
            if part is not None and (link := _value(part, "numStyleLink")):
                part = styled.get(link, part)
            if part is None:
                continue
            self._abstract[name] = part.get(W + "abstractNumId", "")
            self._levels[name] = {_number(e.get(W + "ilvl")): _level(e) for e in part.iterfind(W + "lvl")}
            for override in num.iterfind(W + "lvlOverride"):
                level = _number(override.get(W + "ilvl"))
                if (anew := override.find(W + "startOverride")) is not None:
                    self._starts[name, level] = _number(anew.get(W + "val"), 1)
                if (other := override.find(W + "lvl")) is not None:
                    self._levels[name][level] = _level(other)

    def list_of(self, num: str) -> str | None:
        """What list a num belongs to; None if there is no such num."""
        return self._abstract.get(num)

    def marker(self, num: str, level: int) -> str:
        """The marker of the next paragraph of a list, without the white space behind it."""
        levels = self._levels.get(num, {})
        here = levels.get(level)
        if here is None:
            return ""
        counts = self._counts.setdefault(self._abstract[num], {})
        for upper in range(level):  # a level that was skipped counts as one
            counts.setdefault(upper, levels[upper].start if upper in levels else 1)
        start = self._starts.pop((num, level), None)
        if start is not None:
            counts[level] = start
        else:
            counts[level] = counts[level] + 1 if level in counts else here.start
        for deeper in [n for n in counts if n > level]:
            restart = levels[deeper].restart if deeper in levels else None
            if restart is None or (restart and level < restart):
                del counts[deeper]
        if here.format == "bullet":
            text = here.text.strip()
            return _BULLETS.get(text, "•" if not text or "\ue000" <= text[0] <= "\uf8ff" else text)

        def shown(match: re.Match[str]) -> str:
            other = int(match[1]) - 1
            level = levels.get(other, here)
            count = counts.get(other, level.start)
            return numeral(count, "decimal" if here.legal and level.format != "none" else level.format)

        return re.sub(r"%([1-9])", shown, here.text).strip()


def _level(element: etree._Element) -> _Level:
    restart = _value(element, "lvlRestart")
    legal = element.find(W + "isLgl")
    return _Level(
        _number(_value(element, "start"), 1),
        _value(element, "numFmt") or "decimal",
        _value(element, "lvlText"),
        _number(restart) if restart else None,
        legal is not None and legal.get(W + "val") not in ("0", "false"),
    )


def _value(element: etree._Element, name: str) -> str:
    child = element.find(W + name)
    return "" if child is None else child.get(W + "val", "")


def _number(text: str | None, otherwise: int = 0) -> int:
    return int(text) if text and re.fullmatch(r"-?\d{1,9}", text) else otherwise


def numeral(number: int, format: str) -> str:
    """A number in one of Word's formats (17.18.59); those not known are written as digits."""
    if format in ("none", "bullet"):
        return ""
    if number <= 0 or format not in _FORMATS:
        return f"{number:02}" if format == "decimalZero" else str(number)
    return _FORMATS[format](number)


def _letters(number: int) -> str:
    """a to z, then aa to zz: Word repeats the letter."""
    return chr(97 + (number - 1) % 26) * min((number - 1) // 26 + 1, 99)


_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x")),
    *((9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)


def _roman(number: int) -> str:
    if number > 3999:
        return str(number)
    text = ""
    for value, sign in _ROMAN:
        text += sign * (number // value)
        number %= value
    return text


def _chinese(digits: str, units: tuple[str, ...]) -> Callable[[int], str]:
    """Numbers as they are read in Chinese: 十一, 二十, 一百零一."""

    def write(number: int) -> str:
        if number > 9999:
            return str(number)
        text, gap = "", False
        for place in (3, 2, 1, 0):
            digit = number // 10**place % 10
            if digit:
                text += (digits[0] if gap and text else "") + digits[digit] + units[place]
            gap = not digit
        return text.removeprefix("一") if text.startswith("一十") else text

    return write


def _from(first: str, last: int) -> Callable[[int], str]:
    """Consecutive characters of Unicode, as far as they go."""
    return lambda number: chr(ord(first) + number - 1) if number <= last else str(number)


def _cycle(signs: str) -> Callable[[int], str]:
    return lambda number: signs[(number - 1) % len(signs)]


def _ordinal(number: int) -> str:
    return f"{number}{'th' if 10 <= number % 100 <= 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _circle(number: int) -> str:
    for first, low, high in (("①", 1, 20), ("㉑", 21, 35), ("㊱", 36, 50)):
        if low <= number <= high:
            return chr(ord(first) + number - low)
    return str(number)


_COUNTING = _chinese("零一二三四五六七八九", ("", "十", "百", "千"))
_FORMATS: dict[str, Callable[[int], str]] = {
    "decimalZero": lambda number: f"{number:02}",
    "lowerLetter": _letters,
    "upperLetter": lambda number: _letters(number).upper(),
    "lowerRoman": _roman,
    "upperRoman": lambda number: _roman(number).upper(),
    "ordinal": _ordinal,
    "hex": lambda number: f"{number:X}",
    "numberInDash": lambda number: f"- {number} -",
    "decimalEnclosedCircle": _circle,
    "decimalEnclosedCircleChinese": _circle,
    "decimalEnclosedParen": _from("⑴", 20),
    "decimalEnclosedFullstop": _from("⒈", 20),
    "decimalFullWidth": lambda number: "".join(chr(ord(digit) + 0xFEE0) for digit in str(number)),
    "chineseCounting": _COUNTING,
    "chineseCountingThousand": _COUNTING,
    "taiwaneseCounting": _COUNTING,
    "taiwaneseCountingThousand": _COUNTING,
    "japaneseCounting": _COUNTING,
    "chineseLegalSimplified": _chinese("零壹贰叁肆伍陆柒捌玖", ("", "拾", "佰", "仟")),
    "ideographLegalTraditional": _chinese("零壹貳參肆伍陸柒捌玖", ("", "拾", "佰", "仟")),
    "ideographDigital": lambda number: "".join("〇一二三四五六七八九"[int(digit)] for digit in str(number)),
    "ideographTraditional": _cycle("甲乙丙丁戊己庚辛壬癸"),
    "ideographZodiac": _cycle("子丑寅卯辰巳午未申酉戌亥"),
}
