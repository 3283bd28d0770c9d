"""Extended grapheme clusters: what a reader takes for one character, though it may be many code points.

Almost every position of almost every text lies between two clusters. So the exceptions are kept: `joints` marks the
positions inside clusters, and is empty for plain text.

Source: Unicode Standard Annex 29, grapheme cluster boundaries, as the ``regex`` library implements them (``\\X``).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import regex

if TYPE_CHECKING:
    import numpy as np

_FLAGS = 0x1F1E6, 0x1F1FF  # the letters that flags are made of, in pairs
_BLOCK = 1 << 16  # code points looked at together: they stay in the cache
_CLUSTER = regex.compile(r"\X")
_PLANES = 0x20000  # code points from here on are taken to join; \X says whether they do


def joints(text: str) -> bytearray:
    """Which positions are inside a grapheme cluster: ``len(text) + 1`` flags, or none at all if no position is.

    Cutting `text` at position `i` cuts no cluster where ``not (flags and flags[i])``.
    """
    flags = bytearray()
    places, codes = _suspects(text)
    if not len(places):
        return flags
    flags = bytearray(len(text) + 1)
    flagged = False
    # \X counts flags' letters back to their first, again for each: so these are paired here, and no island has two.
    are_letters = (codes >= _FLAGS[0]) & (codes <= _FLAGS[1])
    for position in _odd_ones(places[are_letters]):
        flags[position] = flagged = True
    for first, last in _islands(places[~are_letters], len(text)):
        for cluster in _CLUSTER.finditer(text[first:last]):
            start, end = cluster.span()
            if end - start > 1:
                flags[first + start + 1 : first + end] = b"\1" * (end - start - 1)
                flagged = True
    return flags if flagged else bytearray()


def _suspects(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the characters that can join a neighbour, and their code points."""
    import numpy as np

    places, codes = [np.zeros(0, np.intp)], [np.zeros(0, np.uint32)]
    for base in range(0, len(text), _BLOCK):
        block = text[base : base + _BLOCK]
        if block.isascii() and "\r" not in block:
            continue
        points = np.frombuffer(block.encode("utf-32-le", "surrogatepass"), np.uint32)
        found = np.flatnonzero((points >= 0x300) | (points == 0x0D))
        found = found[_joining()[np.minimum(points[found], _PLANES)]]
        places.append(found + base)
        codes.append(points[found])
    return np.concatenate(places), np.concatenate(codes)


def _odd_ones(letters: np.ndarray) -> list[int]:
    """Every second of the letters in each run of neighbours."""
    import numpy as np

    firsts = np.flatnonzero(np.diff(letters, prepend=-2) > 1)
    within = np.arange(len(letters)) - np.repeat(firsts, np.diff(firsts, append=len(letters)))
    odd: list[int] = letters[within % 2 == 1].tolist()
    return odd


def _islands(joining: np.ndarray, length: int) -> Iterator[tuple[int, int]]:
    """A stretch around each joining character, merged with the next one's where they overlap.

    Two neighbours outside of islands, or at the edge of one, never join (letters of flags aside).
    """
    import numpy as np

    if len(joining):
        apart = np.flatnonzero(np.diff(joining) > 2)
        starts = np.maximum(joining[np.append(0, apart + 1)] - 1, 0)
        ends = np.minimum(joining[np.append(apart, len(joining) - 1)] + 2, length)
        yield from zip(starts.tolist(), ends.tolist())


def graphemes(text: str) -> np.ndarray:
    """Offsets of the grapheme clusters of `text`: int32 ``(n, 2)``, ``[start, end)``, in order, without gaps."""
    import numpy as np

    edges = np.arange(len(text) + 1, dtype=np.int32)
    flags = joints(text)
    if flags:
        edges = edges[np.frombuffer(flags, bool) == 0]
    return np.stack([edges[:-1], edges[1:]], axis=1)


def snap(text: str, position: int) -> int:
    """The nearest boundary of grapheme clusters at or before `position`.

    Looks back to the next boundary that is certain without looking further; for many positions in a text use `joints`.
    """
    position = max(0, min(position, len(text)))
    start = position
    while 0 < start < len(text) and not _certain(text[start - 1], text[start]):
        start -= 1
    flags = joints(text[start : position + 1])
    while flags and position > start and flags[position - start]:
        position -= 1
    return position


def _certain(left: str, right: str) -> bool:
    """Whether two neighbours are of different clusters whatever stands around them."""
    if left < "\u0300" and right < "\u0300":
        return left != "\r" or right != "\n"
    table = _joining()
    return not (table[min(ord(left), _PLANES)] or table[min(ord(right), _PLANES)])


@cache
def _joining() -> np.ndarray:
    """Whether a code point can join a neighbour: marks, joiners, flags, Hangul jamo, and CR. Two others never do."""
    import numpy as np

    table = np.zeros(_PLANES + 1, bool)
    table[_PLANES] = True
    names = ("CR", "Extend", "ZWJ", "SpacingMark", "Prepend", "RI", "L", "V", "T")
    classes = "".join(rf"\p{{GCB={name}}}" for name in names)
    for run in regex.finditer(f"[{classes}]+", "".join(map(chr, range(_PLANES)))):
        table[run.start() : run.end()] = True
    return table
