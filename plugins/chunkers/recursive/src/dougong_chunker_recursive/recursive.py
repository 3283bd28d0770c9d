"""Recursive splitting: what is too large is cut at the next finer boundary."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from dougong import Chunk, Document, Span, Tokenizer
from dougong_analyzer.graphemes import joints
from dougong_analyzer.outline import Outline

from dougong_chunker_recursive.levels import Level, levels

if TYPE_CHECKING:
    from dougong_chunker_recursive import Params

_SPACE = re.compile(r"\s+")
Piece = tuple[int, str, Span | None, int]  # start, text, parent, tokens


class RecursiveChunker:
    """Chunks of at most `size` tokens, cut at the coarsest boundaries that allow it.

    The levels are chapters (by heading level), blocks (paragraphs, lists; then items, rows, lines of code), sentences,
    lines, words, graphemes. A node of the document that fits is kept whole. Neighbours are joined while they fit
    together, but never over a coarser boundary than their own; only what is too large alone is split at the next level.
    A heading stays with what follows it.

    ``tokenizer.count(chunk.text) <= size`` always, but for a single grapheme that has more tokens: `oversize` is set.
    Chunks have no white space at their edges. `headings` is the path of headings over the whole chunk (one at its start
    included), `parent` the chapter, block or paragraph that was split; None for a piece of the whole document.
    """

    def __init__(self, params: Params) -> None:
        self.size, self.tokenizer = params.size, params.tokenizer

    def chunk(self, document: Document) -> Iterator[Chunk]:
        """The chunks of `document`, in order, not overlapping."""
        outline = Outline(document)
        cutter = _Cutter(document, self.tokenizer, self.size)
        for start, text, parent, tokens in cutter.cut(0, len(document.text)):
            span = Span(start, start + len(text))
            yield Chunk(
                id=Chunk.name(document.id, span),
                document=document.id,
                text=text,
                span=span,
                headings=outline.path(span.start, span.end)[0],
                parent=parent,
                tokens=tokens,
                oversize=tokens > self.size,
                meta=outline.meta(start, span.end),
            )


class _Cutter:
    """One document being cut."""

    def __init__(self, document: Document, tokenizer: Tokenizer, size: int) -> None:
        self.text, self.count, self.size = document.text, tokenizer.count, size
        self.joints = joints(document.text)
        self.levels, self.structured = levels(document, self.joints, size)
        self.reach = _reach(tokenizer.offsets(document.text), len(document.text))

    def cut(self, start: int, stop: int, depth: int = 0, parent: Span | None = None) -> Iterator[Piece]:
        """Cut ``[start, stop)`` at the boundaries of level `depth`, and at finer ones where need be."""
        level, at = self.levels[depth], start
        while (at := self._skip(at, stop)) < stop:
            end, piece, tokens = self._longest(at, stop, level)
            if end > at:
                yield at, piece, parent, tokens
            else:  # not even the first node fits
                end = level.first(at, stop)
                if depth + 1 == len(self.levels):
                    yield at, self.text[at:end], parent, self.count(self.text[at:end])
                elif depth + 1 > self.structured or (at, end) == (start, stop):
                    yield from self.cut(at, end, depth + 1, parent)
                else:
                    yield from self.cut(at, end, depth + 1, Span(at, at + len(self._piece(at, end))))
            at = end

    def _longest(self, at: int, stop: int, level: Level) -> tuple[int, str, int]:
        """The furthest boundary up to which the text from `at` fits, that text, and its tokens; `at` if there is none.

        Tokens of a part may be others than those of the whole: the offsets of the whole only tell where to try, and the
        count decides.
        """
        budget = self.size
        while budget > 0:
            limit = self._skip(self.reach(at, budget), stop)
            end = stop if limit >= stop else level.last(at, limit, stop)
            if end == at:
                break
            piece = self._piece(at, end)
            tokens = self.count(piece)
            if tokens <= self.size:
                return end, piece, tokens
            budget -= tokens - self.size
        return at, "", 0

    def _skip(self, at: int, stop: int) -> int:
        """The next place from `at` on that is not white space."""
        if at < stop and self.text[at].isspace():
            at = _SPACE.match(self.text, at, stop).end()  # type: ignore[union-attr]
            while self.joints and self.joints[at]:
                at -= 1
        return at

    def _piece(self, start: int, end: int) -> str:
        """The text without the white space at its end, but for what is part of a grapheme."""
        piece = self.text[start:end].rstrip()
        if self.joints and self.joints[start + len(piece)]:
            last = start + len(piece)
            while self.joints[last]:
                last += 1
            piece = self.text[start:last]
        return piece


def _reach(offsets: np.ndarray, length: int) -> Callable[[int, int], int]:
    """A function of a place and a number of tokens: the start of the token that comes so many later."""
    count = len(offsets)
    if count == length:  # a token a character: no need to search
        return lambda at, tokens: min(length, at + tokens)
    starts: np.ndarray = np.append(offsets[:, 0], length)
    return lambda at, tokens: int(starts[min(count, int(starts.searchsorted(at)) + tokens)])
