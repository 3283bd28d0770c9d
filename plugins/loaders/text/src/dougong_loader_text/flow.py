"""Text and tree of a document built together, block by block: what the loaders of formatted documents share.

White space between blocks is decided here: two line ends around paragraphs and the like, one between list items, rows
and the paragraphs of a cell, a tab between cells, none at the edges of a section. Items are indented by their level.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs
from dougong import Section, Span

_SPACES = re.compile(r"[ \t\n\r\f]+")
_EMPTY_LINES = re.compile(r"^(?:[^\S\n]*\n)+")
_HOLDERS = {"document", "quote", "list", "table", "row"}  # text right inside them is a paragraph of its own
_DEPTH = 64  # sections inside one another; what is deeper joins the one around it


@attrs.define(eq=False)
class _Node:
    """A section that is still open. `start` is -1 until it holds text; `column` and `tabs` are a row's."""

    kind: str
    level: int = 0
    title: str = ""
    marker: str = ""
    meta: dict[str, Any] = attrs.field(factory=dict)
    breaks: int = 2
    implied: bool = False
    start: int = -1
    end: int = -1
    inner: int = -1  # behind the marker
    piece: int = 0
    children: list[_Node] = attrs.field(factory=list)
    column: int = 0
    tabs: int = 0
    empty: list[tuple[_Node, int]] = attrs.field(factory=list)  # cells whose place is not known yet, tabs before them
    made: Section | None = None

    def section(self) -> Section:
        """The finished section: children are made before what they are in."""
        if self.made is None:
            span, children = Span(self.start, self.end), tuple(child.section() for child in self.children)
            self.made = Section(self.kind, span, self.level, self.title, children, self.meta)
            self.children = []
        return self.made


