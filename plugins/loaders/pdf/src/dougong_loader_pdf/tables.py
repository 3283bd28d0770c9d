"""Tables: cells between ruling lines, and columns that line up without any."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import attrs

from dougong_loader_pdf.lines import Piece
from dougong_loader_pdf.reader import Rule

if TYPE_CHECKING:
    from dougong_loader_pdf.layout import Line

_TOUCH = 3.0  # ruling lines that come this near meet, in points
_NUMERIC = re.compile(r"[-+−±(~≈<>]?[$€£¥￥]?\s*[\d.,]+\s*[%‰)]?|[-–—/]|")


@attrs.define
class Cell:
    """A cell: its place in the table, how many rows and columns it takes, and its pieces."""

    row: int
    column: int
    rows: int = 1
    columns: int = 1
    pieces: list[Piece] = attrs.field(factory=list)


@attrs.define
class Table:
    """A table on a page. `cells` are in order of rows, then columns."""

    page: int
    box: tuple[float, float, float, float]
    cells: list[Cell]

    @property
    def has_header(self) -> bool:
        """Whether the first row names the columns: bold above what is not, or words above figures."""
        first = [cell for cell in self.cells if cell.row == 0]
        below = [cell for cell in self.cells if cell.row > 0]
        if not below or not all(cell.pieces for cell in first[1:]):
            return False
        bold = all(piece.bold for cell in first for piece in cell.pieces)
        if bold and not all(piece.bold for cell in below for piece in cell.pieces):
            return True
        figures = [_is_numeric(cell) for cell in below if cell.pieces]
        return not any(_is_numeric(cell) for cell in first if cell.pieces) and sum(figures) * 5 > len(figures)


def _is_numeric(cell: Cell) -> bool:
    return bool(_NUMERIC.fullmatch(" ".join(piece.text for piece in cell.pieces)))


# ---------------------------------------------------------------- with ruling lines


def ruled(pieces: list[Piece], rules: Sequence[Rule], page: int) -> tuple[list[Table], list[Piece]]:
    """Tables drawn with ruling lines in both directions, and the pieces outside them.

    Lines that meet form a grid. A missing stretch between two fields of the grid makes them one cell.
    """
    tables: list[Table] = []
    for group in _meeting(rules):
        level = [rule for rule in group if rule.y0 == rule.y1]
        upright = [rule for rule in group if rule.x0 == rule.x1]
        xs, ys = _clustered([rule.x0 for rule in upright]), _clustered([rule.y0 for rule in level])
        if level:  # rules above and below without ones at the sides still close the table
            xs = _clustered([*xs, min(rule.x0 for rule in level), max(rule.x1 for rule in level)])
        if len(xs) < 3 or len(ys) < 3 or len(upright) < 1:
            continue
        table = _grid(xs, ys, level, upright, pieces, page)
        filled = [cell for cell in table.cells if cell.pieces]
        frame = len(filled) < 8 and any(len({round(p.base) for p in cell.pieces}) > 12 for cell in filled)
        wide, tall = (len({getattr(cell, way) for cell in filled}) > 1 for way in ("column", "row"))
        if wide and tall and not frame and len(filled) >= max(3, 0.3 * len(table.cells)):
            tables.append(table)
    inside = {id(piece) for table in tables for cell in table.cells for piece in cell.pieces}
    return tables, [piece for piece in pieces if id(piece) not in inside]


def _meeting(rules: Sequence[Rule]) -> list[list[Rule]]:
    """Rules in groups that hang together."""
    groups: list[list[Rule]] = []
    boxes: list[tuple[float, float, float, float]] = []
    for rule in _straightened(rules)[:3000]:
        touched = [n for n, box in enumerate(boxes) if _near(rule, box) and any(_near(rule, r) for r in groups[n])]
        merged = [rule]
        for number in reversed(touched):
            merged += groups.pop(number)
            boxes.pop(number)
        groups.append(merged)
        boxes.append(
            (min(r.x0 for r in merged), min(r.y0 for r in merged), max(r.x1 for r in merged), max(r.y1 for r in merged))
        )
    return groups


def _straightened(rules: Sequence[Rule]) -> list[Rule]:
    """Stretches of one line, as of the cells that it is drawn for, as one rule each; from top to bottom."""
    found: list[Rule] = []
    for level in (True, False):
        own = [rule for rule in rules if (rule.y0 == rule.y1) == level]
        begin = len(found)
        for rule in sorted(own, key=lambda r: (round(r.y0), r.x0) if level else (round(r.x0), r.y0)):
            last = found[-1] if len(found) > begin else None
            if last and level and abs(rule.y0 - last.y0) < 1 and rule.x0 <= last.x1 + 1:
                found[-1] = last._replace(x1=max(last.x1, rule.x1))
            elif last and not level and abs(rule.x0 - last.x0) < 1 and rule.y0 <= last.y1 + 1:
                found[-1] = last._replace(y1=max(last.y1, rule.y1))
            else:
                found.append(rule)
    return sorted(found, key=lambda rule: (rule.y0, rule.x0))


def _near(rule: Rule, box: Sequence[float]) -> bool:
    return (
        rule.x0 <= box[2] + _TOUCH
        and box[0] <= rule.x1 + _TOUCH
        and rule.y0 <= box[3] + _TOUCH
        and box[1] <= rule.y1 + _TOUCH
    )


def _clustered(values: Iterable[float]) -> list[float]:
    """Values that lie close together as one each, ascending."""
    groups: list[list[float]] = []
    for value in sorted(values):
        if groups and value - groups[-1][-1] <= _TOUCH:
            groups[-1].append(value)
        else:
            groups.append([value])
    return [sum(group) / len(group) for group in groups]


def _grid(
    xs: list[float], ys: list[float], level: list[Rule], upright: list[Rule], pieces: list[Piece], page: int
) -> Table:
    """The cells of a grid: fields that no line parts are one."""
    owner = {(row, column): (row, column) for row in range(len(ys) - 1) for column in range(len(xs) - 1)}

    def find(field: tuple[int, int]) -> tuple[int, int]:
        while owner[field] != field:
            field = owner[field]
        return field

    for row, (top, bottom) in enumerate(pairwise(ys)):
        for column, (left, right) in enumerate(pairwise(xs)):
            x, y = (left + right) / 2, (top + bottom) / 2
            if column + 2 < len(xs) and not any(
                abs(r.x0 - right) <= _TOUCH and r.y0 - 1 <= y <= r.y1 + 1 for r in upright
            ):
                owner[find((row, column + 1))] = find((row, column))
            if row + 2 < len(ys) and not any(abs(r.y0 - bottom) <= _TOUCH and r.x0 - 1 <= x <= r.x1 + 1 for r in level):
                owner[find((row + 1, column))] = find((row, column))
    fields: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for field in owner:
        fields[find(field)].append(field)
    cells: dict[tuple[int, int], Cell] = {}
    for root, members in fields.items():
        row, column = min(r for r, _ in members), min(c for _, c in members)
        cells[root] = Cell(row, column, max(r for r, _ in members) - row + 1, max(c for _, c in members) - column + 1)
    for piece in pieces:
        row = _slot(ys, piece.base - 0.3 * piece.size)
        column = _slot(xs, (piece.x0 + piece.x1) / 2)
        if row is not None and column is not None:
            cells[find((row, column))].pieces.append(piece)
    ordered = sorted(cells.values(), key=lambda cell: (cell.row, cell.column))
    return Table(page, (xs[0], ys[0], xs[-1], ys[-1]), _without_empty(ordered))


def _slot(edges: list[float], value: float) -> int | None:
    return next((n for n, (low, high) in enumerate(pairwise(edges)) if low <= value < high), None)


def _without_empty(cells: list[Cell]) -> list[Cell]:
    """Cells without the rows and columns that nothing begins in: double lines and frames make such."""
    rows = sorted({cell.row for cell in cells if cell.pieces})
    columns = sorted({cell.column for cell in cells if cell.pieces})
    kept = []
    for cell in cells:
        down = [row for row in rows if cell.row <= row < cell.row + cell.rows]
        along = [column for column in columns if cell.column <= column < cell.column + cell.columns]
        if down and along:
            place = (rows.index(down[0]), columns.index(along[0]))
            kept.append(attrs.evolve(cell, row=place[0], column=place[1], rows=len(down), columns=len(along)))
    return kept


# ---------------------------------------------------------------- without


def aligned(parts: Sequence[Line | Table]) -> list[Line | Table]:
    """The parts of a column, runs of lines whose pieces line up in columns made tables."""
    found: list[Line | Table] = []
    at = 0
    while at < len(parts):
        end = _longest(parts, at)
        lines = parts[at:end]
        if end > at and (table := _table(lines)):  # type: ignore[arg-type]
            found.append(table)
            at = end
        else:
            found.append(parts[at])
            at += 1
    return found


def _longest(parts: Sequence[Line | Table], at: int) -> int:
    """Where the table that begins at `at` ends; `at` if none does."""
    first = parts[at]
    if isinstance(first, Table) or len(first.pieces) < 2 or first.mono:
        return at
    end = at
    step = 0.0
    intervals: list[tuple[float, float]] = []
    while end < len(parts):
        line = parts[end]
        if isinstance(line, Table):
            break
        if end > at:
            gap = line.base - parts[end - 1].base  # type: ignore[union-attr]
            if gap > (1.6 * step if step else 3.6 * line.size) or abs(line.size - first.size) > 0.25 * first.size:
                break
        merged = _merged([*intervals, *((piece.x0, piece.x1) for piece in line.pieces)], 0.45 * line.size)
        single = len(line.pieces) == 1
        if len(merged) < 2 or (len(intervals) > 2 and len(merged) < len(intervals)):
            break
        if single and not _continues(parts, end, step):
            break
        if not single and end > at:
            step = max(step, line.base - parts[end - 1].base)  # type: ignore[union-attr]
        intervals = merged
        end += 1
    return end


def _continues(parts: Sequence[Line | Table], at: int, step: float) -> bool:
    """Whether a line of one piece stands so near to the one before that it goes on with one of its cells."""
    gap = parts[at].base - parts[at - 1].base  # type: ignore[union-attr]
    following = parts[at + 1] if at + 1 < len(parts) else None
    after = following.base - parts[at].base if following is not None and not isinstance(following, Table) else 99.0  # type: ignore[union-attr]
    return (step > 0 and gap < 0.85 * step) or gap < 0.8 * after


def _merged(intervals: list[tuple[float, float]], gap: float) -> list[tuple[float, float]]:
    """Intervals that overlap, or nearly so, as one each."""
    found: list[tuple[float, float]] = []
    for low, high in sorted(intervals):
        if found and low <= found[-1][1] + gap:
            found[-1] = (found[-1][0], max(found[-1][1], high))
        else:
            found.append((low, high))
    return found


def _table(lines: Sequence[Line]) -> Table | None:
    """A table of lines that line up; None if they are rather prose, or a list of a few words."""
    columns = _merged([(p.x0, p.x1) for line in lines for p in line.pieces], 0.45 * lines[0].size)
    full = [line for line in lines if len(line.pieces) > 1]
    if len(columns) < 2 or len(full) < (3 if len(columns) == 2 else 2):
        return None
    whole = sum(len(line.pieces) for line in full)
    if whole < 0.6 * len(full) * len(columns):
        return None
    gaps = [b.base - a.base for a, b in pairwise(lines)]
    tight = 1.15 * min(gaps)  # the distance of lines in a cell, if that of rows is larger
    wide = sum(gap > tight for gap in gaps) / len(gaps)
    cells: dict[tuple[int, int], Cell] = {}
    row = -1
    for number, line in enumerate(lines):
        places = {_column(columns, piece) for piece in line.pieces}
        near = number > 0 and gaps[number - 1] <= tight and max(gaps) > 1.05 * tight
        if not (near and (wide >= 0.4 or 0 not in places or len(line.pieces) == 1)):
            row += 1
            for column in range(len(columns)):
                cells[row, column] = Cell(row, column)
        for piece in line.pieces:
            cells[row, _column(columns, piece)].pieces.append(piece)
    boxes = [line.box for line in lines]
    box = (min(b[0] for b in boxes), boxes[0][1], max(b[2] for b in boxes), boxes[-1][3])
    return Table(lines[0].page, box, [cells[key] for key in sorted(cells)]) if row > 0 else None


def _column(columns: list[tuple[float, float]], piece: Piece) -> int:
    return next(n for n, (low, high) in enumerate(columns) if low <= (piece.x0 + piece.x1) / 2 <= high)
