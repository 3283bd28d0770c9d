"""From the tree of elements to text and sections, in the way that a browser renders it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import attrs
from dougong import Section
from dougong_loader_text.flow import Flow
from selectolax.lexbor import LexborNode

from dougong_loader_html.elements import UNSEEN, integer, language, numeral, plain, tex, words

_BLOCKS = words(
    "address article aside body caption center details dd dialog div dt fieldset figure footer form header "
    "hgroup html legend li main nav optgroup search section summary table tbody td tfoot th thead tr"
)
_LISTS = words("ul ol menu dir dl")
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_CODE = words("pre listing xmp plaintext")
_HIDING = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\b", re.IGNORECASE)
_NESTED = 16  # tables inside one another; what is deeper is only read as text
_DISPLAY_STYLE = re.compile(r"^\{\\(?:displaystyle|textstyle)\s*(.*)\}$", re.DOTALL)  # as MediaWiki wraps each
_NO_LINK = re.compile(r"\s*(?:#|javascript:|data:|$)", re.IGNORECASE)


@attrs.define
class _List:
    """Numbers of a list that is open. `step` is -1 where it counts down."""

    style: str
    number: int = 1
    step: int = 1


@attrs.define
class _Table:
    """A table that is open: rows that cells from above still reach into, by column."""

    reach: dict[int, int] = attrs.field(factory=dict)
    column: int = 0
    layout: bool = False


class Page:
    """Reads one page. `skipped` holds the ids of elements to leave out."""

    def __init__(self, skipped: Collection[int] = ()) -> None:
        self._skipped = skipped
        self._flow = Flow()
        self._lists: list[_List] = []
        self._tables: list[_Table] = []

    def read(self, roots: Sequence[LexborNode]) -> tuple[str, Section]:
        """Text and tree of what `roots` hold, one after the other. Does not recurse."""
        stack: list[tuple[LexborNode | None, Callable[[], None] | None]] = [(root, None) for root in reversed(roots)]
        while stack:
            node, leave = stack.pop()
            if node is None:
                if leave:
                    leave()
                continue
            if node.is_text_node:
                self._flow.add(node.text_content or "", collapse=True)
                continue
            if not node.is_element_node:
                continue
            leave = self._enter(node)
            if leave is not None:
                stack.append((None, leave))
                child = node.last_child
                while child is not None:
                    stack.append((child, None))
                    child = child.prev
        return self._flow.finish()

    def _enter(self, node: LexborNode) -> Callable[[], None] | None:
        """Begin an element; what is to be done when it ends, or None if its children are not to be read."""
        tag, attributes, flow = node.tag or "", node.attributes, self._flow
        if tag == "script" and (attributes.get("type") or "").startswith("math/tex"):  # MathJax's source
            self._formula(node.text(), display="display" in (attributes["type"] or ""))
            return None
        if tag in UNSEEN or node.mem_id in self._skipped or hidden(tag, attributes):
            return None
        if tag == "br":
            flow.line()
            return None
        if tag == "math":
            self._formula(tex(node), display=attributes.get("display") == "block")
            return None
        if tag == "img":
            if "math" in (attributes.get("class") or ""):
                self._formula(attributes.get("alt") or "")
            return None
        if tag in ("hr", "wbr"):
            if tag == "hr":
                flow.block(2)
            return None
        if tag in _CODE and flow.kind != "heading":
            flow.open("code", title=language(node))
            flow.raw(plain(node))
            flow.close()
            return None
        if tag == "a" and not _NO_LINK.match(attributes.get("href") or ""):
            flow.link((attributes["href"] or "").strip())
            return flow.unlink
        if tag in _HEADINGS:
            flow.open("heading", _HEADINGS[tag])
        elif tag == "p":
            flow.open("paragraph")
        elif tag == "blockquote":
            flow.open("quote")
        elif tag in ("figcaption", "caption"):
            flow.open("caption", breaks=1)
        elif tag in _LISTS:
            return self._list(tag, attributes)
        elif tag in ("li", "dt", "dd"):
            self._item(tag, attributes)
        elif tag == "table":
            return self._table(node, attributes)
        elif tag == "tr" and self._tables and not self._tables[-1].layout:
            return self._row(node)
        elif tag in ("td", "th") and self._tables and not self._tables[-1].layout:
            self._cell(tag, attributes)
        elif tag in _BLOCKS:
            breaks = 2 if tag == "figure" else 1
            flow.block(breaks)
            return lambda: flow.block(breaks)
        else:
            return _nothing
        return flow.close

    def _list(self, tag: str, attributes: dict[str, str | None]) -> Callable[[], None]:
        reverse = tag == "ol" and "reversed" in attributes
        start = integer(attributes.get("start"), 1)
        style = (attributes.get("type") or "1") if tag == "ol" else tag
        self._lists.append(_List(style, start, -1 if reverse else 1))
        depth = self._flow.depth("list") + 1
        self._flow.open(
            "list", depth, breaks=1 if depth > 1 else 2, meta={"description": True} if tag == "dl" else None
        )
        return self._end_list

    def _end_list(self) -> None:
        self._lists.pop()
        self._flow.close()

    def _item(self, tag: str, attributes: dict[str, str | None]) -> None:
        meta: dict[str, Any] = {}
        level = max(1, self._flow.depth("list"))
        if tag == "li":
            marker = "•"
            if self._lists and self._lists[-1].style not in _LISTS:
                numbers = self._lists[-1]
                numbers.number = integer(attributes.get("value"), numbers.number)
                marker = numeral(numbers.number, numbers.style) + "."
                numbers.number += numbers.step
            self._flow.open("item", level, breaks=1, marker=marker, meta={"marker": marker})
        else:
            meta["role"] = "term" if tag == "dt" else "description"
            self._flow.open("item", level, breaks=1, meta=meta)

    def _table(self, node: LexborNode, attributes: dict[str, str | None]) -> Callable[[], None]:
        layout = attributes.get("role") in ("presentation", "none") or len(self._tables) >= _NESTED
        if not layout and "border" not in attributes and node.css_first("th, caption, thead") is None:
            layout = node.css_first("td table, td h1, td h2, td form") is not None
        self._tables.append(_Table(layout=layout))
        if layout:
            self._flow.block()
        else:
            self._flow.open("table", breaks=1 if self._flow.depth("cell") else 2)

        def leave() -> None:
            self._tables.pop()
            if layout:
                self._flow.block()
            else:
                self._flow.close()

        return leave

    def _row(self, node: LexborNode) -> Callable[[], None]:
        table, above = self._tables[-1], node.parent
        cells = [cell.tag for cell in node.iter() if cell.tag in ("td", "th")]
        header = (above is not None and above.tag == "thead") or (
            len(cells) > 1 and set(cells) == {"th"} and not _row_before(node)
        )
        table.column = 0
        self._flow.open("row", breaks=1, meta={"header": True} if header else None)

        def leave() -> None:
            self._flow.close()
            table.reach = {column: rows - 1 for column, rows in table.reach.items() if rows > 1}

        return leave

    def _cell(self, tag: str, attributes: dict[str, str | None]) -> None:
        table = self._tables[-1]
        while table.reach.get(table.column, 0) > 0:
            table.column += 1
        spans = {
            "colspan": min(max(1, integer(attributes.get("colspan"), 1)), 1000),
            "rowspan": min(max(1, integer(attributes.get("rowspan"), 1)), 65534),
        }
        meta: dict[str, Any] = {name: value for name, value in spans.items() if value > 1}
        if tag == "th":
            meta["header"] = True
        self._flow.open("cell", meta=meta, column=table.column)
        for column in range(table.column, table.column + spans["colspan"]):
            # counts this row too, which the row's end takes off
            table.reach[column] = max(table.reach.get(column, 0), spans["rowspan"])
        table.column += spans["colspan"]

    def _formula(self, tex: str, display: bool = False) -> None:
        """A formula, in the line or on lines of its own."""
        tex = _DISPLAY_STYLE.sub(r"\1", tex.strip())
        if display and tex and self._flow.kind != "heading":
            self._flow.open("formula", breaks=1)
            self._flow.raw(tex)
            self._flow.close()
        else:
            self._flow.inline("formula", " ".join(tex.split()))


def hidden(tag: str, attributes: dict[str, str | None]) -> bool:
    """Whether an element says of itself that it is not shown, or shows what stands elsewhere as a formula's source."""
    if "hidden" in attributes and attributes["hidden"] != "until-found":
        return True
    if tag == "dialog" and "open" not in attributes:
        return True
    style = attributes.get("style")
    if style and _HIDING.search(style):
        return True
    classes = (attributes.get("class") or "").split()
    return any(name in ("katex-html", "MathJax", "MathJax_Display", "MathJax_Preview") for name in classes)


def _nothing() -> None:
    """What the end of an inline element calls for."""


def _row_before(node: LexborNode) -> bool:
    """Whether a table row has one before it in its part of the table, or the table a part before that."""
    for place in (node, node.parent):
        before = place.prev if place is not None and place.tag != "table" else None
        while before is not None:
            if before.tag in ("tr", "thead", "tbody"):
                return True
            before = before.prev
    return False
