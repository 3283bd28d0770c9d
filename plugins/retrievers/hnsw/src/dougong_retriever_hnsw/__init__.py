"""retriever.hnsw: approximate dense search by a hierarchical navigable small world graph."""

from __future__ import annotations

import attrs
from attrs.validators import ge, le
from dougong import Embedder, Index, Technique, hookimpl


@attrs.frozen
class Params:
    """Parameters of HNSW.

    embedder: maps chunks and queries to vectors of unit length.
    m: links of a vector in the upper layers, twice as many in the lowest; 2 to 100.
    ef_construction: candidates from which a new vector's links are chosen; `m` or more.
    ef: candidates that a search keeps; k where that is more. Higher finds more and takes longer.
    exact_below: chunks under which every vector is compared, and no graph is built; the same for what a filter leaves.
    threads: that build the graph; with more than one it is another graph each time.
    """

    embedder: Embedder
    m: int = attrs.field(default=16, validator=[ge(2), le(100)])
    ef_construction: int = attrs.field(default=200, validator=ge(2))
    ef: int = attrs.field(default=100, validator=ge(1))
    exact_below: int = attrs.field(default=10_000, validator=ge(0))
    threads: int = attrs.field(default=1, validator=[ge(1), le(1024)])

    @ef_construction.validator
    def _ef_construction_is_m_at_least(self, attribute: object, value: int) -> None:
        if value < getattr(self, "m", value):
            raise ValueError("must be m or more; 200 is usual")


@hookimpl
def dougong_retrievers() -> list[Technique]:
    return [
        Technique(
            "hnsw",
            Params,
            "dougong_retriever_hnsw.graph:hnsw",
            summary="Approximate dense search by an HNSW graph (hnswlib); exact for few chunks and narrow filters.",
            source="Malkov and Yashunin 2018, Hierarchical Navigable Small World graphs, arXiv:1603.09320; hnswlib 0.8",
            protocol=Index,
        )
    ]
