"""chunker.semantic-embedding and chunker.semantic-cluster: cuts where neighbouring sentences differ in meaning."""

from __future__ import annotations

from typing import Literal

import attrs
from dougong import Embedder, Technique, Tokenizer, hookimpl, slot


def _at_least_one(instance: object, attribute: object, value: int) -> None:
    if value < 1:
        raise ValueError("must be 1 or more; 400 is usual")


@attrs.frozen
class Params:
    """Parameters of chunking at the steps between sentences.

    threshold: which distances are cuts: above a percentile, above the mean by standard deviations or by interquartile
        ranges, above a percentile of their gradient, below an absolute similarity; or the largest ones, so many that
        chunks have a given mean size.
    amount: percent, deviations, ranges, percent, cosine, or tokens; None for 95, 3, 1.5, 95, 0.55 (right for MiniLM
        with buffer 1, wrong for others), or half of size.
    buffer: sentences on each side that are embedded together with a sentence.
    size: tokens that a chunk has at most.
    minimum: tokens below which a chunk is joined to a neighbour if both fit into size.
    embedder: what meaning is.
    tokenizer: what a token is.
    """

    threshold: Literal["percentile", "deviation", "interquartile", "gradient", "absolute", "mean-size"] = "percentile"
    amount: float | None = attrs.field(default=None)
    buffer: int = attrs.field(default=1)
    size: int = attrs.field(default=400, validator=_at_least_one)
    minimum: int = attrs.field(default=50)
    embedder: Embedder = slot("minilm")
    tokenizer: Tokenizer = slot("words")

    @amount.validator
    def _amount_fits_its_threshold(self, attribute: object, value: float | None) -> None:
        limits = {"percentile": (0, 100), "gradient": (0, 100), "absolute": (-1, 1), "mean-size": (1, float("inf"))}
        low, high = limits.get(self.threshold, (0, float("inf")))
        if value is not None and not low <= value <= high:
            raise ValueError(f"must be {low} to {high} with {self.threshold}; leave it out for the usual one")

    @buffer.validator
    def _buffer_is_not_negative(self, attribute: object, value: int) -> None:
        if value < 0:
            raise ValueError("must be 0 or more; 1 is usual")

    @minimum.validator
    def _minimum_is_within_size(self, attribute: object, value: int) -> None:
        if not 0 <= value <= max(1, self.size):
            raise ValueError(f"must be 0 or more and at most size ({self.size}); an eighth of size is usual")


@attrs.frozen
class ClusterParams:
    """Parameters of chunking by clusters of small pieces.

    size: tokens that a chunk has at most.
    piece: tokens that a piece has at most; a chunk has at most ``size // piece`` pieces.
    embedder: what meaning is.
    tokenizer: what a token is.
    """

    size: int = attrs.field(default=400, validator=_at_least_one)
    piece: int = attrs.field(default=50)
    embedder: Embedder = slot("minilm")
    tokenizer: Tokenizer = slot("words")

    @piece.validator
    def _piece_is_within_size(self, attribute: object, value: int) -> None:
        if not 1 <= value <= max(1, self.size):
            raise ValueError(f"must be 1 or more and at most size ({self.size}); 50 is usual")


@hookimpl
def dougong_chunkers() -> list[Technique]:
    return [
        Technique(
            "semantic-embedding",
            Params,
            "dougong_chunker_semantic_embedding.steps:SemanticEmbedding",
            summary="Cuts where the cosine distance between neighbouring sentences is large.",
            source="Kamradt 2023, 5 Levels of Text Splitting; LangChain's SemanticChunker; Chroma's modification",
        ),
        Technique(
            "semantic-cluster",
            ClusterParams,
            "dougong_chunker_semantic_embedding.cluster:SemanticCluster",
            summary="Groups of small pieces that are most alike inside, by dynamic programming.",
            source="Smith and Troynikov 2024, Evaluating Chunking (Chroma): ClusterSemanticChunker",
        ),
    ]
