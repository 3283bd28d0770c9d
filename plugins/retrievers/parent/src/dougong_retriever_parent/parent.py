"""From small chunks to the sections around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from dougong import Chunk, Hit, Span, StoreError

from dougong_retriever_parent import Params


class Parents:
    """Sections (`Chunk.parent`) of the best small hits, each once, in the order of their best hit and with its score.

    Hits are taken best first. One that lies in what was given already adds nothing but its id. Else its section is
    given, if it fits into what is left of `tokens` and overlaps nothing given; else the hit itself, if that fits.
    A chunk without a parent stands for itself. ``meta["matched"]`` holds the ids of the small hits inside.

    What is returned is cut from the stored text by offsets. Raises StoreError where the library does not hold the text
    that a hit was cut from.
    """

    def __init__(self, params: Params) -> None:
        self._params = params
        self._text: Any = getattr(params.library, "text", None)
        if not callable(self._text):
            raise ValueError("library has no text(document); use retriever.library")

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        p = self._params
        left = p.tokens
        texts: dict[str, str] = {}
        given: list[tuple[Hit, list[str]]] = []
        for hit in (p.of or p.library).search(query, max(p.pool, k), where):
            small = hit.chunk
            near = [(other.chunk.span, ids) for other, ids in given if other.chunk.document == small.document]
            around = [ids for span, ids in near if span.start <= small.span.start and small.span.end <= span.end]
            if around:
                around[0].append(small.id)
                continue
            if len(given) == k:
                continue  # later hits may still lie in what is given
            section = self._section(small, texts)
            if any(section.span.start < span.end and span.start < section.span.end for span, _ in near):
                section = small
            for chunk in (section, small):
                tokens = p.tokenizer.count(chunk.text)
                if tokens <= left:
                    left -= tokens
                    given.append((Hit(attrs.evolve(chunk, tokens=tokens), hit.score), [small.id]))
                    break
        hits = [
            attrs.evolve(hit, chunk=attrs.evolve(hit.chunk, meta={**hit.chunk.meta, "matched": ids}))
            for hit, ids in given
        ]
        return sorted(hits, key=lambda hit: (-hit.score, hit.chunk.id))

    def _section(self, small: Chunk, texts: dict[str, str]) -> Chunk:
        """The section around `small`, cut from the stored text."""
        if small.parent is None:
            return small
        id = small.document
        if id not in texts:
            try:
                texts[id] = self._text(id)
            except KeyError:
                hint = "`library` must hold the documents that `of` finds"
                raise StoreError(f"the library does not hold {id!r}", hint=hint) from None
        text, span = texts[id], small.parent
        if small.span.of(text) != small.text or span.end > len(text):
            raise StoreError(
                f"the library's text of {id!r} is not the one that {small.id} was cut from", hint="sync it"
            )
        meta = dict(small.meta)
        if "line" in meta:
            meta["line"] = text.count("\n", 0, span.start) + 1
        return Chunk(Chunk.name(id, span), id, span.of(text), span, small.headings, "", Span(0, len(text)), meta=meta)
