"""Kamradt's semantic chunking: a cut where the distance between neighbouring sentences is large."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from dougong import Chunk, Document
from dougong_chunker_semantic_rules.units import Units

if TYPE_CHECKING:
    from dougong_chunker_semantic_embedding import Params

_USUAL = {"percentile": 95.0, "deviation": 3.0, "interquartile": 1.5, "gradient": 95.0, "absolute": 0.55}


class SemanticEmbedding:
    """Chunks between sentences whose distance ``1 - cosine`` stands out.

    A sentence is embedded together with `buffer` neighbours on each side, as far as all fit into `size`; each window
    once. Where sentences are cut is `threshold`'s business. A chunk of fewer than `minimum` tokens is joined to the
    nearer neighbour if both fit into `size`; one of more than `size` is cut at its largest distance, again and again.
    One or two sentences are one chunk where they fit. A vector that is not finite says nothing: no cut.

    ``tokenizer.count(chunk.text) <= size`` always, but for a single grapheme that has more tokens: `oversize` is set.
    """

    def __init__(self, params: Params) -> None:
        self._params = params

    def chunk(self, document: Document) -> Iterator[Chunk]:
        """The chunks of `document`, in order, not overlapping."""
        params = self._params
        units = Units(document, params.tokenizer, params.size)
        if not len(units):
            return
        if len(units) <= 2 and units.fits(0, len(units)):
            yield from units.chunks([])
            return
        distance = distances(params.embedder.embed(windows(units, params.buffer)))
        wanted = self._amount(units)
        found = chosen(distance, params.threshold, wanted)
        held = np.array([unit.kind == "heading" for unit in units.units[:-1]])
        distance[held] = -1  # a heading stays with what follows
        cuts = (np.flatnonzero(found & ~held) + 1).tolist()
        yield from units.chunks(within(cuts, distance, units, params.size, params.minimum))

    def _amount(self, units: Units) -> float:
        """The amount given or usual; for a mean size, how many cuts make it."""
        params = self._params
        if params.threshold == "mean-size":
            return float(units.after[-1] // int(params.amount or max(1, params.size // 2)))
        return _USUAL[params.threshold] if params.amount is None else params.amount


def windows(units: Units, buffer: int) -> list[str]:
    """Each unit's text, with `buffer` units on each side where that fits into the maximum."""
    found = []
    for number in range(len(units)):
        first = last = number
        for _ in range(buffer):
            if first > 0 and units.after[last] - units.before[first - 1] <= units.size:
                first -= 1
            if last + 1 < len(units) and units.after[last + 1] - units.before[first] <= units.size:
                last += 1
        start, end = units.span(first, last + 1)
        found.append(units.text[start:end])
    return found


def distances(vectors: np.ndarray) -> np.ndarray:
    """``1 - cosine`` of neighbouring rows: float64 ``(n - 1,)``; 0 where it is not a number."""
    vectors = vectors.astype(np.float64)
    with np.errstate(all="ignore"):
        cosine = np.einsum("ij,ij->i", vectors[:-1], vectors[1:])
        cosine /= np.linalg.norm(vectors[:-1], axis=1) * np.linalg.norm(vectors[1:], axis=1)
    return np.clip(np.where(np.isfinite(cosine), 1 - cosine, 0.0), 0.0, 2.0)


def chosen(distance: np.ndarray, threshold: str, amount: float) -> np.ndarray:
    """Which distances are cuts: bool, as many.

    With ``mean-size``, `amount` is the number of cuts: the largest distances, the first of equal ones first, none
    of 0. That is what Chroma's binary search for a threshold comes to.

    Source: LangChain's ``SemanticChunker._calculate_breakpoint_threshold``.
    """
    if threshold == "mean-size":
        found = np.zeros(len(distance), bool)
        found[np.argsort(-distance, kind="stable")[: int(amount)]] = True
        return found & (distance > 0)
    if threshold == "absolute":
        return distance > 1 - amount
    values = distance
    if threshold == "gradient":
        if len(distance) < 2:
            return np.zeros(len(distance), bool)
        values = np.gradient(distance)
    if threshold == "deviation":
        limit = values.mean() + amount * values.std()
    elif threshold == "interquartile":
        first, third = np.percentile(values, [25, 75])
        limit = values.mean() + amount * (third - first)
    else:
        limit = np.percentile(values, amount)
    return values > limit


def within(cuts: Sequence[int], distance: np.ndarray, units: Units, size: int, minimum: int) -> list[int]:
    """`cuts` without those that leave less than `minimum` tokens, and with those that `size` demands."""

    def tokens(first: int, last: int) -> int:
        return int(units.after[last - 1] - units.before[first])

    edges = [0]
    stack = [*reversed([*cuts, len(units)])]
    while stack:  # too large: cut at the largest distance that leaves both sides the minimum, if there is one
        first, last = edges[-1], stack[-1]
        if last - first == 1 or tokens(first, last) <= size:
            edges.append(stack.pop())
            continue
        low = int(np.searchsorted(units.after, units.before[first] + minimum))
        high = int(np.searchsorted(units.before, units.after[last - 1] - minimum, "right")) - 1
        low, high = max(low + 1, first + 1), min(high, last - 1)
        if low > high:
            low, high = first + 1, last - 1
        stack.append(low + int(distance[low - 1 : high].argmax()))
    at = 1
    while at < len(edges):  # too small: joined to the nearer neighbour that has room
        first, last = edges[at - 1], edges[at]
        if tokens(first, last) < minimum:
            sides = []
            if at > 1 and tokens(edges[at - 2], last) <= size:
                sides.append((distance[first - 1], at - 1))
            if at + 1 < len(edges) and tokens(first, edges[at + 1]) <= size:
                sides.append((distance[last - 1], at))
            if sides:
                gone = min(sides)[1]
                del edges[gone]
                at = max(1, gone if gone == at else at - 1)
                continue
        at += 1
    return edges[1:-1]
