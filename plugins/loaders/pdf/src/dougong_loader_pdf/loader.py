"""PDF files as documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dougong import Document, LoadError, Section

from dougong_loader_pdf import headings, layout
from dougong_loader_pdf.blocks import Block, blocks, joined, measure
from dougong_loader_pdf.lines import Joiner, Piece, pieces
from dougong_loader_pdf.reader import File, Rule
from dougong_loader_pdf.tables import ruled
from dougong_loader_pdf.writer import Writer

if TYPE_CHECKING:
    from dougong_loader_pdf import Params


class PDFLoader:
    """Reads a PDF: its text in reading order, and a tree of what it is made of.

    The tree's nodes are ``heading paragraph list item table row cell caption code contents``. Each has
    ``meta["page"]``, from 1, and ``meta["box"]``, ``[x0, y0, x1, y1]`` in points from the top left corner of the page
    as it is read. A node that runs on in another column or on another page has ``meta["continues"]``: a list of
    ``{"at", "page", "box"}`` where `at` is the offset in the document's text. Lines are joined to paragraphs, words
    broken at a line end made whole; cells of a row are parted by tabs. The title is a heading of level 1.

    Left out of the text and kept in ``meta["left_out"]``: running ``headers`` and ``footers`` and text that stands
    ``turned``, each as ``{"text", "pages"}`` with the number of pages it is on. ``meta["pages"]`` counts the pages;
    ``meta["pages_without_text"]`` names those that are only pictures.

    pdfium is not safe for threads: one lock a process lets one page be read at a time; all else runs freely.
    """

    suffixes = (".pdf",)

    def __init__(self, params: Params) -> None:
        self._params = params

    def load(self, source: Path) -> Document:
        """The document in `source`. Raises LoadError: unreadable, too large, encrypted, damaged, without text."""
        params = self._params
        try:
            size = source.stat().st_size
            with source.open("rb"):
                pass
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise LoadError(f"{source}: {reason}", hint="check the path and its permissions") from problem
        if size > params.max_megabytes * 1e6:
            told = f"{size / 1e6:.1f} MB, more than the {params.max_megabytes:g} MB that are read"
            raise LoadError(f"{source}: {told}", hint="split the file or set max_megabytes")
        password = params.password.reveal() if params.password else None
        with File(source, password, params.max_pages) as file:
            read: list[tuple[list[Piece], list[Rule], float]] = []
            turned: list[tuple[int, str]] = []
            empty: list[int] = []
            pictures = 0
            for number, page in enumerate(file.pages(), 1):
                if page is None or not page.glyphs:
                    empty.append(number)
                    pictures += page.pictures if page else 0
                if page is not None and page.aside:
                    turned.append((number, page.aside))
                read.append(
                    (pieces(page.glyphs, page.rules, number), page.rules, page.height) if page else ([], [], 0.0)
                )
            bookmarks, title, count = file.outline(), file.title(), file.count
        if len(empty) == count:
            if pictures:
                raise LoadError(f"{source}: has pictures of pages and no text", hint="recognise its text first (OCR)")
            raise LoadError(f"{source}: has no text", hint="leave it out")
        gone, left = layout.running(read)
        tree, text, named = _written(read, gone, bookmarks)
        meta: dict[str, Any] = {"pages": count}
        if title := (named or title):
            meta["title"] = title
        if empty:
            meta["pages_without_text"] = empty
        if out := {name: _counted(lines) for name, lines in {**left, "turned": turned}.items() if lines}:
            meta["left_out"] = out
        return Document(str(source), text, tree, str(source), meta)


def _written(
    read: Sequence[tuple[list[Piece], list[Rule], float]], gone: set[int], bookmarks: Any
) -> tuple[Section, str, str]:
    """Tree, text and title of the pages, without the pieces that are gone."""
    flows: list[layout.Flow] = []
    known: list[float] = []
    for number, (found, rules, _) in enumerate(read, 1):
        tables, rest = ruled([piece for piece in found if id(piece) not in gone], rules, number)
        flows += layout.flows(rest, tables, number, known)
    usual = measure(flows)
    found = [block for number, flow in enumerate(flows) for block in blocks(flow, number, usual)]
    found = joined(found, flows, usual)
    joiner = Joiner(line.text for block in found for line in block.lines)

    def text(block: Block) -> str:
        return joiner.text(line.text for line in block.lines)

    title = headings.mark(found, bookmarks, usual, text)
    return *Writer(joiner).write(found), text(title) if title else ""


def _counted(lines: list[tuple[int, str]]) -> list[dict[str, Any]]:
    """Lines that differ in their figures only as one each, as first printed, with the number of their pages."""
    groups: dict[str, list[tuple[int, str]]] = {}
    for number, text in lines:
        groups.setdefault(layout.masked(text), []).append((number, text))
    return [{"text": group[0][1], "pages": len({number for number, _ in group})} for group in groups.values()]
