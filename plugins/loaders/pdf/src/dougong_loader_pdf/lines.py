"""Glyphs to pieces of lines, and lines to running text."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence

import attrs

from dougong_loader_pdf.reader import Glyph, Rule

# Han, kana, hangul jamo excluded: Korean parts its words by spaces. Full-width punctuation stands tight as well.
_CJK = re.compile(r"[\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff]")
_RAISED = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")
_NUMBERS = re.compile(r"\d{1,3}(?:[,，–-]\d{1,3})*")
# First parts of compounds that keep their hyphen where a line ends after it.
_PREFIX = re.compile("self|non|well|half|cross|high|low|long|short|multi|state|semi|pre|post|co|ex|all|ill|full")
_GAP = 0.6  # of the type size: what parts a line; no blank between words is as wide unless a line is much stretched
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")


@attrs.define
class Piece:
    """A stretch of one line without a wide gap; several make up a line. Points from the page's top left corner."""

    text: str
    x0: float
    x1: float
    base: float
    size: float
    bold: bool
    mono: bool
    font: str
    page: int

    @property
    def top(self) -> float:
        return self.base - 0.8 * self.size

    @property
    def bottom(self) -> float:
        return self.base + 0.22 * self.size

    @property
    def box(self) -> tuple[float, float, float, float]:
        return self.x0, self.top, self.x1, self.bottom


def is_cjk(character: str) -> bool:
    return bool(_CJK.match(character))


def pieces(glyphs: Iterable[Glyph], rules: Sequence[Rule], page: int) -> list[Piece]:
    """Glyphs as pieces of lines, from top to bottom, each line from left to right.

    A line is parted where it has a gap of more than 0.6 of its type size, and at an upright ruling line. Small raised
    or lowered figures join the line that they belong to, written ``[^1]`` after a word and ``²`` after a symbol.
    """
    upright = sorted((rule.x0, rule.y0, rule.y1) for rule in rules if rule.x0 == rule.x1 and rule.y1 - rule.y0 > 4)
    found = []
    for line in _attach(_baselines(glyphs)):
        found += _parted(line, upright, page)
    return sorted(found, key=lambda piece: (round(piece.base), piece.x0))


Line = list[tuple[Glyph, int]]  # glyphs, and whether they are raised (1), lowered (-1) or neither


def _baselines(glyphs: Iterable[Glyph]) -> list[Line]:
    lines: list[Line] = []
    first = size = 0.0
    for glyph in sorted(glyphs, key=lambda glyph: glyph.base):
        if lines and glyph.base - first <= 0.2 * min(size, glyph.size):
            lines[-1].append((glyph, 0))
        else:
            lines.append([(glyph, 0)])
            first, size = glyph.base, glyph.size
    return lines


def _attach(lines: list[Line]) -> list[Line]:
    """Move raised and lowered glyphs to the line that they stand beside."""
    sizes = [Counter(round(glyph.size, 1) for glyph, _ in line if glyph.text != " ") for line in lines]
    size = [max(count, key=lambda key: (count[key], key)) if count else 0.0 for count in sizes]
    bases = [line[0][0].base for line in lines]
    moved: list[Line] = [[] for _ in lines]
    for number, line in enumerate(lines):
        kept: Line = []
        for run in _runs(line):
            target, lift = _neighbour(run, lines, bases, size, number)
            if target is None:
                kept += run
            else:
                moved[target] += [(glyph, lift) for glyph, _ in run]
        lines[number] = kept
    return [line + more for line, more in zip(lines, moved) if line or more]


def _neighbour(
    run: Line, lines: list[Line], bases: list[float], sizes: list[float], number: int
) -> tuple[int | None, int]:
    """The line of larger type that a run stands beside, and whether above (1) or below (-1) its baseline."""
    em, x0, x1 = run[0][0].size, run[0][0].x0, run[-1][0].x1
    low, high = bisect_left(bases, bases[number] - em * 1.3), bisect_right(bases, bases[number] + em * 1.3)
    for other in range(low, high):
        size = sizes[other]
        rise = (bases[other] - bases[number]) / max(size, 0.1)
        if other == number or size <= 1.2 * em or not (0.1 < rise < 0.75 or -0.4 < rise < -0.04):
            continue
        near = 0.35 * size
        large = [glyph for glyph, _ in lines[other] if glyph.size > 1.2 * em]
        after = any(-near < x0 - glyph.x1 < near for glyph in large)
        before = rise > 0 and any(-near < glyph.x0 - x1 < 3 * near for glyph in large)
        if after or before:
            return other, 1 if rise > 0 else -1
    return None, 0


def _runs(line: Line) -> list[Line]:
    """Glyphs of a line that touch and are of one size."""
    runs: list[Line] = []
    for glyph, lift in sorted(line, key=lambda item: item[0].x0):
        if glyph.text == " ":
            continue
        last = runs[-1][-1][0] if runs else None
        if last and glyph.x0 - last.x1 < 0.25 * glyph.size and abs(glyph.size - last.size) < 0.1 * glyph.size:
            runs[-1].append((glyph, lift))
        else:
            runs.append([(glyph, lift)])
    spaces = [(glyph, lift) for glyph, lift in line if glyph.text == " "]
    return [*runs, *([spaces] if spaces else [])]


