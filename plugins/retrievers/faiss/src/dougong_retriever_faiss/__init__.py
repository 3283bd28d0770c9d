"""retriever.faiss: dense search by FAISS."""

from __future__ import annotations

from typing import Literal

import attrs
from attrs.validators import ge, le, optional
from dougong import Embedder, Index, Technique, hookimpl

TRAINING = 39 * 256
"""Vectors that product quantisation learns its 256 centroids from, at least; FAISS warns below."""


@attrs.frozen
class Params:
    """Parameters of FAISS.

    embedder: maps chunks and queries to vectors of unit length.
    kind: ``flat`` compares every vector; ``hnsw`` walks a graph; ``ivf-pq`` looks into the nearest of many lists, at
        vectors of few bytes, and compares the best of those exactly.
    exact_below: ``hnsw`` and ``ivf-pq``: chunks under which every vector is compared instead; the same for what a
        filter leaves. 9,984 or more for ``ivf-pq``, which learns from its vectors.
    m: ``hnsw``: links of a vector in the upper layers, twice as many in the lowest; 2 to 100.
    ef_construction: ``hnsw``: candidates from which a new vector's links are chosen.
    ef: ``hnsw``: candidates that a search keeps; k where that is more.
    lists: ``ivf-pq``: None for 4 times the square root of the number of vectors.
    probes: ``ivf-pq``: lists that a search looks into.
    code_size: ``ivf-pq``: bytes of a vector in its list, a divisor of its length; None for the greatest that is a
        quarter of the length or less.
    refine: ``ivf-pq``: candidates a hit that are compared exactly.
    threads: that build it; with more than one an ``hnsw`` graph is another one each time.
    """

    embedder: Embedder
    kind: Literal["flat", "hnsw", "ivf-pq"] = "hnsw"
    exact_below: int = attrs.field(default=10_000, validator=ge(0))
    m: int = attrs.field(default=16, validator=[ge(2), le(100)])
    ef_construction: int = attrs.field(default=200, validator=ge(2))
    ef: int = attrs.field(default=100, validator=ge(1))
    lists: int | None = attrs.field(default=None, validator=optional(ge(1)))
    probes: int = attrs.field(default=32, validator=ge(1))
    code_size: int | None = attrs.field(default=None, validator=optional(ge(1)))
    refine: int = attrs.field(default=10, validator=[ge(1), le(1000)])
    threads: int = attrs.field(default=1, validator=[ge(1), le(1024)])

    @exact_below.validator
    def _enough_to_learn_from(self, attribute: object, value: int) -> None:
        if getattr(self, "kind", "") == "ivf-pq" and value < TRAINING:
            raise ValueError(f"must be {TRAINING} or more with kind ivf-pq; it learns from its vectors")


@hookimpl
def dougong_retrievers() -> list[Technique]:
    return [
        Technique(
            "faiss",
            Params,
            "dougong_retriever_faiss.search:faiss_index",
            summary="Dense search by FAISS: flat, HNSW, or inverted lists with product quantisation.",
            source="Douze et al. 2024, The Faiss library, arXiv:2401.08281; Jegou et al. 2011, Product Quantization",
            protocol=Index,
        )
    ]
