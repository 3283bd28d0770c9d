"""Plain text files as documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from dougong import Document, Section, Span

from dougong_loader_text.decoding import read_text

if TYPE_CHECKING:
    from dougong_loader_text import Params

_BLANK = re.compile(r"(?:\r\n|\n|\r(?!\n))[^\S\r\n]*(?:\r\n|\n|\r)\s*|\f\s*|\u2029\s*")


class TextLoader:
    """Reads a text file: UTF-8, UTF-16 and UTF-32 by byte order mark, else UTF-8, else what the bytes look like.

    The tree is a ``document`` of ``paragraph`` nodes, parted by blank lines; their spans have no white space at the
    edges. ``meta["encoding"]`` names what was found.
    """

    suffixes = (".txt", ".text", ".log")

    def __init__(self, params: Params) -> None:
        self._params = params

    def load(self, source: Path) -> Document:
        """The document in `source`. Raises LoadError: unreadable, too large, binary."""
        text, encoding = read_text(source, self._params.encoding, self._params.max_megabytes)
        tree = Section("document", Span(0, len(text)), children=paragraphs(text))
        return Document(str(source), text, tree, str(source), {"encoding": encoding})


def paragraphs(text: str) -> tuple[Section, ...]:
    """The paragraphs of plain text: what stands between blank lines, white space at the edges left out."""
    return tuple(_paragraphs(text))


def _paragraphs(text: str) -> Iterator[Section]:
    start = 0
    for end, after in chain((match.span() for match in _BLANK.finditer(text)), [(len(text), len(text))]):
        piece = text[start:end]
        if content := piece.strip():
            first = start + piece.index(content[0])
            yield Section("paragraph", Span(first, first + len(content)))
        start = after
