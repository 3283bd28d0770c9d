"""Lines of a column to blocks: paragraphs, list items, captions, code, printed contents; over columns and pages."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import attrs

from dougong_loader_pdf.layout import Flow, Line
from dougong_loader_pdf.lines import is_cjk
from dougong_loader_pdf.tables import Table, aligned

_ITEM = re.compile(
    r"(?:[•‣◦▪■●○–—*➢✓❖-]\s|\(?\d{1,3}[.)](?!\d)|\d{1,3}、|[(（][\d一二三四五六七八九十a-zA-Z]{1,3}[)）]|[a-z][.)]\s"
    r"|[一二三四五六七八九十]{1,3}、|[①-⑳])\s*(?=\S)"
)
BULLET = re.compile(r"[•‣◦▪■●○–—*➢✓❖①-⑳-]")
_CAPTION = re.compile(  # a sentence about a table goes on with a small letter
    r"(?:(?:Table|TABLE|Figure|FIGURE|Fig\.|Listing|Example|Algorithm)\s+[A-Z]?\d|[表图圖]\s*\d)[\d.\-–]*"
    r"(?:[.:：]|\s+(?![a-z\s]))"
)
_ENTRY = re.compile(r"(.*?[^\s.·…．‥_])[\s.·…．‥_]{4,}(\d{1,4}|[ivxlc]{1,6})")
_CONTENTS = re.compile(r"(?:table of )?contents|目\s*[录次錄]", re.IGNORECASE)
_NUMBERED = re.compile(
    r"\d{1,2}(?:\.\d{1,2}){1,4}\.?\s|(?:Chapter|Section|Appendix)\s+\w+|第[\d一二三四五六七八九十百]+[章节条部编]"
)
_TERMINAL = set(".!?。！？；;:：…”」』\"')）")


@attrs.define
class Block:
    """What belongs together. `kind` is that of its section; `breaks` are the numbers of the lines that begin a part of
    it in another column or on another page; `flow` is the number of the column that it begins in."""

    kind: str
    lines: list[Line] = attrs.field(factory=list)
    flow: int = 0
    table: Table | None = None
    breaks: list[int] = attrs.field(factory=list)
    level: int = 0
    note: bool = False
    entries: list[tuple[str, str, float]] = attrs.field(factory=list)  # title, page label, indent

    @property
    def page(self) -> int:
        return self.table.page if self.table else self.lines[0].page

    @property
    def size(self) -> float:
        return self.lines[0].size

    @property
    def bold(self) -> bool:
        return all(line.bold for line in self.lines)


@attrs.frozen
class Measures:
    """What is usual in a document.

    body: type size of running text; bold: whether that is bold; font: its font. leading: usual distance of baselines by
    type size, in points. indented: whether paragraphs begin with an indent.
    """

    body: float
    bold: bool
    font: str
    leading: dict[float, float]
    indented: bool

    def step(self, size: float) -> float:
        """The distance of two lines of one paragraph."""
        return self.leading.get(_rounded(size), 1.35 * size)


def measure(flows: Sequence[Flow]) -> Measures:
    """Count what is usual, in characters."""
    styles: Counter[tuple[float, bool]] = Counter()
    fonts: Counter[str] = Counter()
    steps: dict[float, Counter[float]] = defaultdict(Counter)
    indents = paragraphs = 0
    for flow in flows:
        lines = [part for part in flow.parts if isinstance(part, Line)]
        for number, line in enumerate(lines):
            styles[_rounded(line.size), line.bold] += len(line.text)
            fonts[line.font] += len(line.text)
            if number and _rounded(line.size) == _rounded(lines[number - 1].size):
                steps[_rounded(line.size)][round(2 * (line.base - lines[number - 1].base)) / 2] += 1
            around = lines[max(0, number - 1) : number + 2]
            if (
                len(around) == 3
                and abs(around[0].x0 - around[2].x0) < 1
                and not any(_ITEM.match(a.text) for a in around)
            ):
                shift = line.x0 - around[0].x0
                indents += 0.8 * line.size < shift < 4 * line.size
                paragraphs += abs(shift) < 1
    (body, bold), _ = styles.most_common(1)[0] if styles else ((10.0, False), 0)
    leading: dict[float, float] = {}
    for size, counts in steps.items():
        likely = {step: count for step, count in counts.items() if 0.9 * size < step < 2.6 * size}
        if likely and (size == body or sum(likely.values()) > 3):
            often = 0.3 * max(likely.values())  # in a text of short paragraphs the steps between them are as frequent
            leading[size] = min(step for step, count in likely.items() if count >= often)
    font = fonts.most_common(1)[0][0] if fonts else ""
    return Measures(body, bold, font, leading, indents > 0.03 * max(1, paragraphs))


def _rounded(size: float) -> float:
    return round(size * 2) / 2


# ---------------------------------------------------------------- one column


def blocks(flow: Flow, number: int, usual: Measures) -> list[Block]:
    """The blocks of a column, from top to bottom."""
    found: list[Block] = []
    for part in _contents(flow, number):
        if isinstance(part, Block):
            found.append(part)
            continue
        if isinstance(part, Table):
            found.append(Block("table", flow=number, table=part))
            continue
        block = found[-1] if found and found[-1].kind not in ("table", "contents") else None
        if block is None or _begins(block, part, flow, usual):
            item = _ITEM.match(part.text)
            caption = _CAPTION.match(part.text)
            kind = "code" if part.mono else "caption" if caption else "item" if item else "paragraph"
            found.append(Block(kind, flow=number, note=part.text.startswith("[^")))
            block = found[-1]
        block.lines.append(part)
    return found


def _begins(block: Block, line: Line, flow: Flow, usual: Measures) -> bool:
    """Whether a line begins a new block rather than going on with this one."""
    last = block.lines[-1]
    prominent = max(last.size, line.size) > 1.05 * usual.body or (line.bold and not usual.bold)
    step = usual.step(min(line.size, last.size))
    if prominent:
        step = max(step, 1.35 * line.size)
    em = line.size
    if line.mono and last.mono and block.kind == "code" and 0 < line.base - last.base < 3 * step:
        return False  # over an empty line
    if line.base - last.base > 1.25 * step or line.base <= last.base:
        return True
    if abs(line.size - last.size) > 0.06 * last.size or line.mono != last.mono:
        return True
    if line.bold != last.bold and (len(line.text) > 3 or last.bold):
        return not (block.kind == "caption" or len(block.lines) > 1)
    if line.text.startswith("[^") or (_CAPTION.match(line.text) and _ends_early(last, line, flow)):
        return True
    left = block.lines[1].x0 if len(block.lines) > 1 else None
    if _ITEM.match(line.text) or (prominent and _NUMBERED.match(line.text)):
        shifted = abs(line.x0 - (last.x0 if left is None else left)) > 0.5 * em
        if block.kind == "item" or shifted or _ends_early(last, line, flow):
            return True
    if prominent or block.kind == "caption":
        return False
    if block.kind == "item":
        outdented = line.x0 < (last.x0 if left is None else left) - 0.5 * em
        indented = left is not None and line.x0 > left + 0.8 * em
        return outdented or indented or _ends_early(last, line, flow)
    if left is not None and line.x0 > left + 0.8 * em and line.x0 < left + 5 * em:
        return True
    if left is None and line.x0 > last.x0 + 0.8 * em:
        return True
    return _ends_early(last, line, flow)


def _ends_early(last: Line, line: Line, flow: Flow) -> bool:
    """Whether the next line's first word had had room on this one: it was ended on purpose."""
    em = line.size
    if is_cjk(line.text[0]):
        need = 2.2 * em
    else:
        word = re.match(r"[^\s\u2e80-\uffef]+", line.text)
        need = len(word[0] if word else "") * (line.x1 - line.x0) / max(1, len(line.text)) + 1.0 * em
    return last.x1 + need < flow.right