class Flow:
    """Collects text in reading order, and the sections that are opened and closed around it.

    A section's span is from its first to its last character that is not white space, an item's from its marker.
    Sections without text are left out, but for cells. Text right inside a document, a quote or a list becomes a
    ``paragraph``; an item or a cell that holds one paragraph and nothing else is that paragraph. A heading is one
    line, and its title is its text. Sections deeper than 64 are not made: their text belongs to the one around them.
    """

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self._root = _Node("document", start=0)
        self._stack = [self._root]
        self._begun = 1  # how many of the stack have a start
        self._ghosts = 0  # sections that were opened but not made
        self._breaks = 0  # line ends that blocks ask for
        self._lines = 0  # line ends inside a block
        self._held = ""  # white space that shows only between two words of a line
        self._links: list[tuple[str, list[int]]] = []
        self._page: int | None = None

    @property
    def kind(self) -> str:
        """Kind of the innermost section."""
        return self._stack[-1].kind

    def depth(self, kind: str) -> int:
        """How many sections of a kind are open."""
        return sum(node.kind == kind for node in self._stack)

    def open(
        self,
        kind: str,
        level: int = 0,
        *,
        breaks: int = 2,
        title: str = "",
        marker: str = "",
        meta: Mapping[str, Any] | None = None,
        column: int = 0,
    ) -> None:
        """Open a section. `breaks`: line ends around it; `marker`: what stands before an item; `column`: a cell's."""
        if self._flat() or len(self._stack) - self._stack[-1].implied >= _DEPTH:
            self.block(min(breaks, 1))
            self._ghosts += 1
            return
        self.block(0 if kind == "cell" else breaks)
        row = self._stack[-1]
        if kind == "cell":
            row.tabs += column - row.column
            row.column = column
            if row.start >= 0:
                self._breaks, self._lines = 0, 0
            self._held = ""
        self._stack.append(_Node(kind, level, title, marker, dict(meta or {}), breaks))

    def close(self) -> None:
        """Close the innermost section."""
        if self._ghosts:
            self._ghosts -= 1
            self.block()
            return
        self._end_implied()
        node = self._pop()
        if node.kind == "heading":
            node.title = "".join(self._pieces[node.piece :])
        if node.kind in ("item", "cell") and len(node.children) == 1:
            (child,) = node.children
            if child.kind == "paragraph" and (child.start, child.end) == (node.inner, node.end):
                node.children, node.meta = child.children, child.meta | node.meta
        above = self._stack[-1]
        if node.start >= 0:
            above.children.append(node)
            if node.kind == "row":
                for cell, _ in node.empty:
                    cell.start = cell.end = node.end
        elif node.kind == "cell":
            above.children.append(node)
            above.empty.append((node, above.tabs))
        if node.kind != "cell":
            self.block(node.breaks)
        elif node.start >= 0:
            self._breaks, self._lines, self._held = 0, 0, ""

    def block(self, breaks: int = 1) -> None:
        """A boundary between blocks: what follows starts `breaks` lines further down at least."""
        if self._flat():
            self._held = self._held or " "
            return
        self._end_implied()
        if not self._fresh():
            self._breaks = max(self._breaks, min(breaks, 1) if self.depth("cell") else breaks)

    def line(self) -> None:
        """End the line inside a block."""
        if self._flat():
            self._held = self._held or " "
        elif not self._fresh() and self._length:
            self._lines += 1

    def add(self, text: str, collapse: bool = False) -> None:
        """Text of the innermost section. `collapse`: runs of white space are one space, as CSS has it."""
        text = text.replace("\u00ad", "")  # hyphens that only show where a line ends
        content = text.strip()
        if not content:
            self._hold(text, collapse)
            return
        before, _, after = text.partition(content)
        self._hold(before, collapse)
        self._begin()
        self._put(_SPACES.sub(" ", content) if collapse else content)
        self._hold(after, collapse)

    def raw(self, text: str, strip: bool = True) -> None:
        """Text whose white space means something. `strip`: but for empty lines at the start and space at the end."""
        if strip:
            text = _EMPTY_LINES.sub("", text).rstrip()
        if text:
            self._begin()
            self._put(text)

    def text(self) -> str:
        """The text of the innermost section so far."""
        node = self._stack[-1]
        return "".join(self._pieces[node.piece :]) if node.start >= 0 else ""

    def inline(self, kind: str, text: str) -> None:
        """Text in the line that is a section of its own; white space at its edges is left out."""
        if text := text.strip():
            self._begin()
            start = self._length
            self._put(text)
            if self._stack[-1].kind != "heading":
                self._stack[-1].children.append(_Node(kind, made=Section(kind, Span(start, self._length))))

    def link(self, target: str) -> None:
        """What follows, up to `unlink`, leads to `target`."""
        self._links.append((target, []))

    def unlink(self) -> None:
        """End the innermost link: ``[start, end, target]`` in ``meta["links"]`` of the section that it ends in."""
        if not self._links:
            return
        target, starts = self._links.pop()
        node = self._stack[-1]
        if starts and target and node.start >= 0 and self._length > max(starts[0], node.start):
            node.meta.setdefault("links", []).append([max(starts[0], node.start), self._length, target])

    def page(self, number: int) -> None:
        """The next block of the document starts page `number`, or a later one that is told before it."""
        self._page = number

    def finish(self) -> tuple[str, Section]:
        """The text and its tree."""
        self._end_implied()
        while len(self._stack) > 1:
            self.close()
        self._root.end = self._length
        return "".join(self._pieces), self._root.section()

    def _flat(self) -> bool:
        return self._stack[-1].kind == "heading"

    def _fresh(self) -> bool:
        """Whether an item or a cell is open that holds nothing yet: its first block does not start a line."""
        return any(node.kind in ("item", "cell") for node in self._stack[self._begun :])

    def _end_implied(self) -> None:
        if self._stack[-1].implied:
            node = self._pop()
            if node.start >= 0:
                self._stack[-1].children.append(node)

    def _pop(self) -> _Node:
        node = self._stack.pop()
        self._begun = min(self._begun, len(self._stack))
        node.end = self._length
        return node

    def _hold(self, space: str, collapse: bool) -> None:
        self._held += space
        if collapse:
            self._held = _SPACES.sub(" ", self._held)

    def _begin(self) -> None:
        """Before text: the white space that is due, and the start of the sections that it is the first text of."""
        if self._stack[-1].kind in _HOLDERS:
            self._stack.append(_Node("paragraph", implied=True))
        if self._length:
            if ends := self._breaks or min(self._lines, 2):
                items = [node.level for node in self._stack[self._begun : self._begun + 2] if node.kind == "item"]
                self._put("\n" * ends + "  " * (items[0] - 1 if items else 0))
            elif self._held and not self._fresh():
                self._put(self._held)
        self._breaks, self._lines, self._held = 0, 0, ""
        if self._page is not None and self._begun == 1:
            here = Span(self._length, self._length)
            self._root.children.append(_Node("page", made=Section("page", here, meta={"page": self._page})))
            self._page = None
        for number in range(self._begun, len(self._stack)):
            node = self._stack[number]
            if node.kind == "cell":
                row = self._stack[number - 1]
                for cell, tabs in row.empty:
                    cell.start = cell.end = self._length + tabs
                self._put("\t" * row.tabs)
                row.tabs, row.empty = 0, []
            node.start, node.piece = self._length, len(self._pieces)
            if node.marker:
                self._put(node.marker + " ")
            node.inner = self._length
        self._begun = len(self._stack)
        for _, starts in self._links:
            if not starts:
                starts.append(self._length)

    def _put(self, text: str) -> None:
        self._pieces.append(text)
        self._length += len(text)
