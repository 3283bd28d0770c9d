"""Word documents as documents."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dougong import Document
from dougong_loader_text.decoding import read_bytes
from lxml import etree

from dougong_loader_docx.body import Body
from dougong_loader_docx.numbering import Numbering
from dougong_loader_docx.package import Package, R, W
from dougong_loader_docx.styles import Styles

if TYPE_CHECKING:
    from dougong_loader_docx import Params

_PROPERTIES = {"title": "title", "creator": "author", "subject": "subject", "keywords": "keywords", "language": "lang"}
_PROPERTIES |= {"created": "created", "modified": "modified"}


class DocxLoader:
    """Reads a Word document: `Document.text` is what Word shows, numbers and bullets of lists included.

    The tree's nodes are ``heading paragraph list item table row cell code quote formula caption contents page``. A
    heading is what its style or outline level makes one, in any language; its title has its number. Items have their
    depth as level and ``meta["marker"]``. Cells are parted by tabs, merged ones have ``colspan`` and ``rowspan``; the
    rows of headers have ``header``. Formulas are TeX. Text boxes follow the paragraph that they are in, notes the whole
    text (``meta["note"]``). A ``page`` marks the first block of a page, where Word noted the pages when it saved the
    file. ``meta["links"]`` of a node lists ``[start, end, target]``.

    Insertions under revision are read, deletions are not. `meta`: ``title author subject keywords lang created
    modified`` where given, and the ``headers``, ``footers`` and ``comments``, which are not part of the text.
    """

    suffixes = (".docx", ".docm", ".dotx", ".dotm")

    def __init__(self, params: Params) -> None:
        self._params = params

    def load(self, source: Path) -> Document:
        """The document in `source`. Raises LoadError: unreadable, too large, encrypted, damaged, no Word document."""
        limit = self._params.max_megabytes
        package = Package(read_bytes(source, limit), source, limit * 1e6)
        main = package.xml(package.main)
        assert main is not None  # the package has checked
        relations = package.relations(package.main)
        parts = {kind: target for _, kind, target in relations}

        def part(kind: str) -> etree._Element | None:
            return package.xml(parts[kind]) if kind in parts else None

        notes = {
            (kind, note.get(W + "id", "")): note
            for kind in ("footnote", "endnote")
            for note in _children(part(kind + "s"), kind)
            if note.get(W + "type", "normal") == "normal"
        }
        targets = {id: target for id, kind, target in relations if kind == "hyperlink"}
        body = Body(Styles(part("styles")), Numbering(part("numbering")), targets, notes)
        inner = main.find(W + "body")
        text, tree = body.read(() if inner is None else inner)
        meta = _properties(package)
        for kind in ("header", "footer"):
            named = {id: target for id, sort, target in relations if sort == kind}
            order = dict.fromkeys(e.get(R + "id", "") for e in main.iter(f"{W}{kind}Reference"))
            said = (_said(package.xml(named[id])) for id in order if id in named)
            if found := list(dict.fromkeys(filter(None, said))):
                meta[kind + "s"] = found
        comments = [
            {"author": comment.get(W + "author", ""), "text": _said(comment)}
            for comment in _children(part("comments"), "comment")
        ]
        if comments:
            meta["comments"] = comments
        first = next((node.title for node in tree.walk() if node.kind == "heading" and node.title), "")
        if title := meta.get("title") or body.title or first:
            meta["title"] = title
        return Document(str(source), text, tree, str(source), meta)


def _children(root: etree._Element | None, name: str) -> Iterable[etree._Element]:
    return () if root is None else root.iterfind(W + name)


def _said(root: etree._Element | None) -> str:
    """The plain text of a header, a footer or a comment, in one line."""
    if root is None:
        return ""
    empty = Body(Styles(None), Numbering(None), {}, {})
    return " ".join(empty.read(root)[0].split())


def _properties(package: Package) -> dict[str, Any]:
    """What the document says of itself (its core properties)."""
    name = next((target for _, kind, target in package.relations("") if kind == "core-properties"), "docProps/core.xml")
    root = package.xml(name)
    found = {}
    for child in root if root is not None else ():
        key = _PROPERTIES.get(child.tag.rpartition("}")[2])
        if key and (text := " ".join((child.text or "").split())):
            found[key] = text
    return found
