"""retriever.rank-bm25: the rank-bm25 library as an index."""

from __future__ import annotations

from typing import Literal

import attrs
from dougong import Index, Technique, hookimpl


@attrs.frozen
class Params:
    """Parameters of rank-bm25's classes, under their names.

    variant: the class, ``BM25Okapi``, ``BM25L`` or ``BM25Plus``.
    k1: saturation of term frequency; above 0.
    b: share of length normalisation; 0 (none) to 1 (full).
    delta: lower bound that ``l`` and ``plus`` give a term's weight; None for the library's .5 and 1.
    epsilon: what ``okapi`` gives terms of more than half of the chunks, as a share of the average idf.
    """

    variant: Literal["okapi", "l", "plus"] = "okapi"
    k1: float = attrs.field(default=1.5)
    b: float = attrs.field(default=0.75)
    delta: float | None = attrs.field(default=None)
    epsilon: float = attrs.field(default=0.25)

    @k1.validator
    def _k1_is_positive(self, attribute: object, value: float) -> None:
        if not 0 < value < float("inf"):
            raise ValueError("must be above 0; 1.5 is usual")

    @b.validator
    def _b_is_a_share(self, attribute: object, value: float) -> None:
        if not 0 <= value <= 1:
            raise ValueError("must be between 0 and 1; 0.75 is usual")

    @delta.validator
    def _delta_is_not_negative(self, attribute: object, value: float | None) -> None:
        if value is not None and not 0 <= value < float("inf"):
            raise ValueError("must be 0 or more; 0.5 is usual for l, 1 for plus")

    @epsilon.validator
    def _epsilon_is_not_negative(self, attribute: object, value: float) -> None:
        if not 0 <= value < float("inf"):
            raise ValueError("must be 0 or more; 0.25 is usual")


@hookimpl
def dougong_retrievers() -> list[Technique]:
    return [
        Technique(
            "rank-bm25",
            Params,
            "dougong_retriever_rank_bm25.index:RankBM25",
            summary="The rank-bm25 library itself, rebuilt on every change: for small corpora and as a reference.",
            source="https://github.com/dorianbrown/rank_bm25 0.2.2; Trotman et al. 2014",
            protocol=Index,
        )
    ]
