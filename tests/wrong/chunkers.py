"""A right chunker, and plausible wrong ones, each with the check that must catch it. Run by test_kit_knowledge.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import attrs
from dougong import Chunk, Document, Span, Technique, hookimpl
from dougong.testing import ChunkerConformance
from dougong.testing.chunker import paths, shared
from dougong.testing.texts import cuts_grapheme

DECLARED: list[Technique] = []
CAUGHT: dict[str, str] = {}


@attrs.frozen
class Params:
    """size: characters a chunk has at most."""

    size: int = attrs.field(default=30, validator=attrs.validators.ge(1))


def judged(check: str = "", **attributes: Any) -> Any:
    """Make the class a technique with a suite of its own; `check` must fail, no check where it is empty."""

    def declare(cls: type) -> type:
        name = cls.__name__.lower()
        DECLARED.append(Technique(name, Params, f"{__name__}:{cls.__name__}", f"{cls.__doc__}", "none"))
        suite = {"name": f"chunker.{name}", "plugin": __file__, "maximum": 30, "tokenizer": "characters", **attributes}
        globals()[f"Test{cls.__name__}"] = type(f"Test{cls.__name__}", (ChunkerConformance,), suite)
        CAUGHT[f"Test{cls.__name__}"] = check
        return cls

    return declare


@hookimpl
def dougong_chunkers() -> list[Technique]:
    return DECLARED


@judged()
class Right:
    """Cuts every so many characters, between graphemes."""

    def __init__(self, params: Params) -> None:
        self.size = params.size

    def spans(self, text: str) -> Iterator[Span]:
        start = 0
        while start < len(text):
            end = min(start + self.size, len(text))
            while end > start and cuts_grapheme(text, end):
                end -= 1
            if end == start:
                end += 1
                while cuts_grapheme(text, end):
                    end += 1
            yield Span(start, end)
            start = end

    def chunk(self, document: Document) -> Iterator[Chunk]:
        for span in self.spans(document.text):
            if span.of(document.text).strip():
                yield self.made(document, span)

    def made(self, document: Document, span: Span) -> Chunk:
        chunk = Chunk(Chunk.name(document.id, span), document.id, span.of(document.text), span, tokens=len(span))
        headings = shared(paths(document), chunk)
        meta = {"source": document.source, "line": document.text.count("\n", 0, span.start) + 1}
        return attrs.evolve(chunk, headings=headings, oversize=len(span) > self.size, meta=meta)


@judged("test_a_chunk_is_the_text_that_its_span_names")
class Strips(Right):
    """Strips the text and leaves the span."""

    def made(self, document: Document, span: Span) -> Chunk:
        chunk = super().made(document, span)
        return attrs.evolve(chunk, text=chunk.text.strip())


@judged("test_a_chunk_is_the_text_that_its_span_names")
class OffByOne(Right):
    """Ends its spans at the last character instead of behind it."""

    def made(self, document: Document, span: Span) -> Chunk:
        return attrs.evolve(super().made(document, span), span=Span(span.start, span.end - 1))


@judged("test_chunks_come_in_order")
class Finds(Right):
    """Looks for each piece in the text, and so finds the first of those that repeat."""

    def chunk(self, document: Document) -> Iterator[Chunk]:
        for piece in re.findall(r"[^.。\n]+[.。\n]*", document.text):
            start = document.text.find(piece)
            if piece.strip():
                yield self.made(document, Span(start, start + len(piece)))


@judged("test_a_chunk_is_the_text_that_its_span_names")
class Bytes(Right):
    """Counts bytes of UTF-8 instead of characters."""

    def made(self, document: Document, span: Span) -> Chunk:
        start = len(document.text[: span.start].encode())
        end = start + len(span.of(document.text).encode())
        return attrs.evolve(super().made(document, span), span=Span(start, end))


@judged("test_no_character_is_lost")
class DropsTheRest(Right):
    """Leaves out a last piece that is short."""

    def spans(self, text: str) -> Iterator[Span]:
        return (span for span in super().spans(text) if len(span) > 3)


@judged("test_no_grapheme_is_cut")
class CutsGraphemes(Right):
    """Cuts by code points."""

    def spans(self, text: str) -> Iterator[Span]:
        return (Span(at, min(at + self.size, len(text))) for at in range(0, len(text), self.size))


@judged("test_nothing_comes_of_nothing")
class KeepsBlanks(Right):
    """Gives out white space."""

    def chunk(self, document: Document) -> Iterator[Chunk]:
        return (self.made(document, span) for span in self.spans(document.text))


@judged("test_ids_are_unique_and_stable", named=False)
class SameIds(Right):
    """Calls chunks by their text's first words."""

    def made(self, document: Document, span: Span) -> Chunk:
        chunk = super().made(document, span)
        return attrs.evolve(chunk, id=f"{document.id}#{chunk.text[:10]}")


