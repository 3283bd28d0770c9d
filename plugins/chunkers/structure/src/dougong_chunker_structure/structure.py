"""Chunks along the structure of a document: sections first, then blocks, then parts of blocks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import attrs
import numpy as np
from dougong import Chunk, Document, Section, Span
from dougong_analyzer.graphemes import joints
from dougong_analyzer.outline import Outline
from dougong_chunker_recursive import Params as Recursive
from dougong_chunker_recursive.recursive import RecursiveChunker

if TYPE_CHECKING:
    from dougong_chunker_structure import Params

_HOLDERS = {"document", "page"}  # their blocks are the document's
_MARKER = 8  # characters that a list's marker has at most
_Part = tuple[int, int, str, str]  # start, end, kind, header of the table
_PARTED = {"list": "item", "table": "row"}


@attrs.frozen
class _Piece:
    """A stretch that becomes a chunk. `header` is the table's, where it is not in the stretch; `whole`: a section."""

    start: int
    end: int
    header: str = ""
    whole: bool = False


@attrs.define
class _Chapter:
    """A heading, the blocks below it up to the next heading, and the chapters under it."""

    start: int
    level: int
    end: int = 0
    body: list[Section] = attrs.field(factory=list)
    under: list[_Chapter] = attrs.field(factory=list)


class StructureChunker:
    """Chunks of at most `size` tokens along the document's own structure.

    A section (a heading and all below it, up to the next one of its level) that fits is one chunk; of one that does
    not, the text before its first subsection and each subsection are. Neighbouring ones under one heading are joined
    while one of two is below `minimum` and both fit. Blocks of a text that is too large are packed while they fit:
    lists are cut between items, tables between rows, and the header row is in `context` of the chunks that do not
    hold it; paragraphs are cut as chunker.recursive does. A heading is packed with what follows. A document without
    structure is cut by chunker.recursive.

    ``tokenizer.count(chunk.text) <= size``, but for what stays whole, with `oversize` set: a table's row, a block of
    code (unless it is cut at lines), a grapheme. An item is cut only if it is too large alone. `headings` is the path
    over the whole chunk, `parent` its section; ``meta["page"]`` the page where it starts.
    """

    def __init__(self, params: Params) -> None:
        self._params = params
        self._recursive = RecursiveChunker(Recursive(size=params.size, tokenizer=params.tokenizer))

    def chunk(self, document: Document) -> Iterator[Chunk]:
        """The chunks of `document`, in order, not overlapping."""
        if document.tree is None or not document.tree.children:
            yield from self._recursive.chunk(document)
            return
        outline = Outline(document)
        cutter = _Cutter(document, self._params, self._recursive)
        for piece in cutter.pieces():
            span, text = Span(piece.start, piece.end), document.text[piece.start : piece.end]
            headings, section = outline.path(piece.start, piece.end)
            tokens = self._params.tokenizer.count(text)
            yield Chunk(
                id=Chunk.name(document.id, span),
                document=document.id,
                text=text,
                span=span,
                headings=headings,
                context=piece.header,
                parent=Span(*section) if section else None,
                tokens=tokens,
                oversize=tokens > self._params.size,
                meta=outline.meta(piece.start, piece.end),
            )