def _contents(flow: Flow, number: int) -> list[Block | Line | Table]:
    """The parts of a column with printed contents as blocks and aligned lines as tables."""
    parts = flow.parts
    found: list[Block | Line | Table] = []
    waiting: list[Line | Table] = []
    at = 0
    while at < len(parts):
        before = parts[at - 1] if at else None
        announced = isinstance(before, Line) and bool(_CONTENTS.fullmatch(before.text.strip()))
        block, end = _entries(parts, at, flow, announced)
        if block is None:
            waiting.append(parts[at])
            at += 1
            continue
        found += [*aligned(waiting), attrs.evolve(block, flow=number)]
        waiting = []
        at = end
    return found + aligned(waiting)


def _entries(parts: Sequence[Line | Table], at: int, flow: Flow, announced: bool) -> tuple[Block | None, int]:
    """Printed contents that begin at `at`: three lines or more that end in the number of a page."""
    entries: list[tuple[str, str, float]] = []
    lines: list[Line] = []
    pending: list[Line] = []
    for part in parts[at:]:
        if not isinstance(part, Line):
            break
        match = _ENTRY.fullmatch(part.text)
        if match is None and announced and len(part.pieces) > 1 and part.x1 > flow.right - part.size:
            match = re.fullmatch(r"(.*\S)\s+(\d{1,4}|[ivxlc]{1,6})", part.text)
        if match is None:
            if pending or not entries or part.size > 1.3 * lines[0].size:
                break
            pending.append(part)
            continue
        title = " ".join([*(line.text for line in pending), match[1].strip()])
        entries.append((title, match[2], (pending or [part])[0].x0))
        lines += [*pending, part]
        pending = []
    if len(entries) < 3:
        return None, at
    return Block("contents", lines, entries=entries), at + len(lines)


