"""Stages simple enough to be seen through, which count what they do."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from dougong import Chunk, Document, Hit, LoadError, Section, Span, StoreError
from dougong_retriever_library import Params
from dougong_retriever_library.library import DocumentLibrary


class Loader:
    """Text files; a file that holds ``!broken`` cannot be read."""

    suffixes: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.loaded: list[str] = []

    def load(self, source: Path) -> Document:
        self.loaded.append(source.name)
        text = source.read_text(encoding="utf-8")
        if "!broken" in text:
            raise LoadError(f"{source} is broken", hint="mend it")
        tree = Section("document", Span(0, len(text)), children=(Section("paragraph", Span(0, len(text))),))
        return Document(str(source), text, tree, str(source), {"language": "en"})


class Lines:
    """One chunk a paragraph of `size` lines."""

    size = 1

    def __init__(self) -> None:
        self.cut: list[str] = []

    def chunk(self, document: Document) -> Iterator[Chunk]:
        self.cut.append(document.id)
        lines = document.text.splitlines(keepends=True)
        start = 0
        for first in range(0, len(lines), self.size):
            end = start + len("".join(lines[first : first + self.size]))
            span = Span(start, end)
            yield Chunk(Chunk.name(document.id, span), document.id, span.of(document.text), span, meta=document.meta)
            start = end


class Pairs(Lines):
    size = 2


class Words:
    """Counts the words of the query; saved as JSON."""

    def __init__(self) -> None:
        self.words: dict[str, Counter[str]] = {}
        self.held: dict[str, Chunk] = {}
        self.chunks: Mapping[str, Chunk] = {}
        self.added: list[str] = []
        self.deleted: list[str] = []

    def add(self, chunks: Iterable[Chunk]) -> None:
        for chunk in chunks:
            self.added.append(chunk.id)
            self.words[chunk.id] = Counter(chunk.index_text.lower().split())
            self.held[chunk.id] = chunk

    def delete(self, ids: Iterable[str]) -> None:
        for id in ids:
            self.deleted.append(id)
            self.words.pop(id, None)

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        terms = query.lower().split()
        scores = {id: float(sum(words[term] for term in terms)) for id, words in self.words.items()}
        best = sorted((id for id in scores if scores[id]), key=lambda id: (-scores[id], id))
        return [Hit(self.held.get(id) or self.chunks[id], scores[id]) for id in best[:k]]

    def save(self, folder: Path) -> None:
        (folder / "words.json").write_text(json.dumps(self.words), encoding="utf-8")

    def load(self, folder: Path, chunks: Mapping[str, Chunk]) -> None:
        try:
            saved = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as problem:
            raise StoreError(f"{folder} is damaged: {problem}") from problem
        self.words = {id: Counter(words) for id, words in saved.items()}
        self.held, self.chunks = {}, chunks


class OtherWords(Words):
    pass


class Bench:
    """A folder of sources, and libraries over it."""

    Loader, Lines, Pairs, Words, OtherWords = Loader, Lines, Pairs, Words, OtherWords

    def __init__(self, root: Path) -> None:
        self.root = root
        self.docs = root / "docs"
        self.docs.mkdir()

    def write(self, name: str, text: str) -> Path:
        """A source file, its time far enough back to be trusted, and new at each writing."""
        path = self.docs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.stat().st_mtime_ns if path.exists() else 1_000_000_000_000_000_000
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(before + 1, before + 1))
        return path

    def library(self, path: str = "library", **params: Any) -> DocumentLibrary:
        parts = {"loader": Loader(), "chunker": Lines(), "index": Words()} | params
        return DocumentLibrary(Params(sources=parts.pop("sources", [self.docs]), path=self.root / path, **parts))

    def content(self, library: DocumentLibrary) -> tuple[Any, ...]:
        """All that can be seen of a library."""
        queries = ["one", "two", "three", "shared", "检索"]
        hits = [[(hit.chunk, hit.score) for hit in library.search(query, 50)] for query in queries]
        texts = [library.text(entry.id) for entry in library.documents()]
        return library.documents(), texts, sorted(library._store.chunks.items()), hits


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
