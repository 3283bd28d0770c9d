"""Where personal data stand in a text. A shape finds candidates; where there is a checksum, it decides."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date

# Digits count in full width too, as Chinese writers type them. A number is not a piece of a longer one.
_ALONE, _END = r"(?<![\d.\-])", r"(?![\d\-]|\.\d)"
_EMAIL = (
    r"(?<![A-Za-z0-9.!#$%&'*+/=?^_`{|}~\-])[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]+)*"
    r"[@＠](?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.)+(?:[A-Za-z]{2,24}|xn--[A-Za-z0-9\-]{2,59})(?![A-Za-z0-9@])"
)
_V4 = r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}"
_GAP = r"[ \u00a0\-]?"


def _identity(text: str) -> bool:
    """GB 11643-1999: a birth date that was, and the check character of ISO 7064, MOD 11-2."""
    digits = [10 if c in "xXｘＸ" else int(c) for c in text]
    year, month, day = (int("".join(map(str, digits[a:b]))) for a, b in ((6, 10), (10, 12), (12, 14)))
    try:
        born = date(year, month, day)
    except ValueError:
        return False
    total = sum(digit * pow(2, 17 - place, 11) for place, digit in enumerate(digits[:17]))
    return 1800 <= born.year <= 2100 and (12 - total) % 11 == digits[17]


def _luhn(text: str) -> bool:
    """ISO/IEC 7812-1, annex B: 13 to 19 digits whose Luhn sum ends in 0, and not all the same."""
    digits = [int(c) for c in text if c.isdecimal()]
    doubled = [d if place % 2 == 0 else d * 2 - 9 * (d > 4) for place, d in enumerate(reversed(digits))]
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and sum(doubled) % 10 == 0


def _phone(text: str) -> bool:
    return 7 <= sum(c.isdecimal() for c in text) <= 15  # ITU-T E.164


def _address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(c.isdigit() for c in text)


def _always(text: str) -> bool:
    return True


SHAPES: Mapping[str, tuple[str, str, Callable[[str], bool]]] = {
    "email": ("EMAIL", _EMAIL, _always),
    "cn-id": ("CN_ID", r"(?<![\dA-Za-z])(?![0０])\d{17}[\dxXｘＸ](?![\dA-Za-z])", _identity),
    "cn-mobile": (
        "PHONE",
        rf"(?<![\d.])(?:[+＋]?(?:86|８６){_GAP})?[1１][3-9３-９]\d{_GAP}\d{{4}}{_GAP}\d{{4}}(?!\d|\.\d)",
        _always,
    ),
    "card": ("CARD", rf"{_ALONE}(?![01０１])\d(?:{_GAP}\d){{12,18}}{_END}", _luhn),
    "phone": (
        "PHONE",
        r"(?<![\w+])\+[1-9]\d{0,2}(?:[ .\-]?\(?\d{1,4}\)?){1,6}(?!\d)"  # international
        r"|(?<![\d.\-])\(?0\d{2,3}\)?[ \-]\d{7,8}(?![\d\-]|\.\d)"  # Chinese landline
        r"|(?<![\d.\-])(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[ .\-])[2-9]\d{2}[ .\-]\d{4}(?![\d\-]|\.\d)",  # North American
        _phone,
    ),
    "ip": (
        "IP",
        rf"(?<![\w.:]){_V4}(?![\w]|\.\d)"
        rf"|(?<![\w:.])(?=[0-9A-Fa-f]{{0,4}}:[0-9A-Fa-f]*:)[0-9A-Fa-f:]{{2,39}}(?:(?<=:){_V4}|(?![\w:]|\.\d))",
        _address,
    ),
}
"""Label, shape and test of each kind, in the order in which they claim a piece of text."""


class Finder:
    """Finds the kinds and patterns that it was made for; earlier ones win where two overlap."""

    def __init__(self, kinds: Sequence[str], patterns: Mapping[str, str]) -> None:
        own = [(label, re.compile(pattern), _always) for label, pattern in patterns.items()]
        known = [(label, re.compile(shape), test) for kind, (label, shape, test) in SHAPES.items() if kind in kinds]
        self._shapes = own + known

    def replace(self, text: str, name: Callable[[str, str], str]) -> str:
        """`text` with ``name(label, value)`` in place of each value found, in order of their place."""
        found: list[tuple[int, int, str]] = []
        for label, shape, test in self._shapes:
            found += [
                (match.start(), match.end(), label)
                for match in _matches(shape, test, text)
                if match[0] and not any(start < match.end() and match.start() < end for start, end, _ in found)
            ]
        pieces, at = [], 0
        for start, end, label in sorted(found):
            pieces += [text[at:start], name(label, text[start:end])]
            at = end
        return "".join([*pieces, text[at:]])


def _matches(shape: re.Pattern[str], test: Callable[[str], bool], text: str) -> Iterator[re.Match[str]]:
    """What has the shape and passes the test. A match that fails it may be two numbers with a gap between, a card's and
    the three digits on its back: then what ends or begins at a gap inside is tried."""
    at = 0
    while match := shape.search(text, at):
        gaps = [place for place in range(match.start() + 1, match.end()) if text[place] in " \u00a0-"]
        shorter = (shape.fullmatch(text, match.start(), place) for place in reversed(gaps))
        good = match if test(match[0]) else next((found for found in shorter if found and test(found[0])), None)
        if good is not None:
            yield good
        at = good.end() + (not good[0]) if good is not None else gaps[0] + 1 if gaps else match.end()
