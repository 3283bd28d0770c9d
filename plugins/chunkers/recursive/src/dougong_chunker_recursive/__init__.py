"""chunker.recursive: chapter, paragraph, sentence, word; a hard maximum of tokens."""

from __future__ import annotations

import attrs
from dougong import Technique, Tokenizer, hookimpl, slot


@attrs.frozen
class Params:
    """Parameters of recursive chunking.

    size: tokens that a chunk has at most.
    tokenizer: what a token is.
    """

    size: int = attrs.field(default=400)
    tokenizer: Tokenizer = slot("words")

    @size.validator
    def _size_is_positive(self, attribute: object, value: int) -> None:
        if value < 1:
            raise ValueError("must be 1 or more; 400 is usual")


@hookimpl
def dougong_chunkers() -> list[Technique]:
    return [
        Technique(
            "recursive",
            Params,
            "dougong_chunker_recursive.recursive:RecursiveChunker",
            summary="Splits what is too large at the next finer boundary: chapter, paragraph, sentence, word.",
            source="LangChain's RecursiveCharacterTextSplitter, on a document's structure and real sentences",
        )
    ]
