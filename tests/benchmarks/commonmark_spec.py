"""loader.markdown over the examples of the CommonMark specification, beside a reference parser's tree.

The reference is commonmark.py, which is not what the loader is built on, where it renders an example as the
specification does. Compared are the kinds, levels and nesting of all blocks, the titles of headings, the languages of
code, and that a block's letters stand in its span in order.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import dougong
from _bench import data, row

Tree = tuple[Any, ...]
_EXAMPLE = re.compile(r"^`{32} example\n(.*?)^\.\n(.*?)^`{32}$", re.MULTILINE | re.DOTALL)
_KINDS = {
    "heading": "heading",
    "paragraph": "paragraph",
    "list": "list",
    "item": "item",
    "code_block": "code",
    "block_quote": "quote",
    "thematic_break": "rule",
    "html_block": "html",
}


def examples(spec: str) -> Iterator[tuple[str, str]]:
    """Markdown and HTML of each example; the specification writes tabs as arrows."""
    for match in _EXAMPLE.finditer(spec):
        yield match[1].replace("→", "\t"), match[2].replace("→", "\t")


def children(node: Any) -> Iterator[Any]:
    child = node.first_child
    while child is not None:
        yield child
        child = child.nxt


def said(node: Any) -> str:
    """The text of an inline tree."""
    if node.t in ("softbreak", "linebreak"):
        return " "
    if node.t == "html_inline":
        return ""
    return (node.literal or "") + "".join(map(said, children(node)))


def reference(node: Any, depth: int = 0, tight: bool = False) -> Iterator[Tree]:
    """``(kind, level, title, letters, children)`` of each block below `node`. A tight item's text is the item's own."""
    for child in children(node):
        kind, level, title, letters, inner = _KINDS[child.t], 0, "", "", depth
        if kind == "paragraph" and tight:
            continue
        if kind == "heading":
            level, title = child.level, " ".join(said(child).split())
        if kind in ("heading", "paragraph"):
            letters = said(child)
        elif kind == "code":
            title, letters = ((child.info or "").split() or [""])[0], child.literal
        elif kind == "list":
            level = inner = depth + 1
        elif kind == "item":
            level = depth
        is_tight = node.list_data["tight"] if kind == "item" else child.list_data["tight"] if kind == "list" else False
        below = reference(child, inner, is_tight) if kind in ("list", "item", "quote") else ()
        yield (kind, level, title, [char for char in letters if char.isalnum()], tuple(below))


def ours(node: Any, text: str) -> Iterator[Tree]:
    for child in node.children:
        yield (child.kind, child.level, child.title, child.span.of(text), tuple(ours(child, text)))


def difference(want: tuple[Tree, ...], have: tuple[Tree, ...]) -> str:
    """What differs first; empty where nothing does."""
    if [tree[0] for tree in want] != [tree[0] for tree in have]:
        return f"{[tree[0] for tree in want]} are {[tree[0] for tree in have]}"
    for (kind, level, title, letters, inner), (_, our_level, our_title, text, our_inner) in zip(want, have):
        if level != our_level:
            return f"{kind} of level {level} has {our_level}"
        if kind in ("heading", "code") and title != our_title:
            return f"{kind} {title!r} is {our_title!r}"
        if not any(all(letter in rest for letter in letters) for rest in map(iter, (text, unescape(text)))):
            return f"{kind}: {''.join(letters)} not in {text!r}"
        if found := difference(inner, our_inner):
            return found
    return ""


def main() -> None:
    folder = data("documents/commonmark")
    if folder is None:
        return
    import commonmark

    loader = dougong.make("loader.markdown")
    total, equal, independent = 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "example.md"
        for number, (markdown, html) in enumerate(examples((folder / "spec.txt").read_text("utf-8")), 1):
            total += 1
            tree = commonmark.Parser().parse(markdown)
            sure = commonmark.HtmlRenderer().render(tree) == html
            independent += sure
            file.write_bytes(markdown.encode())
            document = loader.load(file)
            assert document.tree is not None
            found = difference(tuple(reference(tree)), tuple(ours(document.tree, document.text)))
            equal += sure and not found
            if found and sure:
                print(f"example {number}: {found}")
            elif found:
                print(f"example {number}, which the reference does not render as the specification does: {found}")
    row("CommonMark examples", total, "examples")
    row("  that the reference parser renders as the specification does", independent, "examples")
    row(
        "  of these, equal in structure and text", equal, "examples", bar=f"= {independent}", holds=equal == independent
    )


if __name__ == "__main__":
    main()
