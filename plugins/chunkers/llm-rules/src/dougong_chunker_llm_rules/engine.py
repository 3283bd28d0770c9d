"""Carries rules out: a document's text to spans, none larger than the maximum."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

import attrs
from dougong import Document, Span, Tokenizer
from dougong_analyzer.graphemes import joints
from dougong_chunker_recursive import Params as RecursiveParams
from dougong_chunker_recursive.recursive import RecursiveChunker

from dougong_chunker_llm_rules.rules import Mark, Rules


@attrs.frozen
class Piece:
    """A stretch that becomes a chunk.

    Attributes:
        rule: name of the rule that begins the passage it is of; empty before the first.
        begun: whether a rule begins that passage.
        passage: the whole passage where this is only a part of it.
        maximum: whether rules did not suffice to cut it, and it was cut recursively.
    """

    span: Span
    tokens: int
    rule: str
    begun: bool
    passage: Span | None
    maximum: bool = False


class Engine:
    """Cuts by rules.

    The lowest level (1) always cuts. What is then larger than `size` is cut at the next level, its neighbours joined
    while they fit; what no level makes small enough is cut by `chunker.recursive`.
    """

    def __init__(self, rules: Rules, size: int, tokenizer: Tokenizer) -> None:
        self.rules, self.count = rules, tokenizer.count
        self.size = min(size, rules.max or size)
        self._top = min(rule.level for rule in rules.rules)
        self._recursive = RecursiveChunker(RecursiveParams(self.size, tokenizer))

    def cut(self, document: Document) -> Iterator[Piece]:
        """The pieces of `document`, in order, not overlapping; only white space is left out."""
        text, inside = document.text, joints(document.text)
        marks = self.rules.marks(text)
        starts = [mark.start for mark in marks]
        tops = [mark for mark in marks if mark.level == self._top]
        for first, begin, end in _between(tops, 0, len(text)):
            whole = _trimmed(text, begin, end, inside)
            if whole is None:
                continue
            below = marks[bisect_right(starts, whole.start) : bisect_left(starts, whole.end)]
            for span, tokens, recursive in self._fit(document, whole, below, inside):
                part = None if span == whole else whole
                yield Piece(span, tokens, first.rule if first else "", first is not None, part, recursive)

    def _fit(
        self, document: Document, whole: Span, marks: Sequence[Mark], inside: bytearray
    ) -> Iterator[tuple[Span, int, bool]]:
        """`whole` if it fits, else its parts; each with its tokens, and whether it was cut recursively."""
        tokens = self.count(whole.of(document.text))
        if tokens <= self.size:
            yield whole, tokens, False
        elif not marks:
            for chunk in self._recursive.chunk(_stretch(document, whole)):
                yield Span(whole.start + chunk.span.start, whole.start + chunk.span.end), chunk.tokens, True
        else:
            level = min(mark.level for mark in marks)
            here = [mark for mark in marks if mark.level == level]
            finer = [mark for mark in marks if mark.level > level]
            parts = [
                _trimmed(document.text, begin, end, inside) for _, begin, end in _between(here, whole.start, whole.end)
            ]
            for joined, tokens in self._joined(document.text, [part for part in parts if part]):
                if tokens <= self.size:
                    yield joined, tokens, False
                else:
                    inner = [mark for mark in finer if joined.start < mark.start < joined.end]
                    yield from self._fit(document, joined, inner, inside)

    def _joined(self, text: str, parts: Sequence[Span]) -> Iterator[tuple[Span, int]]:
        """Neighbours as one while they fit together; a part that is too large stands alone."""
        sizes = [self.count(part.of(text)) for part in parts]
        at = 0
        while at < len(parts):
            last, total = at, sizes[at]
            while last + 1 < len(parts) and total + sizes[last + 1] <= self.size:
                last += 1
                total += sizes[last]
            span = Span(parts[at].start, parts[last].end)
            tokens = self.count(span.of(text))
            while last > at and tokens > self.size:  # a whole may have more tokens than its parts
                last -= 1
                span = Span(parts[at].start, parts[last].end)
                tokens = self.count(span.of(text))
            yield span, tokens
            at = last + 1


def _between(marks: Sequence[Mark], start: int, stop: int) -> Iterator[tuple[Mark | None, int, int]]:
    """The stretches that `marks` cut ``[start, stop)`` into, each with the mark that begins it."""
    edges: list[tuple[Mark | None, int]] = [(mark, mark.start) for mark in marks]
    if not edges or edges[0][1] > start:
        edges.insert(0, (None, start))
    for (mark, begin), (_, end) in pairwise([*edges, (None, stop)]):
        yield mark, begin, end


def _trimmed(text: str, start: int, end: int, inside: bytearray) -> Span | None:
    """The stretch without white space at its ends, but for what is part of a grapheme; None if nothing is left."""
    piece = text[start:end]
    if not piece.strip():
        return None
    start += len(piece) - len(piece.lstrip())
    end -= len(piece) - len(piece.rstrip())
    while inside and inside[start]:
        start -= 1
    while inside and inside[end]:
        end += 1
    return Span(start, end)


def _stretch(document: Document, span: Span) -> Document:
    return Document(document.id, span.of(document.text))


def covered(pieces: Sequence[Piece], text: str) -> tuple[int, int]:
    """Characters that are not white space: those in passages that a rule begins and the rules alone cut, and all."""
    good = [piece.span.of(text) for piece in pieces if piece.begun and not piece.maximum]
    return sum(len("".join(part.split())) for part in good), len("".join(text.split()))
