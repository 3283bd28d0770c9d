"""What pdfium tells of a file: glyphs, ruling lines and pictures of each page, and the outline."""

from __future__ import annotations

import ctypes
import re
import threading
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import pypdfium2 as pdfium
import pypdfium2.raw as c
from dougong import LoadError

# pdfium is not safe for threads: one call into it at a time in the whole process.
_PDFIUM = threading.Lock()

_BOLD = re.compile(r"bold|black|heavy|demi|semib|cmbx|sfbx|ecbx|-medi\b|simhei|stheit|heiti|黑体", re.IGNORECASE)
_MONO = re.compile(r"courier|mono|consol|menlo|typewriter|cmtt|code", re.IGNORECASE)
_FIXED_PITCH, _FORCE_BOLD = 1, 1 << 18
_HYPHENS = {2: "-", 0xAD: "-", 0xFFFE: "-", 0x2010: "-", 0x2011: "-"}  # 2 is pdfium's mark of a hyphen at a line end
_BULLETS = {0xF0B7: "•", 0xF0A7: "▪", 0xF0D8: "➢", 0xF0FC: "✓", 0xF076: "❖"}  # of the fonts Symbol and Wingdings
Box = tuple[float, float, float, float]
_THIN = 3.0  # a filled rectangle thinner than this is a ruling line, in points


class Glyph(NamedTuple):
    """A character as it stands on its page: points from the page's top left corner, as the page is shown.

    `order` is its number in the file; the letters of a ligature stand in one place and follow each other.
    """

    text: str
    x0: float
    x1: float
    base: float
    size: float
    bold: bool
    mono: bool
    font: str
    order: int


class Rule(NamedTuple):
    """A straight ruling line, horizontal or vertical: ``x0 == x1`` or ``y0 == y1``."""

    x0: float
    y0: float
    x1: float
    y1: float


@attrs.frozen
class Page:
    """One page. `number` counts from 1; `aside` is text that stands turned, left out of the glyphs."""

    number: int
    width: float
    height: float
    glyphs: list[Glyph]
    rules: list[Rule]
    aside: str
    pictures: int


@attrs.frozen
class Bookmark:
    """An entry of the outline. `level` counts from 1; `page` from 1, 0 where it leads nowhere."""

    title: str
    level: int
    page: int


class File:
    """An open PDF. A context manager; the lock is held for a page at a time, so that loads in threads take turns."""

    def __init__(self, source: Path, password: str | None, max_pages: int) -> None:
        try:
            with _PDFIUM:
                self._pdf = pdfium.PdfDocument(source, password=password)
                self.count = len(self._pdf)
        except pdfium.PdfiumError as problem:
            raise _refusal(source, problem, password) from None
        if self.count > max_pages:
            self.close()
            raise LoadError(f"{source}: {self.count} pages, more than {max_pages}", hint="split it or set max_pages")

    def __enter__(self) -> File:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with _PDFIUM:
            self._pdf.close()

    def title(self) -> str:
        """The title that the file states, unless it is the name of some file."""
        with _PDFIUM:
            title: str = self._pdf.get_metadata_value("Title").strip()
        named = re.search(r"\.\w{2,4}$|^Microsoft |^(untitled|无标题)$", title, re.IGNORECASE)
        return "" if named else clean(title)

    def outline(self) -> list[Bookmark]:
        found = []
        with _PDFIUM:
            for entry in self._pdf.get_toc(max_depth=12):
                target = entry.get_dest()
                page = target.get_index() if target else None
                found.append(Bookmark(clean(entry.get_title()), entry.level + 1, 0 if page is None else page + 1))
        return [entry for entry in found if entry.title]

    def pages(self) -> Iterator[Page | None]:
        """Every page in turn; None for one that is damaged."""
        for index in range(self.count):
            with _PDFIUM:
                try:
                    page = self._pdf[index]
                except pdfium.PdfiumError:
                    yield None
                    continue
                try:
                    text = page.get_textpage()
                    try:
                        read = _read(page, text, index + 1)
                    finally:
                        text.close()
                finally:
                    page.close()
            yield read


