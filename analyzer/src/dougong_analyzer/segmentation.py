"""Words of a text with exact offsets: by Unicode's rules where words are spaced, by a dictionary in Chinese."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import regex

from dougong_analyzer.scripts import UNSPACED, simplified

# Letters, marks and digits; apostrophes between letters (don't, l’homme), the points and commas of numbers (1,000.5).
_ASCII = re.compile(
    r"[A-Za-z0-9]+(?:(?:(?<=[A-Za-z])'(?=[A-Za-z])|(?<=[0-9])(?:\.(?=[0-9])|,(?=[0-9]{3}(?![0-9]))))[A-Za-z0-9]+)*"
)
SPACED = (
    r"[\p{L}\p{N}\p{M}--[UNSPACED]](?:[\p{L}\p{N}\p{M}--[UNSPACED]]|\p{M}|(?<=\p{L}\p{M}*)['’](?=\p{L})"
    r"|(?<=\p{Nd})(?:\.(?=\p{Nd})|,(?=\p{Nd}{3}(?!\p{Nd}))))*"
).replace("UNSPACED", UNSPACED)
# The scripts' own symbols (radicals, circled kana) are no words.
_WORD = regex.compile(
    r"(?P<han>[\p{Han}--[\p{S}\p{P}]]+)|[[\p{Katakana}ー]--[\p{S}\p{P}]]+|(?:[\p{Hangul}--[\p{S}\p{P}]]\p{M}*)+"
    rf"|[[{UNSPACED}]--[\p{{S}}\p{{P}}]]\p{{M}}*|{SPACED}",
    regex.V1,
)


def words(text: str) -> list[tuple[int, int]]:
    """Offsets ``(start, end)`` of the words of `text`, ascending, not overlapping; no punctuation, no symbols.

    A word is a run of letters, marks and digits: apostrophes between letters and the point and commas of a number
    are inside it, hyphens and underscores end it. Runs of Chinese, traditional too, are cut by the dictionary and
    hidden Markov model of jieba. Katakana and Hangul runs are one word; scripts without spaces and without a
    dictionary here (Hiragana, Thai, Lao, Khmer, Burmese) give one word a character.

    Source: Unicode Standard Annex 29, word boundaries (rules 6 to 12); jieba, default mode.
    """
    if text.isascii():
        return [match.span() for match in _ASCII.finditer(text)]
    found: list[tuple[int, int]] = []
    for match in _WORD.finditer(text):
        start, end = match.span()
        if match.lastgroup is None or end - start == 1:
            found.append((start, end))
        else:
            run = simplified(match.group())
            found.extend((start + first, start + last) for _, first, last in jieba().tokenize(run))
    return found


@cache
def jieba() -> Any:
    """The segmenter; loads its dictionary on first use, which takes 0.1 s."""
    import rjieba

    return rjieba
