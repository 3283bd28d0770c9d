"""Blocks of Markdown at their exact place: markdown-it-py tells the lines, this module the characters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import attrs
from dougong import Section, Span
from markdown_it import MarkdownIt
from markdown_it.common.utils import unescapeAll
from markdown_it.token import Token

_LINE_END = re.compile(r"\r\n|\n|\r")
# YAML between lines of three hyphens; a rule that opens a text is not followed by a key.
_FRONT = re.compile(r"---[ \t]*\r?\n(?=[\w\"'][^\n]*:|#)")
_FRONT_END = re.compile(r"^(?:---|\.\.\.)[ \t]*(?=\r?$)", re.MULTILINE)
_ATTRIBUTES = re.compile(r"\s*\{:?\s*[#.][^{}]*\}\s*$")  # {#id .class} of Pandoc and Python-Markdown
_PIPE = re.compile(r"(?<!\\)\|")
_KINDS = {
    "heading_open": "heading",
    "paragraph_open": "paragraph",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "list_item_open": "item",
    "blockquote_open": "quote",
    "table_open": "table",
    "tr_open": "row",
    "fence": "code",
    "code_block": "code",
    "html_block": "html",
    "hr": "rule",
}


@attrs.define
class _Node:
    """A container that is still open. `inner` is where its content may start in its first line."""

    kind: str
    start: int
    end: int
    inner: int
    level: int = 0
    title: str = ""
    meta: dict[str, Any] = attrs.field(factory=dict)
    children: list[Section] = attrs.field(factory=list)

    def section(self) -> Section:
        return Section(self.kind, Span(self.start, self.end), self.level, self.title, tuple(self.children), self.meta)


def parse(text: str) -> Section:
    """The tree of a Markdown text: a ``document`` node whose spans refer to `text`."""
    root = _Node("document", 0, len(text), 0)
    begin = 0
    if (front := _FRONT.match(text)) and (front_end := _FRONT_END.search(text, front.end())):
        begin = front_end.end()
        root.children.append(Section("front-matter", Span(0, begin)))
    lines = [begin, *(match.end() for match in _LINE_END.finditer(text, begin)), len(text)]
    env: dict[str, Any] = {}
    tokens = _parser().parse(text[begin:], env)
    open_nodes = [root]
    for number, token in enumerate(tokens):
        kind = _KINDS.get(token.type)
        if kind and not token.hidden and token.map:
            node = _place(text, lines, token, kind, open_nodes)
            if kind == "heading":
                node.title = _plain(tokens[number + 1].content, env)
            elif kind == "row":
                node.meta, node.children = _cells(text, node, tokens[number - 1].type == "thead_open")
            if token.nesting == 1:
                open_nodes.append(node)
            else:
                open_nodes[-1].children.append(node.section())
        elif token.nesting == -1 and token.type[:-5] + "open" in _KINDS and not token.hidden:
            closed = open_nodes.pop()
            open_nodes[-1].children.append(closed.section())
    return root.section()


def _place(text: str, lines: Sequence[int], token: Token, kind: str, above: Sequence[_Node]) -> _Node:
    """Where the block is: behind the markers of what it is in, to the end of its last line that says something."""
    assert token.map is not None
    line, after = lines[token.map[0]], lines[min(token.map[1], len(lines) - 1)]
    start = max(line, above[-1].inner)
    quotes = sum(node.kind == "quote" for node in above)
    pending = quotes if start == line else 0  # `inner` is behind the markers of its own line
    while text[start : start + 1] in (" ", "\t") or (pending and text[start : start + 1] == ">"):
        pending -= text[start] == ">"
        start += 1
    if token.type == "code_block":
        while start > line and text[start - 1] in " \t":
            start -= 1
    end = start + len(text[start:after].rstrip())
    while quotes and (last := max(text.rfind("\n", start, end), text.rfind("\r", start, end))) >= 0:
        if text[last:end].strip(" \t\r\n>"):
            break
        end = start + len(text[start:last].rstrip())  # an empty line of the quote around it
    level = int(token.tag[1]) if kind == "heading" else 0
    if kind in ("list", "item"):
        level = sum(node.kind == "list" for node in above) + (kind == "list")
    marker = len(token.info + token.markup) if kind == "item" else 1 if kind == "quote" else 0
    title = next(iter(unescapeAll(token.info).split()), "") if token.type == "fence" else ""
    return _Node(kind, start, max(start, end), start + marker, level, title)


def _cells(text: str, row: _Node, header: bool) -> tuple[dict[str, Any], list[Section]]:
    """The cells of a table's row: what stands between its pipes."""
    edges = [row.start, *(match.start() for match in _PIPE.finditer(text, row.start, row.end)), row.end]
    pieces = [(a + (number > 0), b) for number, (a, b) in enumerate(pairwise(edges))]
    cells = []
    for number, (start, end) in enumerate(pieces):
        content = text[start:end].strip()
        if content or 0 < number < len(pieces) - 1:  # nothing stands before the first pipe and behind the last
            start += len(text[start:end]) - len(text[start:end].lstrip()) if content else 0
            cells.append(Section("cell", Span(start, start + len(content))))
    return ({"header": True} if header else {}), cells


def _plain(source: str, env: dict[str, Any]) -> str:
    """The text of a heading without its markup."""
    parser = _parser()
    inline: list[Token] = []
    parser.inline.parse(_ATTRIBUTES.sub("", source), parser, env, inline)
    words = []
    for token in inline:
        if token.type in ("text", "code_inline", "image", "text_special"):
            words.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            words.append(" ")
    return "".join(words).strip()


@cache
def _parser() -> MarkdownIt:
    """CommonMark and tables. Running text is parsed for headings only: `inline` as a step of the whole is off."""
    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.disable("inline")
    return parser
