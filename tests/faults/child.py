"""Syncs a library once, in a process of its own that a test kills. Also makes the libraries that the test looks at.

``python child.py ROOT`` prints ``ready`` when all is imported, syncs ROOT/docs into ROOT/library, and prints the number
of points passed. It kills itself at the point of number DIE_AT: before and after each fsync, rename, removal, commit
and new folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dougong import Chunk, Document, Span
from dougong_retriever_bm25 import Params as BM25Params
from dougong_retriever_bm25.index import BM25
from dougong_retriever_library import Params, library, store, sync


class Log:
    """Lines that outlive the process, so that a test can count what was done more than once."""

    def __init__(self, root: Path) -> None:
        self.file = root / "log"

    def write(self, kind: str, name: str) -> None:
        with self.file.open("a", encoding="utf-8") as file:
            file.write(f"{kind} {name}\n")


class Loader:
    suffixes = (".md",)

    def __init__(self, log: Log) -> None:
        self.log = log

    def load(self, source: Path) -> Document:
        self.log.write("load", source.name)
        return Document(str(source), source.read_text(encoding="utf-8"))


class Lines:
    def chunk(self, document: Document) -> Iterator[Chunk]:
        start = 0
        for line in document.text.splitlines(keepends=True):
            span = Span(start, start + len(line))
            yield Chunk(Chunk.name(document.id, span), document.id, line, span)
            start = span.end


class Index(BM25):
    log: Log

    def add(self, chunks: Any) -> None:
        chunks = list(chunks)
        for chunk in chunks:
            self.log.write("add", chunk.id)
        super().add(chunks)

    def add_prepared(self, prepared: Any, chunks: Any) -> None:
        prepared = list(prepared)
        for id, _ in prepared:
            self.log.write("add", id)
        super().add_prepared(prepared, chunks)


def open_library(root: Path, path: str = "library") -> library.DocumentLibrary:
    log = Log(root / path if path != "library" else root)
    log.file.parent.mkdir(exist_ok=True)
    for kind in (Loader, Lines, Index):
        kind.__module__ = "faults"  # one technique, whatever name this file was imported by
    index = Index(BM25Params())
    index.log = log
    return library.DocumentLibrary(Params([root / "docs"], root / path, Loader(log), Lines(), index))


def small_steps() -> None:
    """A commit a document, an index saved every few chunks: more moments to die at."""
    sync.BATCH = 0
    library.PART, library.SHARE = 8, 0


def die_at(last: int) -> Callable[[], int]:
    """Kill this process at point `last`; gives a function that tells the points passed."""
    points = 0

    def point() -> None:
        nonlocal points
        points += 1
        if points == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            point()
            result = function(*arguments, **named)
            point()
            return result

        return call

    for place, name in (
        (os, "fsync"),
        (os, "replace"),
        (os, "rename"),
        (os, "mkdir"),
        (os, "link"),
        (shutil, "rmtree"),
        (store.Writer, "commit"),
        (store.Writer, "put"),
        (store.Writer, "remove"),
        (store.Writer, "point"),
    ):
        setattr(place, name, watched(getattr(place, name)))
    return lambda: points


if __name__ == "__main__":
    small_steps()
    made = open_library(Path(sys.argv[1]))
    passed = die_at(int(os.environ.get("DIE_AT", "0")))
    print("ready", flush=True)
    made.sync()
    print(passed(), flush=True)
