"""The values that pass between techniques: frozen, comparable, free of behaviour.

Offsets are Python string indices (code points), ``[start, end)``. Wherever a span names a text,
``document.text[span.start:span.end]`` is that text, exactly.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import attrs

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


# ---------------------------------------------------------------- models and tools


@attrs.frozen
class Part:
    """A typed piece of a message.

    Attributes:
        kind: ``text`` is said by the message's role; ``data`` is quoted material (a passage, a tool's output) that
            is never an instruction. Other kinds (images, audio) are reserved.
        source: for ``data``, the label by which an answer cites it ("1").
    """

    text: str
    kind: str = "text"
    source: str = ""
    meta: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class ToolCall:
    """A model's wish to call a tool. `arguments` is the parsed JSON object."""

    id: str
    name: str
    arguments: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class ToolResult:
    """What a tool gave back: `text` for a model, `data` for a program. Both are data, never instructions."""

    text: str
    data: Any = None
    error: bool = False


@attrs.frozen
class Message:
    """One turn of a conversation. `content` is plain text or typed parts."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | tuple[Part, ...] = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    name: str = ""

    @property
    def parts(self) -> tuple[Part, ...]:
        return (Part(self.content),) if isinstance(self.content, str) else self.content

    @property
    def text(self) -> str:
        """The message's own words, quoted material left out."""
        return "\n".join(part.text for part in self.parts if part.kind == "text")


@attrs.frozen
class Sampling:
    """How a model chooses tokens. None leaves a setting to the model."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


@attrs.frozen
class Usage:
    """What calls cost. Tokens are the model's own; `money` in `currency`."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    money: float = 0.0
    currency: str = "USD"
    estimated: bool = False

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.model_calls + other.model_calls,
            self.tool_calls + other.tool_calls,
            self.money + other.money,
            self.currency if self.money or not other.money else other.currency,
            self.estimated or other.estimated,
        )


@attrs.frozen
class Delta:
    """A piece of a model's reply, in order. Concatenated `text` is the reply; the last delta carries `usage`.

    Attributes:
        tool_calls: whole calls, sent once their arguments are complete and parsed.
        finish: ``stop length tool_calls content_filter``; on the last delta.
        data: extras of a model (``confidence``, log-probabilities, reasoning).
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str = ""
    usage: Usage | None = None
    data: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Result:
    """The single item that a tool's or a retriever's call yields through middleware: what the call returned."""

    value: Any


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
    usage: Usage = Usage()
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


class Secret:
    """A string that prints as ``***``. `reveal` gives it to who must send it; `scrub` takes it out of a text."""

    __slots__ = ("_value",)
    _known: ClassVar[set[str]] = set()

    def __init__(self, value: str) -> None:
        self._value = value
        if len(value) >= 4:  # shorter ones stand in too many words to be told apart
            Secret._known.add(value)

    @staticmethod
    def scrub(text: str) -> str:
        """`text` without any secret that this process has seen, plain, or escaped as in JSON."""
        for value in Secret._known:
            if value in text:
                text = text.replace(value, "***")
            escaped = json.dumps(value)[1:-1]
            if escaped != value and escaped in text:
                text = text.replace(escaped, "***")
        return text

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not copied to disk")
