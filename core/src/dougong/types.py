"""The values that pass between techniques: frozen, comparable, free of behaviour.

Offsets are Python string indices (code points), ``[start, end)``. Wherever a span names a text,
``document.text[span.start:span.end]`` is that text, exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import attrs

from dougong.chat import Delta as Delta
from dougong.chat import Message as Message
from dougong.chat import Part as Part
from dougong.chat import Result as Result
from dougong.chat import Sampling as Sampling
from dougong.chat import ToolCall as ToolCall
from dougong.chat import ToolResult as ToolResult
from dougong.chat import Usage as Usage
from dougong.chat import estimate_tokens as estimate_tokens
from dougong.secret import Secret as Secret

# ---------------------------------------------------------------- documents


@attrs.frozen
class Span:
    """A stretch ``[start, end)`` of a document's text, in code points."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def of(self, text: str) -> str:
        """The text that this span names."""
        return text[self.start : self.end]


@attrs.frozen
class Section:
    """A node of a document's structure tree.

    Attributes:
        kind: ``document heading paragraph list item table row cell code quote formula caption page
            front-matter contents rule html``; readers pass over kinds that they do not know.
        span: the node's text in ``document.text``, markup included.
        level: 1 to 6 for a heading, nesting depth for lists, else 0.
        title: a heading's text without markup; the language of a code block; else empty.
        children: nodes inside this one, in order, not overlapping.
        meta: page number, box, column span and the like.
    """

    kind: str
    span: Span
    level: int = 0
    title: str = ""
    children: tuple[Section, ...] = ()
    meta: Mapping[str, Any] = attrs.field(factory=dict)

    def walk(self) -> Iterator[Section]:
        """This node and all below it, in document order. Does not recurse: depth is bounded by memory only."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))


@attrs.frozen
class Document:
    """A loaded document.

    Attributes:
        id: stable name of the document, unique in its library (a relative path, say).
        text: the whole text that spans refer to; holds no lone surrogate.
        tree: structure; a ``document`` node whose span is the whole text. Headings are siblings of the
            paragraphs that follow them, in reading order (not nested by level).
        source: where it came from, as a person would open it.
        meta: title, language, pages, encoding, the headers and footers left out...
    """

    id: str
    text: str
    tree: Section | None = None
    source: str = ""
    meta: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Chunk:
    """A piece of a document: ``document.text[span.start:span.end] == text``, always.

    Attributes:
        id: unique in a library; ``Chunk.name(document.id, span)`` unless a chunker has reason for another.
        document: id of the document.
        headings: titles of the headings above it, outermost first.
        context: what a reader of the piece alone would miss (a table's header row); joins `index_text` only.
        parent: span of the enclosing section, for small-to-big retrieval.
        tokens: size in tokens of the tokenizer that the chunker names; -1 if not counted.
        oversize: a single grapheme, table row or code line that is larger than the maximum, kept whole.
        meta: what filters see: ``source``, ``line`` (of the chunk's start, from 1), ``page``, ``lang``...
    """

    id: str
    document: str
    text: str
    span: Span
    headings: tuple[str, ...] = ()
    context: str = ""
    parent: Span | None = None
    tokens: int = -1
    oversize: bool = False
    meta: Mapping[str, Any] = attrs.field(factory=dict)

    @staticmethod
    def name(document: str, span: Span) -> str:
        """The usual id: document and offsets, ``docs/a.md#120-480``."""
        return f"{document}#{span.start}-{span.end}"

    @property
    def index_text(self) -> str:
        """What indexes and embedders read: heading path, context, text. Never what is quoted."""
        return "\n".join(part for part in (" > ".join(self.headings), self.context, self.text) if part)


@attrs.frozen
class Hit:
    """A chunk that a search found. Higher scores are better; scores of different retrievers do not compare."""

    chunk: Chunk
    score: float


@attrs.frozen
class SyncReport:
    """What `Library.sync` did, in documents and chunks, and what it could not read.

    Attributes:
        failed: ``(source, reason)`` of each document that was skipped.
        redone: stages that ran again because their technique or parameters changed.
    """

    added: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    chunks: int = 0
    failed: tuple[tuple[str, str], ...] = ()
    redone: tuple[str, ...] = ()
    seconds: float = 0.0


# ---------------------------------------------------------------- answers


@attrs.frozen
class Citation:
    """Evidence: ``document.text[span.start:span.end] == quote``, checked before it is given out.

    Attributes:
        label: the mark in the answer's text, ``1`` for ``[1]``.
        line: line of the quote in the source, from 1; 0 if unknown.
    """

    document: str
    source: str
    span: Span
    quote: str
    label: str = ""
    headings: tuple[str, ...] = ()
    line: int = 0
    page: int = 0


@attrs.frozen
class Answer:
    """What a pattern gives back.

    Attributes:
        status: ``answered``; ``declined``, the sources or the model do not support an answer; ``stopped``, something
            ran out, and `text` holds what there is.
        reason: for ``declined`` and ``stopped``, why, in a sentence.
        confidence: 0 to 1 where the model states one; None otherwise.
    """

    text: str
    citations: tuple[Citation, ...] = ()
    status: Literal["answered", "declined", "stopped"] = "answered"
    reason: str = ""
    confidence: float | None = None
    usage: Usage = Usage()  # noqa: RUF009  frozen
    data: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Event:
    """Something that happened in a run, as `Assembly.stream` gives it out.

    Attributes:
        kind: ``started call result delta say progress finished failed`` and what patterns add.
        path: where in the run, ``0.2/researcher.1``.
    """

    kind: str
    path: str = ""
    data: Mapping[str, Any] = attrs.field(factory=dict)
