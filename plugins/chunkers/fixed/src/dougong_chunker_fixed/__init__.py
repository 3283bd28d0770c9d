"""chunker.fixed: a fixed number of tokens a chunk, some shared with the chunk before."""

from __future__ import annotations

import attrs
from dougong import Technique, Tokenizer, hookimpl, slot


@attrs.frozen
class Params:
    """Parameters of fixed-size chunking.

    size: tokens a chunk; the last one may have fewer.
    overlap: tokens that a chunk shares with the one before; below size.
    tokenizer: what a token is.
    """

    size: int = attrs.field(default=512)
    overlap: int = attrs.field(default=64)
    tokenizer: Tokenizer = slot("words")

    @size.validator
    def _size_is_positive(self, attribute: object, value: int) -> None:
        if value < 1:
            raise ValueError("must be 1 or more; 512 is usual")

    @overlap.validator
    def _overlap_is_below_size(self, attribute: object, value: int) -> None:
        if not 0 <= value < max(1, self.size):
            raise ValueError(f"must be 0 or more and below size ({self.size}); an eighth of size is usual")


@hookimpl
def dougong_chunkers() -> list[Technique]:
    return [
        Technique(
            "fixed",
            Params,
            "dougong_chunker_fixed.fixed:FixedChunker",
            summary="A window of a fixed number of tokens that slides by size minus overlap.",
            source="Lewis et al. 2020, Retrieval-Augmented Generation (100-word passages); GraphRAG's text units",
        )
    ]
