"""The library: a store, an index that follows it, and the sync that brings both up to date with the sources."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import attrs
from dougong import Hit, Index, StoreError, SyncReport, report

from dougong_retriever_library import Params
from dougong_retriever_library.stages import Executor, Stages, fingerprint
from dougong_retriever_library.store import Store, Stored, Unavailable, View, Writer, writable
from dougong_retriever_library.sync import Plan, Tally, carry_out, plan
from dougong_retriever_library.walk import walk
from dougong_retriever_library.workers import executor

log = logging.getLogger("dougong.library")

T = TypeVar("T")

STAGES = ["load", "chunk", "index"]
PART = 4096  # chunks handed to the index at once, at least: one commit's are never parted
SHARE = 10  # an index is saved at the earliest after this many times the work that saving takes


@attrs.frozen
class Entry:
    """A stored document: its id, where it came from, how many chunks it has."""

    id: str
    source: str
    chunks: int


@attrs.frozen
class Stats:
    """What is stored; `characters` of text, `megabytes` (1,000,000 bytes) on disk, the index's generation."""

    documents: int
    chunks: int
    characters: int
    megabytes: float
    generation: int


class DocumentLibrary:
    """Documents in, hits out. See `Params`. Safe to share between threads."""

    def __init__(self, params: Params, executor: Executor | None = None) -> None:
        """`executor` does the loading and chunking elsewhere; without it, it is done here, or by `params.workers`."""
        self._params = params
        self._executor = executor
        self._store = Store(params.path)
        self._index = params.index
        self._gate = _Gate()
        self._syncing = threading.RLock()
        self._synced = False
        self._at: int | None = None  # the commit that the index in memory stands at; None: not opened, or in disorder
        self._unsaved = False  # the index in memory is ahead of the saved one
        self._ahead = 0  # by how many chunks, about
        self._save_again = 0.0  # on the clock `time.monotonic`

    @property
    def index(self) -> Index:
        """The index as the last sync or search left it. To look at: what changes it by itself is lost or in the way."""
        return self._index

    # ---------------------------------------------------------------- search

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        """At most `k` hits, best first. The first search of an object syncs, if nobody did before.

        Where syncing is impossible just now (another writer, read-only, a source that is away), what is stored is
        searched, and a warning logged.
        """
        if k < 1:
            raise ValueError(f"k must be 1 or more; got {k}")
        self._first_sync()
        while True:
            with self._gate.shared(), self._store.reading() as view:
                if view is None:
                    raise StoreError(f"{self._store.folder} holds no library", hint="run sync() first")
                if self._at == view.seq:
                    return self._index.search(query, k, where)
            self._catch_up()

    def _first_sync(self) -> None:
        with self._syncing:
            if self._synced:
                return
            try:
                self.sync()
            except Unavailable as problem:
                with self._store.reading() as view:
                    if view is None:
                        raise
                log.warning("the library is searched as it was stored: %s", problem)
                report("library", 0, None, str(problem))
                self._synced = True

    def documents(self) -> list[Entry]:
        """The stored documents, by id."""
        query = """SELECT d.id, d.source, count(c.id) FROM documents d LEFT JOIN chunks c ON c.document = d.key
            GROUP BY d.key ORDER BY d.id"""
        with self._store.reading() as view:
            return [Entry(*row) for row in view.rows(query)] if view else []

    def text(self, document: str) -> str:
        """The stored text of a document, which spans refer to. Raises KeyError."""
        with self._store.reading() as view:
            text = view.text(document) if view else None
        if text is None:
            raise KeyError(document)
        return text

    def stats(self) -> Stats:
        """How much is stored."""
        query = "SELECT count(*), coalesce(sum(length), 0), (SELECT count(*) FROM chunks) FROM documents"
        with self._store.reading() as view:
            if view is None:
                return Stats(0, 0, 0, 0.0, 0)
            ((documents, characters, chunks),) = view.rows(query)
            files = (path.stat() for path in self._store.folder.rglob("*") if path.is_file())
            size = sum({info.st_ino: info.st_size for info in files}.values())  # indexes share files by links
            return Stats(documents, chunks, characters, size / 1e6, view.state().generation)

    def close(self) -> None:
        """Give back connections. What is used afterwards opens them again."""
        self._store.close()

    # ---------------------------------------------------------------- sync

    def sync(self) -> SyncReport:
        """Bring store and index up to date with the sources; redo only what changed.

        Commits in batches: after a crash or `Cancelled` the next sync goes on from there. A file that cannot be read
        or cut is told in the report, and what was stored of it before stays.

        Raises:
            StoreError: a source does not exist; the store cannot be written (another writer, no rights, disk full),
                is damaged, is not a library's, or was written by a newer version. Nothing stored is lost.
        """
        began = time.perf_counter()
        params = self._params
        redone: list[str] = []
        with self._syncing:
            limit = params.max_megabytes
            stages = Stages(params.loader, params.chunker, *self._prints[:2], limit, self._store.document, self._index)
            with self._store.reading() as view:
                stored, todo = self._plan(view, stages)
                seq, current = (view.seq, self._is_saved(view)) if view else (0, False)
            if current and not todo.stale and not todo.gone:
                self._catch_up()  # loads the index: a damaged one is found here, and mended below
                current = not self._unsaved
            tally = Tally(unchanged=todo.unchanged, failed=todo.failed)
            if todo.stale or todo.gone or not current:
                with self._store.writing() as writer:
                    if writer.seq != seq:  # another writer came between
                        stored, todo = self._plan(writer, stages)
                    redone = list(todo.redone)
                    if writer.state().generation and writer.state().index_by != self._prints[2]:
                        redone.append("index")
                        detail = f"the index changed: {len(self._store.chunks):,} chunks are indexed again"
                        report("index", 0, None, detail)
                    work = self._executor or executor(stages, todo.stale, self._store.folder, params.workers)
                    tally = carry_out(todo, stored, stages, work, writer, lambda: self._catch_up(writer, False))
                    self._catch_up(writer)
            self._synced = True
            if redone:
                redone = STAGES[STAGES.index(redone[0]) :]
            seconds = time.perf_counter() - began
            return SyncReport(
                tally.added,
                tally.updated,
                tally.deleted,
                tally.unchanged,
                tally.chunks,
                tuple(tally.failed),
                tuple(redone),
                seconds,
            )

    @cached_property
    def _prints(self) -> tuple[str, str, str]:
        """Fingerprints of the three stages, each with those of the stages that it builds on."""
        load, chunk, index = map(fingerprint, (self._params.loader, self._params.chunker, self._params.index))
        return load, f"{chunk} {load[:16]}", index

    def _plan(self, view: View | None, stages: Stages) -> tuple[dict[str, Stored], Plan]:
        params = self._params
        suffixes = getattr(params.loader, "suffixes", ())
        with _no_garbage():
            look = partial(walk, params.sources, params.ignore, params.path, suffixes)
            return plan(view, look, stages)

    def _is_saved(self, view: View) -> bool:
        state = view.state()
        return (state.covers, state.index_by) == (view.seq, self._prints[2])

    # ---------------------------------------------------------------- index

    def _catch_up(self, writer: Writer | None = None, last: bool = True) -> None:
        """Make the index equal to the store's last commit: load the saved one if need be, apply the difference.

        With a `writer`, save it: at the `last`, and on the way as often as costs little, so that a crash loses little.
        """
        with self._gate.exclusive(), self._store.reading() as view:
            if view is None:
                return
            if self._at is None or self._at < view.state().trimmed:
                self._open(view)
            if self._at is None:
                return
            total, done = view.count(self._at), 0
            for upto in view.steps(self._at, PART):
                after, self._at = self._at, None  # in disorder until done
                self._index.delete(view.gone(after, upto))
                self._add(view, after, upto, writer.prepared if writer else {}, partial(_told, done=done, total=total))
                done += view.count(after, upto)
                self._at, self._unsaved = upto, True
                self._ahead += view.count(after, upto)
                ended = last and upto == view.seq
                if writer and not ended and self._ahead >= PART and time.monotonic() > self._save_again:
                    self._save(writer)
            if writer:
                writer.prepared.clear()
            report("index", total, total)
            if writer and last and (self._unsaved or not self._is_saved(view)):
                self._save(writer)

    def _add(self, view: View, after: int, upto: int, prepared: Mapping[str, str], told: Callable[..., Any]) -> None:
        """Hand the index what commits in ``(after, upto]`` wrote: as it was prepared, where it was."""
        if not prepared:
            self._index.add(told(view.chunks(after, upto)))
            return
        ids = view.written(after, upto)
        index: Any = self._index  # an index that prepares can do more than the protocol asks for
        index.add_prepared(told([(id, prepared[id]) for id in ids if id in prepared]), self._store.chunks)
        self._index.add(view.chunk(id) for id in ids if id not in prepared)

    def _open(self, view: View) -> None:
        """Load the index in force, or begin with the empty one."""
        state = view.state()
        behind, self._at, self._unsaved = self._at is not None, None, False
        if state.generation and state.index_by == self._prints[2]:
            folder = self._folder(state.generation)
            try:
                self._index.load(folder, self._store.chunks)
            except Exception as problem:
                with self._store.reading() as now:
                    if now is None or now.state().generation != state.generation:
                        return  # a writer has put another in force meanwhile; the caller looks again
                detail = f"the index in {folder} cannot be used ({problem}); it is built anew from the store"
                log.warning("%s", detail)
                report("index", 0, None, detail)
            else:
                self._at = state.covers
                return
        if behind:
            raise StoreError(f"the index of {self._store.folder} was replaced", hint="open the library again")
        self._at, self._unsaved = 0, True

    def _save(self, writer: Writer) -> None:
        """Write the index to a new folder, make it last, put it in force, and search what was written."""
        began = time.monotonic()
        writer.begin()
        covers, state = self._at, writer.state()
        assert covers is not None
        old = {int(name): path for path in self._store.folder.glob("index-*") if (name := path.name[6:]).isdigit()}
        folder = self._folder(generation := 1 + max(state.generation, *old, 0))
        try:
            with writable(self._store.folder):
                folder.mkdir()
                self._index.save(folder)
                _make_last(folder)
            writer.point(generation, covers, self._prints[2])
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._at = None
        self._index.load(folder, self._store.chunks)  # lets go of what `add` was given
        self._at, self._unsaved, self._ahead = covers, False, 0
        now = time.monotonic()
        self._save_again = now + SHARE * (now - began)
        for number, path in old.items():
            if number != state.generation:  # other processes may have the last one open
                shutil.rmtree(path, ignore_errors=True)

    def _folder(self, generation: int) -> Path:
        return self._store.folder / f"index-{generation}"


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Tuples for each file, none of them garbage: looking for it again and again would take longer than making them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _told(items: Iterable[T], done: int, total: int) -> Iterator[T]:
    for number, item in enumerate(items, done):
        if number % 256 == 0:
            report("index", number, total)
        yield item


def _make_last(folder: Path) -> None:
    """fsync all files and folders below, and the entry of `folder` itself."""
    for place, _, files in os.walk(folder):
        for file in files:
            _fsync(os.path.join(place, file))
        if os.name != "nt":  # Windows has no handle of a folder to flush
            _fsync(place)
    if os.name != "nt":
        _fsync(folder.parent)


def _fsync(path: str | Path) -> None:
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _Gate:
    """Any number of searches, or one change of the index. A change that waits goes before new searches."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._searching = 0
        self._changing = 0  # at work or waiting
        self._busy = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._condition:
            self._condition.wait_for(lambda: not self._changing)
            self._searching += 1
        try:
            yield
        finally:
            with self._condition:
                self._searching -= 1
                self._condition.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._condition:
            self._changing += 1
            self._condition.wait_for(lambda: not self._searching and not self._busy)
            self._busy = True
        try:
            yield
        finally:
            with self._condition:
                self._busy = False
                self._changing -= 1
                self._condition.notify_all()