def clean(text: str) -> str:
    """Text without control characters and lone surrogates, white space single."""
    return re.sub(r"\s+", " ", re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", " ", text)).strip()


def _refusal(source: Path, problem: Exception, password: str | None) -> LoadError:
    text = str(problem).lower()
    if "password" in text:
        if password is None:
            return LoadError(f"{source}: is encrypted", hint="set password to ${env:NAME_OF_A_VARIABLE}")
        return LoadError(f"{source}: is encrypted, and the password is wrong", hint="set another password")
    if "security" in text:
        return LoadError(f"{source}: is encrypted in a way that is not supported", hint="save it without protection")
    reason = re.sub(r".*PDFium: (.*?)\.?\).*", r"\1", str(problem))
    return LoadError(f"{source}: is damaged or no PDF ({reason})", hint="open it in a viewer and save it again")


# ---------------------------------------------------------------- one page


def _read(page: Any, textpage: Any, number: int) -> Page:
    """The page as it is shown; but where most of the text stands turned then, as one would turn it to read it."""
    first = page.get_rotation()
    best = _read_turned(page, textpage, number, first)
    if len(best.aside) > max(4 * len(best.glyphs), 200 if best.glyphs else 0):  # more than a stamp in the margin
        others = [_read_turned(page, textpage, number, (first + more) % 360) for more in (270, 90, 180)]
        best = max(best, *others, key=lambda read: len(read.glyphs))
    return best


def _read_turned(page: Any, textpage: Any, number: int, rotation: int) -> Page:
    place, width, height = _placer(page.get_cropbox(), rotation)
    rules: list[Rule] = []
    pictures: list[Box] = []
    _objects(page.raw, c.FPDFPage_CountObjects, c.FPDFPage_GetObject, (1, 0, 0, 1, 0, 0), place, rules, pictures)
    glyphs, aside = _glyphs(textpage.raw, rotation, place, (width, height), pictures)
    return Page(number, width, height, glyphs, rules, clean(aside), len(pictures))


def _placer(cropbox: Box, rotation: int) -> tuple[Any, float, float]:
    """A function from the file's coordinates to those of the page turned clockwise, and the size of that."""
    left, bottom, right, top = cropbox
    place = {
        0: lambda x, y: (x - left, top - y),
        90: lambda x, y: (y - bottom, x - left),
        180: lambda x, y: (right - x, y - bottom),
        270: lambda x, y: (top - y, right - x),
    }[rotation]
    size = (right - left, top - bottom)
    return place, *(size if rotation % 180 == 0 else size[::-1])


def _glyphs(
    text: Any, rotation: int, place: Any, size: tuple[float, float], pictures: list[Box]
) -> tuple[list[Glyph], str]:
    """The upright visible characters in the order of the file, and the text of those that stand turned.

    Invisible text counts where it lies on a picture: there it is what a scan was recognised as.
    """
    found: list[Glyph] = []
    aside: list[str] = []
    box, x, y = c.FS_RECTF(), ctypes.c_double(), ctypes.c_double()
    styles: dict[int, tuple[float, bool, bool, str, bool, bool]] = {}
    high = 0
    for index in range(c.FPDFText_CountChars(text)):
        code = c.FPDFText_GetUnicode(text, index)
        pointer = c.FPDFText_GetTextObject(text, index)
        if not pointer or c.FPDFText_IsGenerated(text, index) == 1:
            if aside and code in (10, 13, 32):
                aside.append(" ")
            continue
        if 0xD800 <= code < 0xDC00:
            high = code
            continue
        if 0xDC00 <= code < 0xE000:
            code, high = (0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00), 0) if high else (0xFFFD, 0)
        character = _HYPHENS.get(code) or _BULLETS.get(code) or _normal(chr(code))
        if not character:
            continue
        address = ctypes.addressof(pointer.contents)
        style = styles.get(address)
        if style is None:
            style = styles[address] = _style(text, index, pointer, rotation)
        em, bold, mono, font, turned, invisible = style
        if turned:
            aside.append(character)
            continue
        c.FPDFText_GetLooseCharBox(text, index, box)
        c.FPDFText_GetCharOrigin(text, index, x, y)
        x0, _ = place(box.left, box.bottom)
        x1, _ = place(box.right, box.top)
        _, base = place(x.value, y.value)
        x0, x1 = min(x0, x1), max(x0, x1)
        if x1 <= 0 or x0 >= size[0] or base <= 0 or base >= size[1] + em:
            continue
        if invisible and not any(a <= (x0 + x1) / 2 <= b and top <= base <= low for a, top, b, low in pictures):
            continue
        found.append(Glyph(character, x0, x1, base, em, bold, mono, font, index))
    return _narrowed(found), "".join(aside)


