"""HTML files as documents."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dougong import Document, Section
from dougong_loader_text.decoding import decode, read_bytes
from selectolax.lexbor import LexborHTMLParser

from dougong_loader_html.blocks import Page
from dougong_loader_html.main_content import content
from dougong_loader_html.shallow import shallow

if TYPE_CHECKING:
    from dougong_loader_html import Params

_CHARSET = re.compile(
    rb"""<meta\b[^>]*?\bcharset\s*=\s*["']?\s*([\w.:-]+)|<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)""", re.I
)
_HEAD = 4096  # bytes in which a declared encoding is looked for; the standard asks for 1,024
# What the Encoding Standard takes these labels for.
_LABELS = {"gb2312": "gb18030", "gbk": "gb18030", "iso8859-1": "cp1252", "ascii": "cp1252", "euc_kr": "cp949"}
_LABELS |= {"big5": "big5hkscs", "shift_jis": "cp932", "utf-16": "utf-8", "utf-16-le": "utf-8", "utf-16-be": "utf-8"}


class HTMLLoader:
    """Reads an HTML file: `Document.text` is what a browser shows, white space as CSS has it.

    The tree's nodes are ``heading paragraph list item table row cell code quote formula caption``. Headings have their
    text as title, code its language (from a class ``language-x``). Lists and items have their depth as level, items
    their ``meta["marker"]``; terms and descriptions are items with a ``role``. Cells are parted by tabs and have
    ``colspan``, ``rowspan`` and ``header`` where they say so; rows of headers have ``header``. A formula is its TeX
    source where the page has it. ``meta["links"]`` of a node lists ``[start, end, target]``, targets as written.

    `meta`: ``encoding``; ``title``, ``lang`` and ``description`` where given; ``left_out``, the number of characters
    that are not of the main content. Nothing is fetched, no script runs.
    """

    suffixes = (".html", ".htm", ".xhtml")

    def __init__(self, params: Params) -> None:
        self._params = params

    def load(self, source: Path) -> Document:
        """The document in `source`. Raises LoadError: unreadable, too large, binary."""
        data = read_bytes(source, self._params.max_megabytes)
        markup, encoding = decode(data, source, declared=declared(data))
        text, tree, meta = parse(markup, self._params.main)
        return Document(str(source), text, tree, str(source), {"encoding": encoding, **meta})


def parse(markup: str, main: bool = True) -> tuple[str, Section, dict[str, Any]]:
    """Text, tree and metadata of a page."""
    parser = LexborHTMLParser(shallow(markup))
    meta = _head(parser)
    body = parser.body or parser.root
    text, tree = Page().read([body] if body else [])
    if main and body:
        roots, skipped = content(body)
        if skipped or roots != [body]:
            whole = len(text)
            text, tree = Page(skipped).read(roots)
            meta["left_out"] = whole - len(text)
    if "title" not in meta and (title := next((n.title for n in tree.walk() if n.kind == "heading"), "")):
        meta["title"] = title
    return text, tree, meta


def declared(data: bytes) -> str:
    """The codec of the encoding that a page says it is in; empty if it says none that is known."""
    match = _CHARSET.search(data, 0, _HEAD)
    try:
        name = codecs.lookup((match[1] or match[2]).decode("ascii")).name if match else ""
        "".encode(name or "utf-8")
    except (LookupError, ValueError):
        return ""
    return _LABELS.get(name, name)


def _head(parser: LexborHTMLParser) -> dict[str, Any]:
    """What a page says of itself: ``title lang description``."""
    found: dict[str, Any] = {}
    named: dict[str, str] = {}
    for node in parser.css("meta[content]"):
        name = node.attributes.get("property") or node.attributes.get("name") or ""
        named.setdefault(name.lower(), " ".join((node.attributes.get("content") or "").split()))
    title = parser.css_first("head > title") or parser.css_first("title")
    values = {
        "title": (" ".join(title.text().split()) if title else "") or named.get("og:title"),
        "lang": (parser.root.attributes.get("lang") or parser.root.attributes.get("xml:lang")) if parser.root else "",
        "description": named.get("description") or named.get("og:description"),
    }
    found.update((name, value.strip()) for name, value in values.items() if value and value.strip())
    return found
