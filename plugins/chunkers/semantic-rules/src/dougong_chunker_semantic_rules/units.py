"""Sentences and blocks of a document, and chunks made of neighbouring ones. What the semantic chunkers share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

import attrs
import numpy as np
from dougong import Chunk, Document, Section, Span, Tokenizer
from dougong_analyzer.graphemes import joints
from dougong_analyzer.outline import Outline
from dougong_analyzer.sentences import sentence_ends
from dougong_chunker_recursive import Params as Recursive
from dougong_chunker_recursive.recursive import RecursiveChunker

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
_WHOLE = {"heading", "table", "code", "html", "front-matter", "formula", "rule", "contents"}  # hold no sentences
_OUTER = {"document", "page"}


@attrs.frozen
class Unit:
    """A stretch of text that is not cut, without white space at its edges.

    Attributes:
        kind: of the innermost block around it; ``text`` in a document without structure.
        block: number of that block, in order.
        level: of a heading.
    """

    start: int
    end: int
    kind: str
    block: int
    level: int = 0


class Units:
    """The units of a document: sentences of running text; headings, tables and code whole.

    No unit has more than `size` tokens but for a single grapheme: one that has is cut by chunker.recursive.
    """

    def __init__(self, document: Document, tokenizer: Tokenizer, size: int) -> None:
        self.document, self.tokenizer, self.size = document, tokenizer, size
        self.text = document.text
        self._outline = Outline(document)
        self._joints = joints(self.text)
        starts = np.ascontiguousarray(tokenizer.offsets(self.text)[:, 0], np.int64)
        self.units = list(self._fitting(list(self._sentences()), starts))
        # Token numbers at the start and end of each unit: tokens of units i to j are about after[j - 1] - before[i].
        self.before: np.ndarray = np.searchsorted(starts, np.array([unit.start for unit in self.units], np.int64))
        self.after: np.ndarray = np.searchsorted(starts, np.array([unit.end for unit in self.units], np.int64))

    def __len__(self) -> int:
        return len(self.units)

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Offsets of units `first` to `last`, the latter not included."""
        return self.units[first].start, self.units[last - 1].end

    def fits(self, first: int, last: int) -> bool:
        """Whether units `first` to `last` together have at most `size` tokens."""
        start, end = self.span(first, last)
        return self.tokenizer.count(self.text[start:end]) <= self.size

    def chunks(self, cuts: list[int]) -> Iterator[Chunk]:
        """Chunks between the units named in `cuts`: each is the first of a chunk, the first cut excepted.

        Tokens of a text may be more than those of its parts: what comes out too large is cut again.
        """
        for first, last in pairwise([0, *cuts, len(self)]):
            while first < last:
                stop = last
                while (found := self._chunk(first, stop)).oversize and stop - first > 1:
                    stop -= 1
                yield found
                first = stop

    def _chunk(self, first: int, last: int) -> Chunk:
        start, end = self.span(first, last)
        span, piece = Span(start, end), self.text[start:end]
        headings, section = self._outline.path(start, end)
        tokens = self.tokenizer.count(piece)
        return Chunk(
            id=Chunk.name(self.document.id, span),
            document=self.document.id,
            text=piece,
            span=span,
            headings=headings,
            parent=Span(*section) if section else None,
            tokens=tokens,
            oversize=tokens > self.size,
            meta=self._outline.meta(start, end),
        )

    def _sentences(self) -> Iterator[Unit]:
        """The units, whatever their size."""
        for number, (start, end, kind, level) in enumerate(self._blocks()):
            ends = [] if kind in _WHOLE else [at for at in sentence_ends(self.text, start, end) if self._parts(at)]
            for first, last in pairwise([start, *ends, end]):
                first, last = self._trim(first, last)
                if first < last:
                    yield Unit(first, last, kind, number, level)

    def _fitting(self, units: list[Unit], starts: np.ndarray) -> Iterator[Unit]:
        """The units, cut where they are too large. `starts` are those of the document's tokens."""
        edges = np.array([(unit.start, unit.end) for unit in units], np.int64).reshape(-1, 2)
        sizes = np.searchsorted(starts, edges[:, 1]) - np.searchsorted(starts, edges[:, 0])
        recursive = RecursiveChunker(Recursive(size=self.size, tokenizer=self.tokenizer))
        for unit, size in zip(units, sizes.tolist()):
            piece = self.text[unit.start : unit.end]
            if size <= self.size // 2 or self.tokenizer.count(piece) <= self.size:
                yield unit
                continue
            for part in recursive.chunk(Document("", piece)):
                span = part.span
                yield attrs.evolve(unit, start=unit.start + span.start, end=unit.start + span.end)

    def _blocks(self) -> Iterator[tuple[int, int, str, int]]:
        """Start, end, kind and level of each block, in order, without gaps."""
        found = list(_structure(self.document.tree)) if self.document.tree else []
        if not found:
            found = [(match.end(), "text", 0) for match in _PARAGRAPH.finditer(self.text)]
        kept = [(0, found[0][1] if found else "text", 0)]
        for start, kind, level in found:
            if start == kept[-1][0] or not self.text[kept[-1][0] : start].strip():
                kept[-1] = (kept[-1][0], kind, level)
            elif self._parts(start) and start > kept[-1][0]:
                kept.append((start, kind, level))
        for (start, kind, level), (end, _, _) in pairwise([*kept, (len(self.text), "", 0)]):
            yield start, end, kind, level

    def _parts(self, at: int) -> bool:
        """Whether a cut at `at` leaves all graphemes whole."""
        return not (self._joints and self._joints[at])

    def _trim(self, start: int, end: int) -> tuple[int, int]:
        """The stretch without the white space at its edges, but for what is part of a grapheme."""
        piece = self.text[start:end]
        first, last = start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
        if first >= last:
            return start, start
        while not self._parts(first):
            first -= 1
        while not self._parts(last):
            last += 1
        return first, last


def _structure(tree: Section) -> Iterator[tuple[int, str, int]]:
    """Start, kind and level of each block that holds no other, and of the first part of a list's item or a quote."""
    stack = [(child, -1) for child in reversed(tree.children)]
    while stack:
        node, opened = stack.pop()  # `opened`: behind its marker, the first part of an item starts nothing
        if node.kind in _OUTER:
            stack.extend((child, opened) for child in reversed(node.children))
            continue
        blocks = () if node.kind in _WHOLE else node.children
        if node.kind != "list":
            at = node.span.start if opened < 0 else opened
            yield at, node.kind if opened < 0 or not blocks else "item", node.level if node.kind == "heading" else 0
            opened = at
        stack.extend((child, opened if not number else -1) for number, child in reversed([*enumerate(blocks)]))
