"""Clusters of neighbouring pieces, by dynamic programming."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from dougong import Chunk, Document
from dougong_chunker_semantic_rules.units import Units

if TYPE_CHECKING:
    from dougong_chunker_semantic_embedding import ClusterParams


class SemanticCluster:
    """Chunks of neighbouring pieces whose pairs have the greatest total of ``cosine - mean cosine``.

    Pieces are sentences and blocks of at most `piece` tokens, short ones joined. A chunk has at most ``size // piece``
    of them, and so at most `size` tokens.

    ``tokenizer.count(chunk.text) <= size`` always, but for a single grapheme that has more tokens: `oversize` is set.
    """

    def __init__(self, params: ClusterParams) -> None:
        self._params = params

    def chunk(self, document: Document) -> Iterator[Chunk]:
        """The chunks of `document`, in order, not overlapping."""
        params = self._params
        units = Units(document, params.tokenizer, params.piece)
        if not len(units):
            return
        firsts = pieces(units, params.piece)
        edges = [*firsts, len(units)]
        texts = [units.text[slice(*units.span(first, last))] for first, last in pairwise(edges)]
        units.size = params.size
        clusters = best_clusters(params.embedder.embed(texts), params.size // params.piece)
        yield from units.chunks([firsts[piece] for piece in clusters])


def pieces(units: Units, size: int) -> list[int]:
    """The first unit of each piece: as many as fit into `size`, a heading with what follows."""
    firsts = [0]
    for number in range(1, len(units)):
        if units.after[number] - units.before[firsts[-1]] > size:
            first = number
            while first - 1 > firsts[-1] and units.units[first - 1].kind == "heading":
                first -= 1
            if units.after[number] - units.before[first] > size:
                first = number
            firsts.append(first)
    return firsts


def best_clusters(vectors: np.ndarray, longest: int) -> list[int]:
    """The first row of each cluster but the first: the cut of the rows of `vectors` into stretches of at most `longest`
    that maximises the sum of ``cosine - mean cosine`` over the pairs in each. Of equal ones, that with the longest last
    stretch.

    The mean is over all pairs of rows. Rows are taken to be of unit length, and those that are not finite to be like
    no other. Time and memory are ``O(n * longest)``.

    Source: Chroma's ``ClusterSemanticChunker._optimal_segmentation``.
    """
    vectors = np.where(np.isfinite(vectors).all(axis=1, keepdims=True), vectors, 0).astype(np.float64)
    count = len(vectors)
    if count < 2:
        return []
    total = vectors.sum(axis=0)
    mean = (total @ total - np.einsum("ij,ij->", vectors, vectors)) / (count * (count - 1))
    longest = min(longest, count)
    # near[d, j]: rows j - d and j. inner[n]: all pairs of the n rows that end with j.
    near = np.zeros((longest, count))
    for step in range(1, longest):
        near[step, step:] = np.einsum("ij,ij->i", vectors[step:], vectors[:-step]) - mean
    reach = np.cumsum(near, axis=0)  # row j with the d rows before it
    best, before = np.zeros(count + 1), np.zeros(count + 1, np.intp)
    inner = np.zeros(longest)
    for last in range(count):
        # The pairs of [last - d, last] are those of [last - d, last - 1] and last's own.
        inner[1:] = inner[:-1]
        inner[0] = 0
        inner += reach[:, last]
        room = min(longest, last + 1)
        totals = inner[:room] + best[last - room + 1 : last + 1][::-1]
        length = room - int((totals[::-1] >= totals.max() - 1e-12).argmax())
        best[last + 1], before[last + 1] = totals[length - 1], last + 1 - length
    firsts: list[int] = []
    at = int(before[count])
    while at > 0:
        firsts.append(at)
        at = int(before[at])
    return firsts[::-1]