def _parted(line: Line, upright: Sequence[tuple[float, float, float]], page: int) -> list[Piece]:
    """One line as pieces."""
    found: list[Piece] = []
    run: Line = []
    spaces = 0
    edge = 0.0
    previous: Glyph | None = None
    for glyph, lift in sorted(line, key=lambda item: item[0].x0):
        same = previous and glyph.text == previous.text and abs(glyph.x0 - previous.x0) < 0.15 * glyph.size
        if same and previous and glyph.order != previous.order + 1:
            continue  # printed twice to look bold
        if glyph.text == " ":
            spaces += 1
            continue
        if run:
            gap = glyph.x0 - edge
            wide = _GAP * max(glyph.size, run[-1][0].size)
            if (gap > wide and (spaces == 0 or spaces > 2 or gap > 2.2 * wide)) or _crossed(edge, glyph, upright):
                found.append(_piece(run, page))
                run = []
            elif gap > _space(run[-1][0], glyph, spaces):
                run.append((glyph._replace(text=" ", x0=edge, x1=edge), 0))
        run.append((glyph, lift))
        previous, edge, spaces = glyph, max(glyph.x1, edge) if len(run) > 1 else glyph.x1, 0
    if run:
        found.append(_piece(run, page))
    return found


def _space(before: Glyph, after: Glyph, spaces: int) -> float:
    """The gap from which on there is a space between two glyphs."""
    em = max(before.size, after.size)
    if is_cjk(before.text[-1]) or is_cjk(after.text[0]):
        return 0.1 * em if spaces else 0.6 * em
    return 0.02 * em if spaces else 0.14 * em


def _crossed(edge: float, glyph: Glyph, upright: Sequence[tuple[float, float, float]]) -> bool:
    """Whether an upright ruling line stands between the glyph and the one that ends at `edge`."""
    number = bisect_left(upright, (edge - 1.5, 0, 0))
    middle = glyph.base - 0.3 * glyph.size
    while number < len(upright) and upright[number][0] <= glyph.x0 + 1.5:
        if upright[number][1] <= middle <= upright[number][2]:
            return True
        number += 1
    return False


def _piece(run: Line, page: int) -> Piece:
    text = ""
    lifted = ""
    for glyph, lift in [*run, (run[0][0]._replace(text=""), 0)]:
        if lift > 0:
            lifted += glyph.text
            continue
        if lifted:
            text += _written(lifted.strip(), text, bool(glyph.text))
            lifted = ""
        text += glyph.text
    inked = [glyph for glyph, lift in run if glyph.text != " "]
    level = [glyph for glyph, lift in run if glyph.text != " " and not lift] or inked
    sizes = Counter(glyph.size for glyph in level)
    size = max(sizes, key=lambda key: (sizes[key], key))
    return Piece(
        text=re.sub(" {2,}", " ", text.strip(" ")),
        x0=min(glyph.x0 for glyph in inked),
        x1=max(glyph.x1 for glyph in inked),
        base=level[0].base,
        size=size,
        bold=sum(glyph.bold for glyph in level) > 0.9 * len(level),
        mono=sum(glyph.mono for glyph in level) > 0.9 * len(level),
        font=Counter(glyph.font for glyph in level).most_common(1)[0][0],
        page=page,
    )


def _written(raised: str, before: str, more: bool) -> str:
    """A raised figure: a reference to a note after a word, a power after a symbol or a number."""
    if not _NUMBERS.fullmatch(raised):
        return raised
    symbol = re.search(r"(?<![^\W\d_])[A-Za-zα-ωΑ-Ω]$|[\d)\]]$", before)
    if symbol and not is_cjk(before[-1]):
        return raised.translate(_RAISED)
    return f"[^{raised}]" + (" " if more and not before.strip() else "")


# ---------------------------------------------------------------- lines to running text


class Joiner:
    """Joins lines to running text: knows the words of the document, to tell a broken word from a compound."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._words: Counter[str] = Counter()
        for text in texts:
            found = _WORD.findall(text.lower())
            if text.endswith("-") and found:
                found.pop()
            self._words.update(found)

    def between(self, before: str, after: str) -> tuple[int, str]:
        """How many characters to take off the end of a line, and what to put between it and the next one."""
        if not before or not after:
            return 0, ""
        if before[-1] == "-" and len(before) > 1 and before[-2].isalpha() and after[0].isalpha():
            left, right = _WORD.findall(before[:-1].lower())[-1], _WORD.findall(after.lower())[0]
            joined, compound = self._words[left + right], self._words[f"{left}-{right}"]
            if joined != compound:
                return (1, "") if joined > compound else (0, "")
            keep = after[0].isupper() or "-" in left or bool(_PREFIX.fullmatch(left)) or not left.isascii()
            return (0, "") if keep else (1, "")
        if before[-1] in "-–—/" and len(before) > 1 and not before[-2].isspace():
            return 0, ""
        if is_cjk(before[-1]) or is_cjk(after[0]):
            return 0, ""
        return 0, " "

    def text(self, lines: Iterable[str]) -> str:
        """Lines as one text."""
        whole = ""
        for line in lines:
            drop, glue = self.between(whole, line)
            whole = whole[: len(whole) - drop] + glue + line
        return whole
