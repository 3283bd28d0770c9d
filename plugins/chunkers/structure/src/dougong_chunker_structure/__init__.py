"""chunker.structure: sections, tables, lists and code, as the document has them."""

from __future__ import annotations

from typing import Literal

import attrs
from dougong import Technique, Tokenizer, hookimpl, slot


@attrs.frozen
class Params:
    """Parameters of chunking along the structure.

    size: tokens that a chunk has at most.
    minimum: tokens below which a section is joined to a neighbour under the same heading, if both fit into size.
    code: whether a block of code that is larger than size stays whole, marked oversize, or is cut at lines.
    tokenizer: what a token is.
    """

    size: int = attrs.field(default=400)
    minimum: int = attrs.field(default=50)
    code: Literal["whole", "lines"] = "whole"
    tokenizer: Tokenizer = slot("words")

    @size.validator
    def _size_is_positive(self, attribute: object, value: int) -> None:
        if value < 1:
            raise ValueError("must be 1 or more; 400 is usual")

    @minimum.validator
    def _minimum_is_within_size(self, attribute: object, value: int) -> None:
        if not 0 <= value <= max(1, self.size):
            raise ValueError(f"must be 0 or more and at most size ({self.size}); an eighth of size is usual")


@hookimpl
def dougong_chunkers() -> list[Technique]:
    return [
        Technique(
            "structure",
            Params,
            "dougong_chunker_structure.structure:StructureChunker",
            summary="A section a chunk; tables by rows with their header, lists by items, code whole.",
            source="Docling's hierarchical chunker; small sections merged as in its hybrid chunker",
        )
    ]
