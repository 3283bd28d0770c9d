"""retriever.bm25: lexical search by BM25, in an index that grows and shrinks."""

from __future__ import annotations

from typing import Literal

import attrs
from dougong import Index, Technique, hookimpl


@attrs.frozen
class Params:
    """Parameters of BM25.

    variant: the formula; see `dougong_retriever_bm25.scoring`.
    k1: saturation of term frequency; above 0.
    b: share of length normalisation; 0 (none) to 1 (full).
    delta: lower bound that ``l`` and ``plus`` give a term's weight; None for their authors' .5 and 1.
    epsilon: what ``okapi`` gives terms of more than half of the chunks, as a share of the average idf.
    """

    variant: Literal["lucene", "okapi", "l", "plus"] = "lucene"
    k1: float = attrs.field(default=1.5)
    b: float = attrs.field(default=0.75)
    delta: float | None = attrs.field(default=None)
    epsilon: float = attrs.field(default=0.25)

    @k1.validator
    def _k1_is_positive(self, attribute: object, value: float) -> None:
        if not 0 < value < float("inf"):
            raise ValueError("must be above 0; 1.5 is usual, 0.9 suits short texts")

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
            "bm25",
            Params,
            "dougong_retriever_bm25.index:BM25",
            summary="Lexical search by BM25 (Lucene, Okapi, L, Plus); grows, shrinks, English and Chinese.",
            source="Robertson and Zaragoza 2009, The Probabilistic Relevance Framework; Lucene's BM25Similarity",
            protocol=Index,
        )
    ]
