"""Pieces of a page to columns of lines in reading order; running headers and footers."""

from __future__ import annotations

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import attrs

from dougong_loader_pdf.lines import Piece, is_cjk
from dougong_loader_pdf.reader import Rule
from dougong_loader_pdf.tables import Table

_MARKER = re.compile(
    r"[•‣◦▪■□●○·–—*➢✓❖-]|[(（]?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})[.)）、]|[(（][一二三四五六七八九十]{1,3}[)）]"
    r"|[一二三四五六七八九十]{1,3}、|[①-⑳]|\d{1,2}(?:\.\d{1,2}){0,3}\.?|第[\d一二三四五六七八九十百]{1,4}[章节条部分]"
    r"|(?:Table|Figure|Fig\.?|Chapter|Section|表|图)\s?[\d.]{0,5}[.:：]?|[\d.]{1,4}[.:]?|\[\^?\d+\]"
)
_FIGURES = re.compile(r"\d+|(?<![A-Za-z])[ivxlc]{1,6}(?![A-Za-z])|(?<=第)[一二三四五六七八九十百零〇]+(?=页)")
_NUMBERED = re.compile(r"^(?:\d+|[ivxlc]+)(?:\s|$)|\s(?:\d+|[ivxlc]+)$")  # a page's number before or behind
_BAND = 0.16  # of the height of a page: where running lines stand
_SHARE = 0.6  # of the pages, or of the odd or even ones, on which they repeat


@attrs.define
class Line:
    """A line of a column, made of pieces from left to right."""

    pieces: list[Piece]
    x0: float = attrs.field(init=False)
    x1: float = attrs.field(init=False)
    base: float = attrs.field(init=False)
    size: float = attrs.field(init=False)
    text: str = attrs.field(init=False)
    bold: bool = attrs.field(init=False)
    mono: bool = attrs.field(init=False)
    font: str = attrs.field(init=False)
    page: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        widest = max(self.pieces, key=lambda piece: len(piece.text))
        self.x0, self.x1 = self.pieces[0].x0, max(piece.x1 for piece in self.pieces)
        self.base, self.size, self.font, self.page = widest.base, widest.size, widest.font, widest.page
        self.text = " ".join(piece.text for piece in self.pieces)
        self.bold = all(piece.bold for piece in self.pieces)
        self.mono = all(piece.mono for piece in self.pieces)

    @property
    def box(self) -> tuple[float, float, float, float]:
        return self.x0, min(p.top for p in self.pieces), self.x1, max(p.bottom for p in self.pieces)


@attrs.define
class Flow:
    """A column, or what stands across columns: lines and tables from top to bottom between two edges."""

    page: int
    parts: list[Line | Table]
    left: float
    right: float


# ---------------------------------------------------------------- lines


def rows(pieces: Iterable[Piece]) -> list[Line]:
    """Pieces that share a baseline as lines, from top to bottom."""
    found: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda piece: piece.base):
        if found and abs(piece.base - found[-1][0].base) <= 0.3 * min(piece.size, found[-1][0].size):
            found[-1].append(piece)
        else:
            found.append([piece])
    return [Line(sorted(row, key=lambda piece: piece.x0)) for row in found]


def marked(line: Line) -> Line:
    """A line of a number or bullet and the text it stands before, as one piece."""
    if len(line.pieces) == 2:
        mark, text = line.pieces
        if _MARKER.fullmatch(mark.text) and text.x0 - mark.x1 < 3.5 * text.size and re.search(r"[^\W\d_]", text.text):
            return Line([attrs.evolve(text, text=f"{mark.text} {text.text}", x0=mark.x0)])
    return line


# ---------------------------------------------------------------- running lines


