"""Offsets of words and marks, found by array operations over the code points."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import regex
from dougong_analyzer import simplified, words
from dougong_analyzer.scripts import UNSPACED
from dougong_analyzer.segmentation import jieba

if TYPE_CHECKING:
    from dougong_tokenizer_words import Params

# Classes of code points. OTHER has rules of its own (combining marks, kana, Hangul, Thai...): the analyzer reads it.
SPACE, MARK, APOSTROPHE, POINT, COMMA, NUMBER, DIGIT, LETTER, HAN, OTHER = range(10)
_PLANES = 0x20000  # code points from here on are OTHER


class Words:
    """Tokens are the words of `dougong_analyzer.words` and, one by one, the other characters that are not white space.

    "Don't pay $3.50!" has five tokens: ``Don't pay $ 3.50 !``. Hyphens and underscores are tokens. Chinese is cut into
    dictionary words.
    """

    def __init__(self, params: Params) -> None:
        pass

    def offsets(self, text: str) -> np.ndarray:
        """Offsets ``[start, end)`` of the tokens, ascending: int32 ``(n, 2)``."""
        starts, ends = _edges(text)
        return np.stack([np.flatnonzero(starts), np.flatnonzero(ends) + 1], axis=1).astype(np.int32)

    def count(self, text: str) -> int:
        """How many tokens `text` has."""
        return int(np.count_nonzero(_edges(text)[0]))


def _edges(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Whether a token starts and whether one ends with each character: bool ``(len(text),)`` twice."""
    classes = np.full(len(text) + 2, SPACE, np.uint8)  # white space on both sides: no special case at the edges
    if text.isascii():
        classes[1:-1] = np.frombuffer(text.encode().translate(_ascii_classes()), np.uint8)
    else:
        classes[1:-1] = _classes()[np.minimum(_codes(text), _PLANES)]
    before, here, after = classes[:-2], classes[1:-1], classes[2:]
    word = np.zeros(len(classes), bool)
    word[1:-1] = (here >= NUMBER) & (here <= LETTER)
    # An apostrophe between letters, a point between digits and a comma before three of them are inside the word.
    word[1:-1] |= (here == APOSTROPHE) & (before == LETTER) & ((after == LETTER) | (after == HAN))
    word[1:-1] |= (here == POINT) & (before == DIGIT) & (after == DIGIT)
    if (here == COMMA).any():
        digit = np.append(classes == DIGIT, [False] * 3)
        three = digit[2:-3] & digit[3:-2] & digit[4:-1] & ~digit[5:]
        word[1:-1] |= (here == COMMA) & (before == DIGIT) & three
    inside = word[1:-1]
    alone = (here != SPACE) & ~inside
    starts = alone | (inside & ~word[:-2])
    ends = alone | (inside & ~word[2:])
    if not text.isascii():
        if (here == HAN).any():
            _cut_chinese(text, here == HAN, starts, ends)
        if (here == OTHER).any():
            _cut_others(text, here, starts, ends)
    return starts, ends


def _cut_chinese(text: str, han: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
    """Cut the runs of Chinese into words, all in one call: joined by spaces, over which no word reaches."""
    chosen = han.copy()
    chosen[1:] |= han[:-1]
    places = np.flatnonzero(chosen)
    codes = np.where(han[places], _codes(text)[places], np.uint32(ord(" ")))
    joined = _simplified()[codes].tobytes().decode("utf-32-le")
    last = np.cumsum(np.fromiter(map(len, jieba().cut(joined)), np.intp)) - 1
    first_of, last_of = np.zeros(len(places), bool), np.zeros(len(places), bool)
    first_of[0] = True
    first_of[last[:-1] + 1] = True
    last_of[last] = True
    runs = han[places]
    starts[places[runs]], ends[places[runs]] = first_of[runs], last_of[runs]


def _cut_others(text: str, classes: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
    """Let the analyzer cut the stretches, between white space and marks, that hold a script with rules of its own."""
    edges = np.concatenate([[-1], np.flatnonzero(classes <= MARK), [len(text)]])
    for stretch in np.unique(np.searchsorted(edges, np.flatnonzero(classes == OTHER))):
        first, last = int(edges[stretch - 1]) + 1, int(edges[stretch])
        starts[first:last], ends[first:last] = True, True
        for start, end in words(text[first:last]):
            starts[first + start + 1 : first + end] = False
            ends[first + start : first + end - 1] = False


def _codes(text: str) -> np.ndarray:
    """Code points of `text`: uint32."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


@cache
def _simplified() -> np.ndarray:
    """The simplified form of each code point below `_PLANES`: uint32."""
    return _codes(simplified("".join(map(chr, range(_PLANES)))))


@cache
def _classes() -> np.ndarray:
    """Class of each code point below `_PLANES`, and of all others in the last place: uint8."""
    table = np.full(_PLANES + 1, MARK, np.uint8)
    characters = "".join(map(chr, range(_PLANES)))
    for members, value in (
        (rf"\p{{L}}\p{{M}}{UNSPACED}", OTHER),
        (rf"\p{{N}}--[{UNSPACED}]", NUMBER),
        (rf"\p{{Nd}}--[{UNSPACED}]", DIGIT),
        (rf"\p{{L}}--[{UNSPACED}]", LETTER),
        (r"\p{Han}&&\p{L}", HAN),
    ):
        for run in regex.finditer(f"[{members}]+", characters, regex.V1):
            table[run.start() : run.end()] = value
    table[[match.start() for match in re.finditer(r"\s", characters)]] = SPACE
    table[[ord("'"), ord("’")]] = APOSTROPHE
    table[ord(".")], table[ord(",")] = POINT, COMMA
    table[_PLANES] = OTHER
    return table


@cache
def _ascii_classes() -> bytes:
    return _classes()[:256].tobytes()
