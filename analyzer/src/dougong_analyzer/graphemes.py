"""Extended grapheme clusters: what a reader takes for one character, though it may be many code points.

Almost every position of almost every text lies between two clusters. So the exceptions are kept: `joints` marks the
positions inside clusters, and is empty for plain text.

Source: Unicode Standard Annex 29, grapheme cluster boundaries, as the ``regex`` library implements them (``\\X``).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import regex

if TYPE_CHECKING:
    import numpy as np

_CLUSTER = regex.compile(r"\X")
_PLANES = 0x20000  # code points from here on are taken to join; \X says whether they do


def joints(text: str) -> bytearray:
    """Which positions are inside a grapheme cluster: ``len(text) + 1`` flags, or none at all if no position is.

    Cutting `text` at position `i` cuts no cluster where ``not (flags and flags[i])``.
    """
    import numpy as np

    if text.isascii() and "\r" not in text:
        return bytearray()
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    joining = np.flatnonzero((codes >= 0x300) | (codes == 0x0D))
    joining = joining[_joining()[np.minimum(codes[joining], _PLANES)]]
    if not len(joining):
        return bytearray()
    # Around each joining character stands an island, the next one's merged with it where they overlap: \X looks at no more.
    apart = np.flatnonzero(np.diff(joining) > 2)
    starts = np.maximum(joining[np.append(0, apart + 1)] - 1, 0)
    ends = np.minimum(joining[np.append(apart, len(joining) - 1)] + 2, len(text))
    flags = bytearray(len(text) + 1)
    for island in zip(starts.tolist(), ends.tolist()):
        for cluster in _CLUSTER.finditer(text, *island):
            start, end = cluster.span()
            if end - start > 1:
                flags[start + 1 : end] = b"\1" * (end - start - 1)
    return flags if any(flags) else bytearray()


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

    Looks back as far as the cluster's neighbourhood goes; for many positions in one text use `joints`.
    """
    position = max(0, min(position, len(text)))
    start = position
    while 0 < start < len(text) and not _certain(text[start - 1], text[start]):
        start -= 1  # flags and emoji families are read from their beginning
    for cluster in _CLUSTER.finditer(text, start):
        if cluster.end() > position:
            return cluster.start()
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
    classes = "".join(rf"\p{{GCB={name}}}" for name in ("CR", "Extend", "ZWJ", "SpacingMark", "Prepend", "RI", "L", "V", "T"))
    for run in regex.finditer(f"[{classes}]+", "".join(map(chr, range(_PLANES)))):
        table[run.start() : run.end()] = True
    return table