def running(
    pages: Sequence[tuple[list[Piece], Sequence[Rule], float]],
) -> tuple[set[int], dict[str, list[tuple[int, str]]]]:
    """Running headers, footers and page numbers: the ``id()`` of their pieces, and ``(page, text)`` of each line.

    `pages` are pieces, ruling lines and height of each. A line counts that stands in the margin and repeats, its
    figures aside, on 60 % of the pages or of the odd or even ones; also one at the height of such lines that has a
    number at its end, is ruled off from the text or says what some other line says (a chapter's title), and a page
    number alone at the foot of a short document.
    """
    places: dict[tuple[str, str], list[tuple[int, Line]]] = defaultdict(list)
    edges: list[tuple[int, str, Line, float]] = []
    ruled: set[int] = set()
    said: Counter[str] = Counter()
    sizes: Counter[float] = Counter()
    for number, (pieces, rules, height) in enumerate(pages):
        lines = rows(pieces)
        said.update(masked(text) for line in lines for text in _texts(line))
        for line in lines:
            sizes[round(line.size * 2) / 2] += len(line.text)
        for where, outer in (("headers", lines[:4]), ("footers", lines[::-1][:4])):
            for order, line in enumerate(outer):
                if not (line.base < height * _BAND if where == "headers" else line.base > height * (1 - _BAND)):
                    break
                following = outer[order + 1 : order + 2]
                gap = abs(following[0].base - line.base) / line.size if following else 99.0
                places[where, masked(line.text)].append((number, line))
                edges.append((number, where, line, gap))
                if _ruled_off(line, where, rules):
                    ruled.add(id(line))
    total = len(pages)
    body = max(sizes, key=lambda key: sizes[key], default=10.0)
    chosen: dict[int, tuple[int, str, Line]] = {}
    for (where, mask), found in places.items():
        middle = statistics.median(line.base for _, line in found)
        found = [item for item in found if abs(item[1].base - middle) < 6]
        on = {number for number, _ in found}
        share = max(
            len(on) / total,
            *(len([n for n in on if n % 2 == parity]) / max(1, (total + 1 - parity) // 2) for parity in (0, 1)),
        )
        alone = mask == "#" and total < 3 and all(int(re.sub(r"\D", "", line.text) or 0) <= 999 for _, line in found)
        if (len(on) > 1 and share >= _SHARE) or (alone and where == "footers"):
            chosen |= {id(line): (number, where, line) for number, line in found}
    _others_in_place(edges, chosen, said, ruled, body, total)
    left: dict[str, list[tuple[int, str]]] = {"headers": [], "footers": []}
    if sum(len(line.pieces) for _, _, line in chosen.values()) == sum(len(pieces) for pieces, _, _ in pages):
        return set(), left  # a text that says the same on all its pages is a text
    for number, where, line in sorted(chosen.values(), key=lambda item: (item[0], item[2].base)):
        left[where].append((number + 1, line.text))
    return {id(piece) for _, _, line in chosen.values() for piece in line.pieces}, left


def _others_in_place(
    edges: list[tuple[int, str, Line, float]],
    chosen: dict[int, tuple[int, str, Line]],
    said: Counter[str],
    ruled: set[int],
    body: float,
    total: int,
) -> None:
    """Add lines that stand where running lines stand: at one height on most pages, apart from the text."""
    for where in ("headers", "footers"):
        here = [edge for edge in edges if edge[1] == where]
        levels = Counter(round(line.base) for _, _, line, gap in here if gap > 1.6 or id(line) in chosen)
        ruled_levels = Counter(round(line.base) for _, _, line, _ in here if id(line) in ruled)
        for number, _, line, gap in here:
            near, alike = (
                sum(found[round(line.base) + more] for more in (-1, 0, 1)) for found in (levels, ruled_levels)
            )
            enough = max(2, _SHARE * (total - 1))
            apart = gap > 1.6 and line.size < body * 1.08
            titled = said[masked(line.text)] > 1 and len(line.text) > 3
            likely = titled or bool(_NUMBERED.search(line.text)) or (id(line) in ruled and alike >= enough)
            if apart and likely and near >= enough:
                chosen.setdefault(id(line), (number, where, line))


def _ruled_off(line: Line, where: str, rules: Sequence[Rule]) -> bool:
    """Whether a ruling line, longer than a mark under a word, parts a line from the text."""
    low, high = (0, 1.3) if where == "headers" else (-2.2, -0.6)
    return any(
        low * line.size <= rule.y0 - line.base <= high * line.size
        and rule.x1 - rule.x0 > max(120, line.x1 - line.x0 - 2)
        for rule in rules
    )


def _texts(line: Line) -> set[str]:
    """What a line across the page may say: each of its pieces, each with the next one, and the whole."""
    texts = [piece.text for piece in line.pieces]
    return {*texts, *(f"{a} {b}" for a, b in pairwise(texts)), line.text}


def masked(text: str) -> str:
    """A line with its figures as ``#``; of a page number nothing else is left."""
    line = re.sub(r"\s+", "", _FIGURES.sub("#", text.lower()))
    return "#" if re.fullmatch(r"(?:page|第)?[-–—·|/]*#[-–—·|/]*页?", line) else line


# ---------------------------------------------------------------- columns


def flows(pieces: list[Piece], tables: list[Table], page: int, known: list[float]) -> list[Flow]:
    """The columns of a page in reading order.

    A column edge is an x at which several lines begin to the right of a gap, and on both sides of which there is
    running text. What crosses it parts the page into bands; in each, the left column is read before the right one.
    `known` are edges of the pages before, tried where there is little text; new ones are added.
    """
    parts: list[Piece | Table] = [*pieces, *tables]
    return [_flow(page, band) for band in _ordered(parts, known, 0) if band]


def _ordered(parts: list[Piece | Table], known: list[float], depth: int) -> Iterator[list[Piece | Table]]:
    edge = _edge(parts, known) if depth < 4 else None
    if edge is None:
        yield parts
        return
    if depth == 0 and not any(abs(edge - other) < 3 for other in known):
        known.append(edge)
    over = _over(parts, edge) | {id(part) for part in parts if _crosses(part, edge)}
    crossing = sorted((part for part in parts if id(part) in over), key=lambda part: part.box[1])
    rest = [part for part in parts if id(part) not in over]
    across: list[Piece | Table] = []
    for part in [*crossing, None]:
        limit = part.box[1] if part else float("inf")
        band = [other for other in rest if (other.box[1] + other.box[3]) / 2 < limit]
        if band:
            if across:
                yield across
                across = []
            rest = [other for other in rest if (other.box[1] + other.box[3]) / 2 >= limit]
            yield from _ordered([other for other in band if other.box[0] < edge], known, depth + 1)
            yield from _ordered([other for other in band if other.box[0] >= edge], known, depth + 1)
        if part:
            across.append(part)
    if across:
        yield across


def _crosses(part: Piece | Table, edge: float) -> bool:
    return part.box[0] < edge - 1 and part.box[2] > edge + 1


def _over(parts: list[Piece | Table], edge: float) -> set[int]:
    """Pieces of lines that run over an edge: no more than a blank is there, and what is behind it begins elsewhere."""
    found: set[int] = set()
    for line in rows(part for part in parts if isinstance(part, Piece)):
        for run in _tight(line.pieces):
            gap = any(a.x1 <= edge <= b.x0 and b.x0 > edge + 4 for a, b in pairwise(run))
            if gap or any(_crosses(piece, edge) for piece in run):
                found |= {id(piece) for piece in run}
    return found


def _tight(pieces: list[Piece]) -> list[list[Piece]]:
    """Pieces of a line in runs without a gap that is wider than a blank of Chinese."""
    runs = [pieces[:1]]
    for before, after in pairwise(pieces):
        if after.x0 - before.x1 < 1.3 * after.size:
            runs[-1].append(after)
        else:
            runs.append([after])
    return runs


def _edge(parts: list[Piece | Table], known: list[float]) -> float | None:
    """The x at which a right column begins, just left of its text; None where there is one column."""
    lines = sorted((part for part in parts if isinstance(part, Piece)), key=lambda piece: piece.x0)
    begins: Counter[int] = Counter()
    for number, piece in enumerate(lines):
        gap = 0.8 * piece.size
        if any(other.x1 < piece.x0 - gap and abs(other.base - piece.base) < piece.size for other in lines[:number]):
            begins[round(piece.x0)] += 1
    best, most = None, 0
    for x in {x for x, votes in begins.items() if votes > 1} | {round(edge + 2) for edge in known}:
        edge = x - 2.0
        score = _text_beside(lines, parts, edge, any(abs(edge - other) < 4 for other in known))
        if score > most:
            best, most = edge, score
    return best


def _text_beside(lines: list[Piece], parts: list[Piece | Table], edge: float, known: bool) -> int:
    """How many lines stand in bands that have running text on both sides of an edge; of a known edge, on one side."""
    bars = sorted(part.box[1] for part in parts if _crosses(part, edge))
    bands: dict[int, tuple[list[Piece], list[Piece]]] = defaultdict(lambda: ([], []))
    for piece in lines:
        if not _crosses(piece, edge):
            bands[sum(bar < piece.base for bar in bars)][piece.x0 >= edge].append(piece)
    score = 0
    for left, right in bands.values():
        sides = _running_text(left) + _running_text(right)
        if sides == 2 or (known and sides == 1 and left and right):
            score += len(left) + len(right)
    return score


def _running_text(pieces: list[Piece]) -> bool:
    """Whether the pieces are lines of prose: enough of them, and most of them long and as wide as the column."""
    lines = rows(pieces)
    if len(lines) < 4 or sum(len(_tight(line.pieces)) == 1 for line in lines) < 0.6 * len(lines):
        return False
    wide = max(line.x1 for line in lines) - min(line.x0 for line in lines)
    letters = statistics.median(sum(2 if is_cjk(c) else 1 for c in line.text) for line in lines)
    filled = statistics.median(line.x1 - line.x0 for line in lines)
    return letters >= 20 and filled > 0.55 * wide


def _flow(page: int, parts: list[Piece | Table]) -> Flow:
    lines = [marked(line) for line in rows(part for part in parts if isinstance(part, Piece))]
    whole: list[Line | Table] = [*lines, *(part for part in parts if isinstance(part, Table))]
    whole.sort(key=lambda part: part.box[1])
    ends = sorted((part.box[2] for part in whole), reverse=True)
    right = ends[1] if len(ends) > 4 else ends[0]  # not that of the one line that sticks out
    return Flow(page, whole, min(part.box[0] for part in whole), right)
