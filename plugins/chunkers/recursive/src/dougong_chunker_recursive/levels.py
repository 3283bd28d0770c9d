"""The boundaries at which a document may be cut, from coarse to fine."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import regex
from dougong import Document, Section
from dougong_analyzer import words
from dougong_analyzer.scripts import UNSPACED
from dougong_analyzer.sentences import last_sentence_end, sentence_ends

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
_SPACE = re.compile(r"\s+")
_UNSPACED = regex.compile(f"[{UNSPACED}]")
_FINAL = set(".!?。！？…；;:：\"'”’」』)）")
_WINDOW = 120  # code points looked at first: an English sentence, three Chinese ones
_LINED = {"code", "table", "html", "front-matter"}


class Level(Protocol):
    """Boundaries of one kind, all between graphemes. Only those inside ``(start, stop)`` count."""

    def last(self, start: int, upto: int, stop: int) -> int:
        """The last boundary at or before `upto`, which is below `stop`; `start` if there is none."""
        ...

    def first(self, start: int, stop: int) -> int:
        """The first boundary; `stop` if there is none."""
        ...


def levels(document: Document, joints: bytearray, size: int) -> tuple[list[Level], int]:
    """The levels of `document`, and how many of them are of its structure: below those it is running text."""
    headings, blocks = _structure(document.tree, document.text, size) if document.tree else ({}, {})
    if not blocks:
        blocks = {1: _paragraphs(document.text, size)}
    structure: list[Level] = [
        Marks([at for at in sorted(set(marks)) if not (joints and joints[at])])
        for found in (headings, blocks)
        for _, marks in sorted(found.items())
    ]
    text = document.text
    running: list[Level] = [
        Sentences(text, joints),
        Found(text, joints, _line_ends),
        Found(text, joints, _word_starts),
        Graphemes(joints),
    ]
    return structure + running, len(structure)


def _structure(tree: Section, text: str, size: int) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """Starts of headings by level, and of all nodes by depth; but what follows a heading is not parted from it."""
    headings: dict[int, list[int]] = {}
    blocks: dict[int, list[int]] = {}
    held = -1  # where the node after a heading starts, and the first of its parts
    after_heading = False
    stack = [(child, 1) for child in reversed(tree.children)]
    while stack:
        node, depth = stack.pop()
        start = node.span.start
        if after_heading:
            held, after_heading = start, False
        if start != held:
            blocks.setdefault(depth, []).append(start)
            if node.kind == "heading":
                headings.setdefault(node.level, []).append(start)
        after_heading = node.kind == "heading"
        if node.children:
            stack.extend((child, depth + 1) for child in reversed(node.children))
        elif len(node.span) > size and node.kind in _LINED:
            blocks.setdefault(depth + 1, []).extend(_line_ends(text, start, node.span.end))
        elif len(node.span) > size and node.kind == "paragraph":
            blocks.setdefault(depth, []).extend(_prose_lines(text, start, node.span.end))
    return headings, blocks


def _paragraphs(text: str, size: int) -> list[int]:
    """Starts of the paragraphs of a text without a tree."""
    starts = [0, *(match.end() for match in _PARAGRAPH.finditer(text))]
    for start, end in zip(starts[:], [*starts[1:], len(text)]):
        if end - start > size:
            starts.extend(_prose_lines(text, start, end))
    return starts


def _prose_lines(text: str, start: int, end: int) -> Iterator[int]:
    """Starts of the lines that begin after a whole sentence: where each paragraph is one line, these are paragraphs."""
    for at in _line_ends(text, start, end):
        if text[max(start, at - 8) : at].rstrip()[-1:] in _FINAL:
            yield at


class Marks:
    """Boundaries that the document's structure gives."""

    def __init__(self, positions: list[int]) -> None:
        self._positions = positions

    def last(self, start: int, upto: int, stop: int) -> int:
        number = bisect_right(self._positions, upto)
        return max(start, self._positions[number - 1]) if number else start

    def first(self, start: int, stop: int) -> int:
        number = bisect_right(self._positions, start)
        return min(stop, self._positions[number]) if number < len(self._positions) else stop


class Found:
    """Boundaries that are looked for near to where they are needed; `find` gives those inside a stretch, ascending."""

    def __init__(self, text: str, joints: bytearray, find: Callable[[str, int, int], Iterable[int]]) -> None:
        self._text, self._joints, self._find = text, joints, find

    def last(self, start: int, upto: int, stop: int) -> int:
        window = _WINDOW
        while True:
            begin = max(start, upto - window)
            at = self._last(begin, upto + 1)
            while self._joints and self._joints[at] and at > begin:
                at = self._last(begin, at)
            if at > begin or begin == start:
                return at
            window *= 4

    def _last(self, start: int, stop: int) -> int:
        *_, at = (start, *self._find(self._text, start, stop))
        return at

    def first(self, start: int, stop: int) -> int:
        window = _WINDOW
        while True:
            end = min(stop, start + window)
            for at in self._find(self._text, start, end):
                if not (self._joints and self._joints[at]):
                    return at
            if end == stop:
                return stop
            window *= 4


class Sentences(Found):
    """Ends of sentences."""

    def __init__(self, text: str, joints: bytearray) -> None:
        super().__init__(text, joints, sentence_ends)

    def _last(self, start: int, stop: int) -> int:
        return last_sentence_end(self._text, start, stop)


def _line_ends(text: str, start: int, stop: int) -> Iterator[int]:
    at = text.find("\n", start, stop - 1)
    while at >= 0:
        yield at + 1
        at = text.find("\n", at + 1, stop - 1)


def _word_starts(text: str, start: int, stop: int) -> list[int]:
    """Where white space ends, and where a word starts in a script that does without or next to one."""
    piece = text[start:stop]
    found = {match.end() for match in _SPACE.finditer(piece)}
    if not piece.isascii():
        found.update(at for at, _ in words(piece) if _UNSPACED.match(piece, at) or piece[at - 1 : at] >= "\u2e80")
    return [start + at for at in sorted(found - {0, len(piece)})]


class Graphemes:
    """Every boundary between graphemes."""

    def __init__(self, joints: bytearray) -> None:
        self._joints = joints

    def last(self, start: int, upto: int, stop: int) -> int:
        if self._joints:
            while upto > start and self._joints[upto]:
                upto -= 1
        return max(start, upto)

    def first(self, start: int, stop: int) -> int:
        at = start + 1
        if self._joints:
            while at < stop and self._joints[at]:
                at += 1
        return at
