"""Blocks to the text and tree of a document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import Any

from dougong import Section, Span

from dougong_loader_pdf.blocks import BULLET, Block
from dougong_loader_pdf.layout import Line, rows
from dougong_loader_pdf.lines import Joiner, Piece
from dougong_loader_pdf.tables import Table


class Writer:
    """Writes blocks one after another, noting where each stands."""

    def __init__(self, joiner: Joiner) -> None:
        self._joiner = joiner
        self._text: list[str] = []
        self._at = 0

    def write(self, found: Sequence[Block]) -> tuple[Section, str]:
        """Tree and text. Blocks are parted by an empty line, items of a list and rows of a table by a line end."""
        nodes: list[Section] = []
        for block, items in _with_lists(found):
            if nodes:
                self._put("\n\n")
            if items:
                nodes.append(self._list(items, 1))
            elif block.table:
                nodes.append(self._table(block.table))
            elif block.kind == "contents":
                nodes.append(self._contents(block))
            else:
                nodes.append(self._block(block, block.kind, block.level))
        return Section("document", Span(0, self._at), children=tuple(nodes)), "".join(self._text)

    def _put(self, text: str) -> None:
        self._text.append(text)
        self._at += len(text)

    def _block(self, block: Block, kind: str, level: int) -> Section:
        start = self._at
        meta: dict[str, Any] = {"page": block.page, "box": _box(_part(block, 0))}
        if kind == "code":
            self._put(_code(block.lines))
        else:
            text = ""
            for number, line in enumerate(block.lines):
                drop, glue = self._joiner.between(text, line.text)
                text = text[: len(text) - drop] + glue
                if number in block.breaks:
                    box = _box(_part(block, block.breaks.index(number) + 1))
                    meta.setdefault("continues", []).append({"at": start + len(text), "page": line.page, "box": box})
                text += line.text
            self._put(text)
        if block.note:
            meta["note"] = True
        written = "".join(self._text[-1:])
        return Section(kind, Span(start, self._at), level, written if kind == "heading" else "", (), meta)

    def _list(self, items: Sequence[Block], level: int) -> Section:
        """A list; items that stand further in than the one before are a list in it."""
        start, nodes = self._at, []
        margin = items[0].lines[0].x0
        groups: list[list[Block]] = []
        for item in items:
            further = 0.8 * item.size < item.lines[0].x0 - margin < 8 * item.size
            if groups and further and item.lines[0].page == groups[-1][0].page:
                groups[-1].append(item)
                continue
            groups.append([item])
            margin = item.lines[0].x0
        for number, (item, *inner) in enumerate(groups):
            if number:
                self._put("\n")
            node = self._block(item, "item", level)
            if inner:
                self._put("\n")
                nested = self._list(inner, level + 1)
                node = Section("item", Span(node.span.start, self._at), level, "", (nested,), node.meta)
            nodes.append(node)
        meta = {"page": items[0].page, "box": _box(line for line in items[0].lines)}
        return Section("list", Span(start, self._at), level, "", tuple(nodes), meta)

    def _table(self, table: Table) -> Section:
        start, nodes = self._at, []
        for number, (_, group) in enumerate(groupby(table.cells, key=lambda cell: cell.row)):
            if number:
                self._put("\n")
            first, cells, boxes = self._at, [], []
            for position, cell in enumerate(group):
                if position:
                    self._put("\t")
                begin = self._at
                self._put(self._joiner.text(line.text for line in rows(cell.pieces)))
                meta: dict[str, Any] = {"page": table.page, "column": cell.column}
                if cell.pieces:
                    meta["box"] = _box(cell.pieces)
                    boxes += cell.pieces
                if cell.rows > 1:
                    meta["rows"] = cell.rows
                if cell.columns > 1:
                    meta["columns"] = cell.columns
                cells.append(Section("cell", Span(begin, self._at), meta=meta))
            own: dict[str, Any] = {"page": table.page, "box": _box(boxes or [*table_pieces(table)])}
            if number == 0 and table.has_header:
                own["header"] = True
            nodes.append(Section("row", Span(first, self._at), children=tuple(cells), meta=own))
        meta = {"page": table.page, "box": [round(edge, 1) for edge in table.box]}
        return Section("table", Span(start, self._at), children=tuple(nodes), meta=meta)

    def _contents(self, block: Block) -> Section:
        start, nodes = self._at, []
        for number, (title, label, _) in enumerate(block.entries):
            if number:
                self._put("\n")
            begin = self._at
            self._put(f"{title} … {label}")
            nodes.append(Section("item", Span(begin, self._at), 1, meta={"page": block.page, "label": label}))
        meta = {"page": block.page, "box": _box(block.lines)}
        return Section("contents", Span(start, self._at), children=tuple(nodes), meta=meta)


def table_pieces(table: Table) -> Iterable[Piece]:
    return (piece for cell in table.cells for piece in cell.pieces)


def _with_lists(found: Sequence[Block]) -> Iterable[tuple[Block, list[Block]]]:
    """Blocks in order, items that follow each other together. An item alone is a paragraph unless it has a bullet."""
    for is_item, group in groupby(found, key=lambda block: block.kind == "item"):
        members = list(group)
        if is_item and (len(members) > 1 or BULLET.match(members[0].lines[0].text)):
            yield members[0], members
            continue
        for block in members:
            if is_item:
                block.kind = "paragraph"
            yield block, []


def _part(block: Block, number: int) -> list[Line]:
    """The lines of a block that stand in one column."""
    edges = [0, *block.breaks, len(block.lines)]
    return block.lines[edges[number] : edges[number + 1]]


def _box(parts: Iterable[Line | Piece]) -> list[float]:
    boxes = [part.box for part in parts]
    lows, highs = zip(*((box[:2], box[2:]) for box in boxes))
    corner = (min(x for x, _ in lows), min(y for _, y in lows), max(x for x, _ in highs), max(y for _, y in highs))
    return [round(edge, 1) for edge in corner]


def _code(lines: Sequence[Line]) -> str:
    """Lines of code with the blanks between and before them: all its characters are of one width."""
    left = min(line.x0 for line in lines)
    step = min((b.base - a.base for a, b in pairwise(lines)), default=0.0)
    text = ""
    before = None
    for line in lines:
        if before is not None:
            text += "\n" * (round((line.base - before.base) / step) if step > 0 else 1)
        at = left
        for piece in line.pieces:
            width = (piece.x1 - piece.x0) / max(1, len(piece.text))
            text += " " * max(round((piece.x0 - at) / width), int(piece is not line.pieces[0])) + piece.text
            at = piece.x1
        before = line
    return text