@judged("test_two_that_are_built_alike_behave_alike", named=False)
class RandomIds(Right):
    """Gives ids that nobody can give again."""

    def made(self, document: Document, span: Span) -> Chunk:
        import uuid

        return attrs.evolve(super().made(document, span), id=uuid.uuid4().hex)


@judged("test_another_process_does_the_same", named=False)
class HashedIds(Right):
    """Calls chunks by the hash of their text, which is another one tomorrow."""

    def made(self, document: Document, span: Span) -> Chunk:
        chunk = super().made(document, span)
        return attrs.evolve(chunk, id=f"{document.id}#{span.start}-{hash(chunk.text)}")


@judged("test_tokens_are_counted_truly")
class Guesses(Right):
    """Says that four characters are a token."""

    def made(self, document: Document, span: Span) -> Chunk:
        return attrs.evolve(super().made(document, span), tokens=len(span) // 4)


@judged("test_the_maximum_holds")
class TooLong(Right):
    """Goes on to the end of the word."""

    def spans(self, text: str) -> Iterator[Span]:
        start = 0
        while start < len(text):
            match = re.compile(r"\s|\Z").search(text, min(start + self.size, len(text)))
            assert match is not None
            end = match.start()
            yield Span(start, max(end, start + 1))
            start = max(end, start + 1)

    def made(self, document: Document, span: Span) -> Chunk:
        return attrs.evolve(super().made(document, span), oversize=False)


@judged("test_the_maximum_holds")
class AlwaysOversize(Right):
    """Says of everything that it could not be cut."""

    def made(self, document: Document, span: Span) -> Chunk:
        return attrs.evolve(super().made(document, span), oversize=True)


@judged("test_chunks_come_one_by_one")
class GivesAList(Right):
    """Gives a list."""

    def chunk(self, document: Document) -> Any:
        return list(super().chunk(document))


@judged("test_chunks_come_one_by_one")
class SharesItsPlace(Right):
    """Keeps its place in itself: two documents at once disturb each other."""

    def chunk(self, document: Document) -> Iterator[Chunk]:
        self.document = document
        for span in self.spans(document.text):
            if span.of(self.document.text).strip():
                yield self.made(self.document, span)


@judged("test_threads_may_share_it")
class NotForThreads(Right):
    """Keeps what it has in itself between the first step and the second."""

    def chunk(self, document: Document) -> Iterator[Chunk]:
        self.pieces = []
        for span in self.spans(document.text):
            self.pieces.append(span)
        for span in self.pieces:
            if span.of(document.text).strip():
                yield self.made(document, span)


@judged("test_calls_leave_nothing_behind", named=False)
class Counts(Right):
    """Numbers its chunks from where it stopped last time."""

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.number = 0

    def made(self, document: Document, span: Span) -> Chunk:
        self.number += 1
        return attrs.evolve(super().made(document, span), id=f"{document.id}#{self.number}")


@judged("test_headings_are_those_above_it")
class LastHeading(Right):
    """Knows the last heading only, not those above that."""

    def made(self, document: Document, span: Span) -> Chunk:
        chunk = super().made(document, span)
        return attrs.evolve(chunk, headings=chunk.headings[-1:])


@judged("test_headings_are_those_above_it")
class HeadingAtTheStart(Right):
    """Takes the path at the chunk's start, though another chapter begins in it."""

    def made(self, document: Document, span: Span) -> Chunk:
        chunk = super().made(document, span)
        return attrs.evolve(
            chunk, headings=shared(paths(document), attrs.evolve(chunk, span=Span(span.start, span.start + 1)))
        )


@judged("test_a_parent_encloses_its_chunk")
class WrongParent(Right):
    """Names the section before as the parent."""

    def made(self, document: Document, span: Span) -> Chunk:
        return attrs.evolve(super().made(document, span), parent=Span(max(0, span.start - 30), max(1, span.start)))


@judged("test_a_chunk_knows_its_document")
class LinesFromZero(Right):
    """Counts lines from 0."""

    def made(self, document: Document, span: Span) -> Chunk:
        chunk = super().made(document, span)
        return attrs.evolve(chunk, meta={**chunk.meta, "line": chunk.meta["line"] - 1})


@judged("test_a_document_stays_as_it_is")
class MarksTheDocument(Right):
    """Writes into the document's meta."""

    def chunk(self, document: Document) -> Iterator[Chunk]:
        if isinstance(document.meta, dict):
            document.meta["chunked"] = True
        return super().chunk(document)


@judged("test_a_document_stays_as_it_is")
class SharesMeta(Right):
    """Hands one and the same mapping to every chunk."""

    def made(self, document: Document, span: Span) -> Chunk:
        return attrs.evolve(super().made(document, span), meta=document.meta)
