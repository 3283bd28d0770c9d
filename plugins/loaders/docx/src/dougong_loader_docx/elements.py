"""Finding one's way in WordprocessingML: rows and cells, text boxes, what shows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from lxml import etree

from dougong_loader_docx.package import W
from dougong_loader_docx.styles import value

# What only stands around what is read.
INSIDE = ("ins", "moveTo", "smartTag", "sdtContent", "sdt", "customXml", "dir", "bdo", "fldSimple")


def local(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]


def alternative(element: etree._Element) -> etree._Element:
    """What is to be read of ``mc:AlternateContent``: the first choice, as Word does, else the fallback."""
    return next((child for child in element if local(child) in ("Choice", "Fallback")), element)


def text_boxes(drawing: etree._Element) -> Iterator[etree._Element]:
    """The contents of text boxes in a drawing, each once; those of a box inside a box come when it is read."""
    stack = [drawing]
    while stack:
        element = stack.pop()
        if element.tag == W + "txbxContent":
            yield element
        elif local(element) == "AlternateContent":
            stack.append(alternative(element))
        else:
            stack.extend(reversed(element))


def says(paragraph: etree._Element) -> bool:
    """Whether there is anything in a paragraph that shows."""
    return any(
        local(element) in ("t", "sym", "noBreakHyphen", "footnoteReference", "endnoteReference", "oMath")
        for element in paragraph.iter()
    )


def text_of(name: str, element: etree._Element) -> str:
    """What an element of a run shows."""
    if name == "t":
        return (element.text or "").replace("\n", " ")
    if name == "sym":
        code = element.get(W + "char", "")
        sign = chr(int(code, 16)) if re.fullmatch(r"[0-9a-fA-F]{1,4}", code) else ""
        return "" if "\ud800" <= sign <= "\udfff" else sign
    return {"tab": "\t", "ptab": "\t", "noBreakHyphen": "-"}.get(name, "")


def rows_of(table: Iterable[etree._Element]) -> Iterator[etree._Element]:
    for child in table:
        if child.tag == W + "tr":
            if child.find(f"{W}trPr/{W}del") is None:
                yield child
        elif local(child) in INSIDE:
            yield from rows_of(child)


def cells_of(row: etree._Element) -> Iterator[tuple[int, int, str, etree._Element]]:
    """Column, width, vertical merge and element of a row's cells."""
    before = value(row.find(W + "trPr"), "gridBefore")
    column = int(before) if before.isdecimal() else 0
    stack = list(reversed(row))
    while stack:
        child = stack.pop()
        if child.tag == W + "tc":
            properties = child.find(W + "tcPr")
            span = value(properties, "gridSpan")
            width = min(max(1, int(span)), 1000) if span.isdecimal() else 1
            merge = properties.find(W + "vMerge") if properties is not None else None
            yield column, width, "" if merge is None else merge.get(W + "val", "continue"), child
            column += width
        elif local(child) in INSIDE:
            stack.extend(reversed(child))


def height(rows: list[list[tuple[int, int, str, etree._Element]]], number: int, column: int) -> int:
    """How many rows the cell reaches into that starts in row `number`, its own included."""
    height = 1
    for cells in rows[number + 1 :]:
        if not any(at == column and merge == "continue" for at, _, merge, _ in cells):
            break
        height += 1
    return height