def _narrowed(glyphs: list[Glyph]) -> list[Glyph]:
    """Glyphs no wider than the way to the next one ever is: where a font is not in the file, pdfium's is another.

    A font whose letters all go the same way is one of fixed width, whatever it says of itself.
    """
    ways: dict[str, dict[str, float]] = defaultdict(dict)
    for glyph, after in pairwise(glyphs):
        if after.order == glyph.order + 1 and after.base == glyph.base and after.x0 > glyph.x0:
            of_font = ways[glyph.font]
            of_font[glyph.text] = max((after.x0 - glyph.x0) / glyph.size, of_font.get(glyph.text, 0.0))
    fixed = set()
    for font, of_font in ways.items():
        letters = [way for text, way in of_font.items() if text.isascii() and text.isalpha()]
        if len(letters) > 7 and max(letters) - min(letters) < 0.02:
            fixed.add(font)
    for number, glyph in enumerate(glyphs):
        x1 = glyph.x0 + ways[glyph.font].get(glyph.text, 99.0) * glyph.size
        if x1 < glyph.x1 - 0.01 or (glyph.font in fixed and not glyph.mono):
            glyphs[number] = glyph._replace(x1=min(x1, glyph.x1), mono=glyph.mono or glyph.font in fixed)
    return glyphs


def _normal(character: str) -> str:
    """Ligatures and the forms that fonts have for radicals, as the characters they stand for; controls as nothing."""
    if character < " " or "\x7f" <= character < "\xa0" or "\u200b" <= character <= "\u200f" or character == "\ufeff":
        return " " if character in "\t\n\r" else ""
    if "\ufb00" <= character <= "\ufb06" or "\u2e80" <= character <= "\u2fdf" or "\uf900" <= character <= "\ufaff":
        return unicodedata.normalize("NFKC", character)
    return " " if character in "\xa0\u2002\u2003\u2009\u202f" else character


def _style(text: Any, index: int, pointer: Any, rotation: int) -> tuple[float, bool, bool, str, bool, bool]:
    """Size in points, bold, fixed width, font, whether it stands turned, whether it is invisible."""
    matrix, flags, name = c.FS_MATRIX(), ctypes.c_int(), ctypes.create_string_buffer(128)
    c.FPDFText_GetMatrix(text, index, matrix)
    c.FPDFText_GetFontInfo(text, index, name, 128, flags)
    font = name.value.decode("utf-8", "replace").partition("+")[2] or name.value.decode("utf-8", "replace")
    mode = c.FPDFTextObj_GetTextRenderMode(pointer)
    # The direction that the text runs in, after the page's own rotation (clockwise) is taken into account.
    right, up = {0: (matrix.a, matrix.b), 90: (-matrix.b, matrix.a), 180: (-matrix.a, -matrix.b)}.get(
        rotation, (matrix.b, -matrix.a)
    )
    turned = right <= 0 or abs(up) > 0.2 * abs(right)
    em = c.FPDFText_GetFontSize(text, index) * (matrix.c**2 + matrix.d**2) ** 0.5
    bold = bool(_BOLD.search(font)) or bool(flags.value & _FORCE_BOLD) or mode == c.FPDF_TEXTRENDERMODE_FILL_STROKE
    mono = bool(flags.value & _FIXED_PITCH) or bool(_MONO.search(font))
    invisible = mode in (c.FPDF_TEXTRENDERMODE_INVISIBLE, c.FPDF_TEXTRENDERMODE_CLIP)
    return abs(em) or 1.0, bold, mono, font, turned, invisible