# ---------------------------------------------------------------- over columns and pages


def joined(found: list[Block], flows: Sequence[Flow], usual: Measures) -> list[Block]:
    """Blocks with the paragraphs that run on in the next column or on the next page made one.

    What stands between the parts (figures' captions, tables, notes) follows the whole.
    """
    result: list[Block] = []
    last: Block | None = None  # the paragraph or item that may run on
    opened: set[int] = set()  # columns whose first text was seen
    for block in found:
        movable = block.kind in ("table", "caption", "code") or block.note
        if movable:
            result.append(block)
            continue
        first = block.flow not in opened
        opened.add(block.flow)
        if (
            first
            and last is not None
            and (block.kind == "paragraph" or (block.kind == "item" and last.kind == "paragraph"))
            and block.flow > last.flow
            and _runs_on(last, block, flows, usual)
        ):
            last.breaks.append(len(last.lines))
            last.lines += block.lines
            last.flow = block.flow
            continue
        result.append(block)
        last = block if block.kind in ("paragraph", "item") else None
    return result


def _runs_on(last: Block, block: Block, flows: Sequence[Flow], usual: Measures) -> bool:
    end, start = last.lines[-1], block.lines[0]
    if abs(end.size - start.size) > 0.06 * end.size or end.bold != start.bold or end.mono != start.mono:
        return False
    if start.size > 1.05 * usual.body:
        return False
    before, after = end.text.rstrip(), start.text
    if before[-1] == "-" and after[0].isalpha():
        return True
    if block.kind == "item" and (not re.match(r"\d", after) or before[-1] in ",，、"):
        return False  # a number that a sentence ends with may begin a line, a bullet may not
    flow, other = flows[last.flow], flows[block.flow]
    full = not _ends_early(end, start, flow)
    indented = start.x0 > other.left + 0.8 * start.size and (
        len(block.lines) < 2 or block.lines[1].x0 < start.x0 - 0.8 * start.size
    )
    if before[-1] not in _TERMINAL:
        return full or after[0].islower()
    return full and usual.indented and not indented and last.kind == "paragraph"
