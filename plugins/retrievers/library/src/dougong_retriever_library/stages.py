"""One file at a time: read, cut and packed, as far as it changed. Writes nothing, so that any process can do it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Protocol

import attrs
from dougong import CallError, Cancelled, Chunk, Chunker, Document, Index, Loader, StoreError

from dougong_retriever_library.rows import Packed, pack
from dougong_retriever_library.store import Stored
from dougong_retriever_library.walk import Found, reason_of

RECENT = (
    2_000_000_000  # ns; a file changed this shortly before may change again within one tick of its clock (FAT: 2 s)
)
PASSED_ON = (Cancelled, CallError, StoreError, MemoryError, sqlite3.Error)  # these end a sync, not one file


@attrs.frozen
class Task:
    """A file to look into, and what is stored of it."""

    file: Found
    known: Stored | None


@attrs.frozen
class Done:
    """What a file holds now. `packed`: its document, None where nothing changed; its text is the stored one where
    `keep_text`."""

    hash: bytes
    mtime_ns: int
    packed: Packed | None = None
    keep_text: bool = False


@attrs.frozen
class Failed:
    """A file that cannot be read or cut, and why."""

    reason: str


Results = Generator[tuple[Task, Done | Failed], None, None]


class Executor(Protocol):
    """Has `Stages.attempt` done for each task, somewhere; gives the results in the order of the tasks.

    Tasks are drawn as they are needed: drawing one may raise `Cancelled`. Closing the generator ends the work.
    """

    def __call__(self, stages: Stages, tasks: Iterable[Task]) -> Results: ...


def in_turn(stages: Stages, tasks: Iterable[Task]) -> Results:
    """The executor that is this thread."""
    for task in tasks:
        yield task, stages.attempt(task)


def fingerprint(technique: object) -> str:
    """Changes with the technique, its version or its resolved params; for objects not built by dougong, the class."""
    from dougong.assemble import origin

    made = origin(technique)
    if made is not None:
        return made.fingerprint
    kind = type(getattr(technique, "_inner", technique))  # what stands behind a run's proxy
    return sha256(f"{kind.__module__}:{kind.__qualname__}".encode()).hexdigest()


@attrs.frozen
class Stages:
    """The two stages before the index, each with its fingerprint. `documents` reads a stored one by its id.

    `index` is here for what it can do of a chunk before it is stored, where it can: ``prepare(chunk)`` gives a string
    that ``add_prepared(pairs of id and string, chunks)`` takes in place of the chunk.
    """

    loader: Loader
    chunker: Chunker
    load_by: str
    chunk_by: str
    max_megabytes: int
    documents: Callable[[str], Document]
    index: Index | None = None

    @property
    def prepare_chunk(self) -> Callable[[Chunk], str] | None:
        return getattr(self.index, "prepare", None) if hasattr(self.index, "add_prepared") else None

    def loads_alike(self, known: Stored | None, file: Found) -> bool:
        """Whether the same bytes would give the stored document."""
        return known is not None and (known.source, known.load_by) == (file.source, self.load_by)

    def attempt(self, task: Task) -> Done | Failed:
        """`prepare`, with what is wrong with this one file as a value."""
        try:
            return self.prepare(task.file, task.known)
        except PASSED_ON:
            raise
        except Exception as problem:
            return Failed(reason_of(problem))

    def prepare(self, file: Found, known: Stored | None) -> Done:
        """Load, cut and pack one file, as far as it changed. Raises what its loader and chunker raise."""
        if file.size > self.max_megabytes * 1_000_000:
            raise ValueError(f"{file.size / 1e6:,.0f} MB; max_megabytes is {self.max_megabytes}")
        mtime_ns = -1 if time.time_ns() - file.mtime_ns < RECENT else file.mtime_ns
        alike = self.loads_alike(known, file)
        if known and alike and (known.size, known.mtime_ns) == (file.size, file.mtime_ns):
            digest = known.hash
        else:
            with file.path.open("rb") as handle:
                digest = file_digest(handle, "sha256").digest()
        same = known is not None and alike and known.hash == digest
        if known and same and known.chunk_by == self.chunk_by:
            return Done(digest, mtime_ns)
        document = self.documents(file.id) if same else self._load(file)
        return Done(digest, mtime_ns, pack(document, self._cut(document), self.prepare_chunk), same)

    def _load(self, file: Found) -> Document:
        document = self.loader.load(file.path)
        headings = (node.title for node in (document.tree.walk() if document.tree else ()) if node.kind == "heading")
        title = document.meta.get("title") or next(headings, "") or Path(file.source).name
        meta = {**document.meta, "title": title, "source": file.source}
        return attrs.evolve(document, id=file.id, source=file.source, meta=meta)

    def _cut(self, document: Document) -> Iterator[Chunk]:
        """The document's chunks, held to their contract, each with the line it starts in."""
        text, line, at = document.text, 1, 0
        for chunk in self.chunker.chunk(document):
            start = chunk.span.start
            if chunk.document != document.id or chunk.span.of(text) != chunk.text:
                raise ValueError(f"the chunker gave a chunk that is not a piece of the document: {chunk.id!r}")
            if "line" not in chunk.meta:
                line += text.count("\n", at, start) if start >= at else -text.count("\n", start, at)
                at = start
                chunk = attrs.evolve(chunk, meta={"line": line, **chunk.meta})
            yield chunk
