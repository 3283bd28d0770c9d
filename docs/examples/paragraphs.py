"""chunker.paragraphs: one chunk a paragraph, short ones joined to the next."""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs
from dougong import Chunk, Document, Span, Technique, hookimpl


@attrs.frozen
class Params:
    """size: characters that a chunk has at least; only a document's last one may be smaller."""

    size: int = attrs.field(default=200, validator=attrs.validators.ge(1))


class Paragraphs:
    """Cuts at blank lines."""

    def __init__(self, params: Params) -> None:
        self.size = params.size

    def chunk(self, document: Document) -> Iterator[Chunk]:
        start = 0
        for match in re.finditer(r"\s*\n\s*\n|\Z", document.text):
            text = document.text[start : match.start()]
            if text.strip() and (len(text) >= self.size or match.end() == len(document.text)):
                span = Span(start, match.start())
                yield Chunk(Chunk.name(document.id, span), document.id, text, span, meta={"source": document.source})
                start = match.end()


@hookimpl
def dougong_chunkers() -> list[Technique]:
    return [
        Technique(
            "paragraphs",
            Params,
            f"{__name__}:Paragraphs",
            summary="One chunk a paragraph, short ones joined to the next.",
            source="this page",
        )
    ]