class _Cutter:
    """One document being cut."""

    def __init__(self, document: Document, params: Params, recursive: RecursiveChunker) -> None:
        assert document.tree is not None
        self.text, self.params, self.recursive = document.text, params, recursive
        self.joints = joints(self.text)
        self.tokens = np.ascontiguousarray(params.tokenizer.offsets(self.text)[:, 0], np.int64)
        self.root = _chapters(document.tree, len(self.text))

    def pieces(self) -> Iterator[_Piece]:
        for piece in self._chapter(self.root):
            start, end = self._trim(piece.start, piece.end)
            if start < end:
                yield attrs.evolve(piece, start=start, end=end)

    def _chapter(self, chapter: _Chapter) -> list[_Piece]:
        """What becomes of a section: one piece where it fits."""
        if self._fits(chapter.start, chapter.end):
            return [_Piece(chapter.start, chapter.end, whole=True)]
        first = chapter.under[0].start if chapter.under else chapter.end
        found = self._body(chapter, first)
        for under in chapter.under:
            found.extend(self._chapter(under))
        joined: list[_Piece] = []
        for piece in found:
            if joined and piece.whole and joined[-1].whole:
                small = min(self._about(joined[-1]), self._about(piece)) < self.params.minimum
                if small and self._fits(joined[-1].start, piece.end):
                    joined[-1] = _Piece(joined[-1].start, piece.end, whole=True)
                    continue
            joined.append(piece)
        # Above this section they are parts of it, not sections: nothing is joined over its heading.
        return [attrs.evolve(piece, whole=False) for piece in joined]

    def _body(self, chapter: _Chapter, end: int) -> list[_Piece]:
        """The text of a section before its first subsection."""
        if not self.text[chapter.start : end].strip():
            return []
        if self._fits(chapter.start, end):
            return [_Piece(chapter.start, end, whole=True)]
        return self._packed(self._blocks(chapter.body, chapter.start, end))

    def _packed(self, parts: list[_Part]) -> list[_Piece]:
        """Neighbouring parts joined while they fit; a heading never ends a piece if it can
        begin the next one."""
        found: list[_Piece] = []
        start = 0
        while start < len(parts):
            # The header of a table is not in the span, but is embedded with it: room is left, up to half the size.
            header = parts[start][3]
            room = self.params.size - min(self.params.tokenizer.count(header) if header else 0, self.params.size // 2)
            stop = start + 1
            while stop < len(parts) and self._fits(parts[start][0], parts[stop][1], room):
                stop += 1
            while stop < len(parts) and stop - start > 1 and parts[stop - 1][2] == "heading":
                stop -= 1
            found.append(_Piece(parts[start][0], parts[stop - 1][1], header))
            start = stop
        return found

    def _blocks(self, nodes: list[Section], start: int, end: int) -> list[_Part]:
        """The parts that `[start, end)` is packed from: blocks, and parts of those that are too large."""
        kept: list[tuple[int, Section | None]] = [(start, None)]
        for node in nodes:
            at = node.span.start
            if at >= end or (self.joints and self.joints[at]):
                continue
            if not self.text[kept[-1][0] : at].strip():
                kept[-1] = (kept[-1][0], node)
            elif at > kept[-1][0]:
                kept.append((at, node))
        parts: list[_Part] = []
        for (first, node), (last, _) in pairwise([*kept, (end, None)]):
            kind = node.kind if node else ""
            whole = kind == "row" or (kind == "code" and self.params.code == "whole")
            if whole or self._fits(first, last):
                parts.append((first, last, kind, ""))
            elif inner := self._inner(node, first):
                head = next((row.span for row in inner if row.meta.get("header")), None)
                header = head.of(self.text).strip() if head else ""
                for part in self._blocks(inner, first, last):
                    parts.append((*part[:3], header if head and part[0] >= head.end else part[3]))
            else:
                opened = first
                while parts and parts[-1][2] == "heading":
                    opened = parts.pop()[0]
                parts.extend(self._split(opened, first, last))
        return parts

    def _inner(self, node: Section | None, start: int) -> list[Section]:
        """The parts at which a block is cut that is too large; none for running text."""
        if node is None or node.kind not in {*_PARTED, "item", "quote"}:
            return []
        if node.kind in _PARTED:
            return [child for child in node.children if child.kind == _PARTED[node.kind]]
        behind = [child for child in node.children if child.span.start > start]
        if behind and len(self.text[start : behind[0].span.start].strip()) <= _MARKER:
            behind = behind[1:]  # a marker belongs to what it marks
        return behind

    def _split(self, opened: int, start: int, end: int) -> Iterator[_Part]:
        """Running text, cut by chunker.recursive; from `opened` to `start` there are headings."""
        span, body = Span(0, end - opened), Section("paragraph", Span(start - opened, end - opened))
        heading = [Section("heading", Span(0, start - opened), 1)] if opened < start else []
        tree = Section("document", span, children=(*heading, body)) if heading else None
        for chunk in self.recursive.chunk(Document("", self.text[opened:end], tree)):
            yield opened + chunk.span.start, opened + chunk.span.end, "text", ""

    def _about(self, piece: _Piece) -> int:
        """Tokens of the document in the stretch."""
        first, last = np.searchsorted(self.tokens, np.array([piece.start, piece.end], np.int64)).tolist()
        return int(last - first)

    def _fits(self, start: int, end: int, room: int = 0) -> bool:
        """Whether the text has at most `room` (`size`) tokens. The document's tokens tell when it is far from it."""
        room = room or self.params.size
        about = self._about(_Piece(start, end))
        if about <= room // 2 or about > 2 * room + 10:
            return about <= room
        start, end = self._trim(start, end)
        return self.params.tokenizer.count(self.text[start:end]) <= room

    def _trim(self, start: int, end: int) -> tuple[int, int]:
        """The stretch without the white space at its edges, but for what is part of a grapheme."""
        piece = self.text[start:end]
        first, last = start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
        if first >= last:
            return start, start
        while self.joints and self.joints[first]:
            first -= 1
        while self.joints and self.joints[last]:
            last += 1
        return first, last


def _chapters(tree: Section, length: int) -> _Chapter:
    """The document as chapters in chapters; what stands before the first heading is the body of the outermost."""
    path = [_Chapter(0, 0)]
    stack = [*reversed(tree.children)]
    while stack:
        node = stack.pop()
        if node.kind in _HOLDERS:
            stack.extend(reversed(node.children))
            continue
        if node.kind == "heading":
            while path[-1].level >= max(1, node.level):
                path.pop().end = node.span.start
            path.append(_Chapter(node.span.start, max(1, node.level)))
            path[-2].under.append(path[-1])
        path[-1].body.append(node)
    for chapter in path:
        chapter.end = length
    return path[0]
