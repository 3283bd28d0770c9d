"""Markdown files as documents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dougong import Document
from dougong_loader_text.decoding import read_text

from dougong_loader_markdown.blocks import parse

if TYPE_CHECKING:
    from dougong_loader_markdown import Params

_TITLE = re.compile(r"^title[ \t]*:[ \t]*(?=[^\s|>&*!])(.+?)[ \t]*\r?$", re.MULTILINE)


class MarkdownLoader:
    """Reads a Markdown file. `Document.text` is its source, so that a quote is found in the user's own file.

    The tree's nodes are ``front-matter heading paragraph list item table row cell code quote html rule``, as CommonMark
    and GitHub's table extension define them. Spans hold the markup, without white space at the edges. Headings have
    their plain text as title, code blocks their language; the first row of a table has ``meta["header"]``; lists and
    items have their depth as level. The one paragraph of a tight list's item is the item itself.

    `meta`: ``encoding``, and ``title``: that of the front matter, else the first heading's.
    """

    suffixes = (".md", ".markdown", ".mdown", ".mkd")

    def __init__(self, params: Params) -> None:
        self._params = params

    def load(self, source: Path) -> Document:
        """The document in `source`. Raises LoadError: unreadable, too large, binary."""
        text, encoding = read_text(source, None, self._params.max_megabytes)
        tree = parse(text)
        meta: dict[str, Any] = {"encoding": encoding}
        if title := _title(text, tree):
            meta["title"] = title
        return Document(str(source), text, tree, str(source), meta)


def _title(text: str, tree: Any) -> str:
    for node in tree.children:
        if node.kind == "front-matter" and (match := _TITLE.search(node.span.of(text))):
            value = match[1]
            if value[0] in "\"'" and value.find(value[0], 1) > 0:
                return value[1 : value.index(value[0], 1)].strip()
            return re.sub(r"\s+#.*", "", value)
    return next((node.title for node in tree.walk() if node.kind == "heading" and node.title), "")
