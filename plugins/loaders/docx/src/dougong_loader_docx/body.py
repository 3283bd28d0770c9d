"""From WordprocessingML to text and sections: paragraphs, lists, tables, notes, and what a run can hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import attrs
from dougong import Section
from dougong_loader_text.flow import Flow
from lxml import etree

from dougong_loader_docx.elements import (
    INSIDE,
    alternative,
    cells_of,
    height,
    local,
    rows_of,
    says,
    text_boxes,
    text_of,
)
from dougong_loader_docx.formula import tex
from dougong_loader_docx.numbering import Numbering, numeral
from dougong_loader_docx.package import R, W
from dougong_loader_docx.styles import Look, Styles

_HYPERLINK = re.compile(r'\s*HYPERLINK\s+(?:(\\l)\s+)?"([^"]*)"', re.IGNORECASE)
_OFF = ("0", "false", "off", "none")


@attrs.define
class _Field:
    """A field that is open: its instruction is read, its result shown."""

    code: str = ""
    result: bool = False
    linked: bool = False


class Body:
    """Reads the body of a document.

    `targets` are the external targets of its hyperlinks, by relation; `notes` the notes, by ``("footnote", id)``. Text
    that was inserted under revision is read, what was deleted is not.
    """

    def __init__(
        self,
        styles: Styles,
        numbering: Numbering,
        targets: Mapping[str, str],
        notes: Mapping[tuple[str, str], etree._Element],
    ) -> None:
        self._styles, self._numbering, self._targets, self._notes = styles, numbering, targets, notes
        self._flow = Flow()
        self._lists: list[tuple[str | None, int]] = []  # open ones: which, and how deep in it
        self._lines: list[str] = []  # of a block whose paragraphs are its lines
        self._lined = ""  # the kind of that block
        self._fields: list[_Field] = []
        self._boxes: list[etree._Element] = []
        self._cited: list[tuple[str, str]] = []
        self._carried: list[etree._Element] = []  # paragraphs whose mark was deleted: they go on in the next
        self._page = 1
        self.title = ""

    def read(self, body: etree._Element) -> tuple[str, Section]:
        """Text and tree."""
        self._blocks(body)
        self._end_blocks()
        self._read_notes()
        return self._flow.finish()

    # ---------------------------------------------------------------- blocks

    def _blocks(self, container: Iterable[etree._Element]) -> None:
        for child in container:
            name = local(child)
            if name == "p":
                self._paragraph(child)
            elif name == "tbl":
                self._end_blocks()
                self._table(child)
            elif name == "AlternateContent":
                self._blocks(alternative(child))
            elif name in INSIDE:
                self._blocks(child)

    def _paragraph(self, paragraph: etree._Element) -> None:
        properties = paragraph.find(W + "pPr")
        if properties is not None and properties.find(f"{W}rPr/{W}del") is not None:
            self._carried.append(paragraph)
            return
        parts = [*self._carried, paragraph]
        self._carried = []
        look = self._styles.of(properties)
        if look.kind in ("code", "contents"):
            self._line(look.kind, parts)
        elif any(says(part) for part in parts):
            self._end_lines()
            self._shown(look, parts)
        else:  # an empty one may hold a box or start a page, and one in code is an empty line
            for part in parts:
                self._inline(part)
            if self._lined == "code" and not look.kind:
                self._lines.append("")
        boxes, self._boxes = self._boxes, []
        for box in boxes:
            self._end_blocks()
            self._blocks(box)
            self._end_blocks()

    def _line(self, kind: str, parts: list[etree._Element]) -> None:
        """A paragraph that is a line of a larger block."""
        if self._lined != kind:
            self._end_blocks()
            self._lined = kind
        whole, self._flow, page = self._flow, Flow(), self._page
        self._flow.open("code")
        for part in parts:
            self._inline(part, raw=True)
        self._lines.append(self._flow.finish()[0])
        self._flow = whole
        if self._page > page:
            whole.page(self._page)

    def _shown(self, look: Look, parts: list[etree._Element]) -> None:
        flow = self._flow
        listed = self._numbering.list_of(look.num) if look.num else None
        marker = self._numbering.marker(look.num, look.depth) if listed is not None else ""
        if look.kind in ("heading", "title") or listed is None:
            self._end_lists()
            kind = {"title": "heading", "": "paragraph"}.get(look.kind, look.kind)
            level = {"heading": min(look.level, 6), "title": 1}.get(look.kind, 0)
            meta = {"marker": marker} if marker else {}
            flow.open(kind, level, marker=marker, meta=meta)
        else:
            self._item(listed, look.depth, marker)
        for part in parts:
            self._inline(part)
        if look.kind == "title" and not self.title:
            self.title = " ".join(flow.text().split())
        if listed is None or look.kind in ("heading", "title"):
            flow.close()

    def _item(self, listed: str, depth: int, marker: str) -> None:
        """Open an item, after what it is not part of was closed. It stays open for what is nested in it."""
        while self._lists and (self._lists[-1][1] > depth or self._lists[-1] == (listed, depth)):
            self._flow.close()  # the item before
            if self._lists[-1] == (listed, depth):
                break
            self._end_list()
        if self._lists and self._lists[-1][1] == depth and self._lists[-1][0] != listed:
            self._flow.close()
            self._end_list()
        if not self._lists or self._lists[-1] != (listed, depth):
            self._flow.open("list", self._flow.depth("list") + 1, breaks=1 if self._lists else 2)
            self._lists.append((listed, depth))
        self._flow.open("item", self._flow.depth("list"), breaks=1, marker=marker, meta={"marker": marker})

    def _end_list(self) -> None:
        self._flow.close()
        self._lists.pop()

    def _end_lists(self) -> None:
        while self._lists:
            self._flow.close()
            self._end_list()

    def _end_lines(self) -> None:
        if self._lined:
            self._flow.open(self._lined)
            self._flow.raw("\n".join(self._lines))
            self._flow.close()
            self._lines, self._lined = [], ""

    def _end_blocks(self) -> None:
        self._end_lines()
        self._end_lists()

    # ---------------------------------------------------------------- tables

    def _table(self, table: etree._Element) -> None:
        look = table.find(f"{W}tblPr/{W}tblLook")
        rows = [list(cells_of(row)) for row in rows_of(table)]
        told = [row.find(f"{W}trPr/{W}tblHeader") for row in rows_of(table)]
        headers = [mark is not None and mark.get(W + "val") not in _OFF for mark in told]
        if len(rows) > 1 and not any(headers) and look is not None:
            bits = look.get(W + "val", "")
            first = look.get(W + "firstRow") or str(
                int(bits, 16) >> 5 & 1 if re.fullmatch(r"[0-9a-fA-F]+", bits) else 0
            )
            headers[0] = first in ("1", "true", "on")
        self._flow.open("table", breaks=1 if self._flow.depth("cell") else 2)
        outer, self._lists = self._lists, []
        for number, cells in enumerate(rows):
            self._flow.open("row", breaks=1, meta={"header": True} if headers[number] else None)
            for column, width, merge, cell in cells:
                if merge == "continue" and number:
                    continue  # part of the cell above
                meta = {"colspan": width} if width > 1 else {}
                if merge == "restart" and (tall := height(rows, number, column)) > 1:
                    meta["rowspan"] = tall
                self._flow.open("cell", meta=meta, column=column)
                self._blocks(cell)
                self._end_blocks()
                self._flow.close()
            self._flow.close()
        self._lists = outer
        self._flow.close()

    # ---------------------------------------------------------------- inside a paragraph

    def _inline(self, container: Iterable[etree._Element], raw: bool = False) -> None:
        for child in container:
            name = local(child)
            if name == "r":
                self._run(child, raw)
            elif name == "hyperlink":
                anchor = child.get(W + "anchor")
                self._flow.link(self._targets.get(child.get(R + "id", ""), "") or (f"#{anchor}" if anchor else ""))
                self._inline(child, raw)
                self._flow.unlink()
            elif name in ("oMath", "oMathPara"):
                self._flow.inline("formula", " ".join(tex(child).split()))
            elif name == "AlternateContent":
                self._inline(alternative(child), raw)
            elif name in INSIDE:
                self._inline(child, raw)

    def _run(self, run: etree._Element, raw: bool) -> None:
        hidden = run.find(f"{W}rPr/{W}vanish")
        if hidden is not None and hidden.get(W + "val") not in _OFF:
            return
        for child in run:
            name = local(child)
            if name == "fldChar":
                self._field(child.get(W + "fldCharType", ""))
            elif name == "instrText":
                if self._fields:
                    self._fields[-1].code += child.text or ""
            elif name == "lastRenderedPageBreak":
                self._page += 1
                self._flow.page(self._page)
            elif any(not field.result for field in self._fields):
                continue
            elif name in ("footnoteReference", "endnoteReference"):
                self._cite(name.removesuffix("Reference"), child.get(W + "id", ""))
            elif name == "AlternateContent":
                self._run(alternative(child), raw)
            elif name in ("drawing", "pict", "object"):
                self._boxes.extend(text_boxes(child))
            elif name == "ruby":
                base, above = child.find(W + "rubyBase"), child.find(W + "rt")
                self._inline(() if base is None else base, raw)
                if above is not None and (said := "".join(above.itertext(W + "t"))):
                    self._flow.add(f"({said})")
            elif name == "br" and child.get(W + "type") in ("page", "column"):
                self._flow.line()
            elif name in ("br", "cr"):
                self._flow.raw("\n", strip=False) if raw else self._flow.line()
            elif text := text_of(name, child):
                self._flow.raw(text, strip=False) if raw else self._flow.add(text)

    def _field(self, phase: str) -> None:
        if phase == "begin":
            self._fields.append(_Field())
        elif phase == "separate" and self._fields:
            field = self._fields[-1]
            field.result = True
            if match := _HYPERLINK.match(field.code):
                self._flow.link(("#" if match[1] else "") + match[2])
                field.linked = True
        elif phase == "end" and self._fields and self._fields.pop().linked:
            self._flow.unlink()

    # ---------------------------------------------------------------- notes

    def _cite(self, kind: str, id: str) -> None:
        if (kind, id) in self._notes:
            if (kind, id) not in self._cited:
                self._cited.append((kind, id))
            self._flow.add(f"[{self._label(kind, id)}]")

    def _label(self, kind: str, id: str) -> str:
        """The number of a note in its kind: of a footnote in digits, of an endnote in Roman ones."""
        number = [note for note in self._cited if note[0] == kind].index((kind, id)) + 1
        return numeral(number, "lowerRoman" if kind == "endnote" else "decimal")

    def _read_notes(self) -> None:
        """The notes, behind the text, each as a paragraph that starts with its number."""
        at = 0
        while at < len(self._cited):  # a note may cite another
            kind, id = self._cited[at]
            at += 1
            label = self._label(kind, id)
            self._flow.open("paragraph", marker=f"[{label}]", meta={"note": kind, "marker": label})
            for paragraph in self._notes[kind, id].iter(W + "p"):
                self._inline(paragraph)
                self._flow.line()
            self._flow.close()