Matrix = tuple[float, float, float, float, float, float]


def _objects(
    holder: Any,
    count: Any,
    get: Any,
    above: Matrix,
    place: Any,
    rules: list[Rule],
    pictures: list[Box],
    depth: int = 0,
) -> None:
    """Collect ruling lines and pictures of a page or form, in the coordinates of the page as shown."""
    own = c.FS_MATRIX()
    for index in range(count(holder)):
        item = get(holder, index)
        kind = c.FPDFPageObj_GetType(item)
        if kind not in (c.FPDF_PAGEOBJ_PATH, c.FPDF_PAGEOBJ_IMAGE, c.FPDF_PAGEOBJ_FORM):
            continue
        c.FPDFPageObj_GetMatrix(item, own)
        matrix = _times((own.a, own.b, own.c, own.d, own.e, own.f), above)
        if kind == c.FPDF_PAGEOBJ_PATH:
            _path(item, matrix, place, rules)
        elif kind == c.FPDF_PAGEOBJ_IMAGE:
            corners = [place(*_at(matrix, x, y)) for x, y in ((0, 0), (1, 0), (0, 1), (1, 1))]
            xs, ys = zip(*corners)
            pictures.append((min(xs), min(ys), max(xs), max(ys)))
        elif depth < 8:
            get_form, count_form = c.FPDFFormObj_GetObject, c.FPDFFormObj_CountObjects
            _objects(item, count_form, get_form, matrix, place, rules, pictures, depth + 1)


def _path(item: Any, matrix: Matrix, place: Any, rules: list[Rule]) -> None:
    """The straight lines of a path: strokes along an axis, and filled rectangles that are thin."""
    fill, stroke, x, y = ctypes.c_int(), ctypes.c_int(), ctypes.c_float(), ctypes.c_float()
    c.FPDFPath_GetDrawMode(item, fill, stroke)
    shapes: list[list[tuple[float, float]]] = []
    straight = True
    for index in range(min(c.FPDFPath_CountSegments(item), 4000)):
        segment = c.FPDFPath_GetPathSegment(item, index)
        c.FPDFPathSegment_GetPoint(segment, x, y)
        point = place(*_at(matrix, x.value, y.value))
        kind = c.FPDFPathSegment_GetType(segment)
        if kind == c.FPDF_SEGMENT_MOVETO or not shapes:
            shapes.append([point])
        else:
            straight = straight and kind == c.FPDF_SEGMENT_LINETO
            shapes[-1].append(point)
            if c.FPDFPathSegment_GetClose(segment):
                shapes[-1].append(shapes[-1][0])
    if not straight:
        return
    for points in shapes:
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        wide, tall = max(xs) - min(xs), max(ys) - min(ys)
        if min(wide, tall) <= _THIN:  # a line, or a rectangle that looks like one
            if tall <= wide > 2:
                rules.append(Rule(min(xs), sum(ys) / len(ys), max(xs), sum(ys) / len(ys)))
            elif tall > 2:
                rules.append(Rule(sum(xs) / len(xs), min(ys), sum(xs) / len(xs), max(ys)))
        elif stroke.value:
            for (ax, ay), (bx, by) in pairwise(points):
                if abs(ay - by) < 0.5 < abs(ax - bx):
                    rules.append(Rule(min(ax, bx), ay, max(ax, bx), ay))
                elif abs(ax - bx) < 0.5 < abs(ay - by):
                    rules.append(Rule(ax, min(ay, by), ax, max(ay, by)))


def _times(m: Matrix, n: Matrix) -> Matrix:
    return (
        m[0] * n[0] + m[1] * n[2],
        m[0] * n[1] + m[1] * n[3],
        m[2] * n[0] + m[3] * n[2],
        m[2] * n[1] + m[3] * n[3],
        m[4] * n[0] + m[5] * n[2] + n[4],
        m[4] * n[1] + m[5] * n[3] + n[5],
    )


def _at(m: Matrix, x: float, y: float) -> tuple[float, float]:
    return m[0] * x + m[2] * y + m[4], m[1] * x + m[3] * y + m[5]
