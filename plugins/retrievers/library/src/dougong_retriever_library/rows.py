"""What a document becomes in the store: its text, its tree and its chunks as rows.

`pack` needs the document and its chunks alone, so that any process can do it for the one that writes.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any

import attrs
from dougong import Chunk, Document, Section, Span


@attrs.frozen
class Packed:
    """A document as it is stored.

    Attributes:
        meta: JSON.
        tree: see `encode_tree`.
        rows: a chunk each: its id, the columns ``start`` to ``meta``, its signature.
        prepared: what the index prepared of each, in the order of `rows`; None where it prepares nothing.
    """

    text: str
    meta: str
    tree: bytes
    rows: list[tuple[Any, ...]]
    prepared: list[str] | None = None


def pack(document: Document, chunks: Iterable[Chunk], prepare: Callable[[Chunk], str] | None = None) -> Packed:
    """Raises ValueError where two chunks have one id."""
    common = encoded(document.meta)
    shared = json.loads(common)
    rows: dict[str, tuple[Any, ...]] = {}
    prepared: list[str] = []
    for chunk in chunks:
        row = _row(chunk, shared)
        signature = blake2b(repr((row, chunk.text, common)).encode(), digest_size=12).digest()
        if chunk.id in rows:
            raise ValueError(f"the chunker gave two chunks the id {chunk.id!r}")
        rows[chunk.id] = (chunk.id, *row, signature)
        if prepare:
            prepared.append(prepare(chunk))
    tree = encode_tree(document.tree)
    return Packed(document.text, common, tree, list(rows.values()), prepared if prepare else None)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


encoded = json.JSONEncoder(ensure_ascii=False, default=_plain, separators=(",", ":")).encode


def _row(chunk: Chunk, shared: Mapping[str, Any]) -> tuple[Any, ...]:
    """Columns ``start`` to ``meta``; what a chunk says like its document is stored once."""
    first, last = (None, None) if chunk.parent is None else (chunk.parent.start, chunk.parent.end)
    own = {name: value for name, value in chunk.meta.items() if name not in shared or shared[name] != value}
    return (
        chunk.span.start,
        chunk.span.end,
        encoded(chunk.headings),
        chunk.context,
        first,
        last,
        chunk.tokens,
        int(chunk.oversize),
        encoded(own),
    )


def encode_tree(tree: Section | None) -> bytes:
    """A structure tree as compressed JSON: nodes in document order, each with its number of children."""
    nodes = [] if tree is None else tree.walk()
    rows = [(n.kind, n.span.start, n.span.end, n.level, n.title, len(n.children), n.meta or 0) for n in nodes]
    return zlib.compress(encoded(rows).encode(), 1)


def decode_tree(data: bytes) -> Section | None:
    """The tree that `encode_tree` wrote. Without recursion: children are ready before their parent is made."""
    ready: list[Section] = []
    for kind, start, end, level, title, count, meta in reversed(json.loads(zlib.decompress(data))):
        children = tuple(ready.pop() for _ in range(count))
        ready.append(Section(kind, Span(start, end), level, title, children, meta or {}))
    return ready.pop() if ready else None
