"""The index: what is added waits in memory, becomes a segment at the next search or save, and is merged by size."""

from __future__ import annotations

import json
import math
import os
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
from dougong import Chunk, Hit, StoreError
from dougong import where as compile_where
from dougong_analyzer import TERMS_VERSION, terms

from dougong_retriever_bm25 import Params
from dougong_retriever_bm25.scoring import View
from dougong_retriever_bm25.segment import Segment, build, merge, read, sizes, write

VERSION = 1
_HEADER = "bm25.json"
# Terms that wait in memory before they become a segment: some 100 MB.
_WAITING = 8_000_000
# Segments of like size, a factor of 4 between sizes, that are merged into one: a chunk is rewritten log4(n) times.
_FAN = 4
_SMALLEST = 1_000


class BM25:
    """BM25 over chunks' `index_text`. Searches may share it between threads; changes need the caller's lock.

    Source: Robertson and Zaragoza 2009; segments and their merging after Lucene.
    """

    def __init__(self, params: Params) -> None:
        self.params = params
        self._lock = threading.Lock()
        self._reset((), {}, 0)

    def _reset(self, segments: tuple[Segment, ...], stored: Mapping[str, Chunk], made: int) -> None:
        self._segments = segments
        self._stored = stored
        self._made = made  # segments ever made: the name of the next
        self._added: dict[str, Chunk] = {}
        self._waiting: dict[str, list[str]] = {}
        self._waiting_terms = 0
        self._view: View | None = None

    def __len__(self) -> int:
        return self._current().n

    # ------------------------------------------------------------ change

    def add(self, chunks: Iterable[Chunk]) -> None:
        for chunk in chunks:
            self._added[chunk.id] = chunk
            self._wait(chunk.id, terms(chunk.index_text))

    def _wait(self, id: str, found: list[str]) -> None:
        self._view = None
        self._waiting[id] = found
        self._waiting_terms += len(found) + 1
        if self._waiting_terms >= _WAITING:
            with self._lock:
                self._settle()

    def prepare(self, chunk: Chunk) -> str:
        """What `add` works out of a chunk, of that alone: its terms. Any process can, for `add_prepared` in another."""
        return " ".join(terms(chunk.index_text))

    def add_prepared(self, prepared: Iterable[tuple[str, str]], chunks: Mapping[str, Chunk]) -> None:
        """`add`, of chunk ids with what `prepare` gave. `chunks` are all that are held, as `load` is given them."""
        self._stored = chunks
        for id, text in prepared:
            self._added.pop(id, None)
            self._wait(id, text.split())

    def delete(self, ids: Iterable[str]) -> None:
        ids = list(dict.fromkeys(ids))
        with self._lock:
            self._view = None
            for id in ids:
                self._waiting.pop(id, None)
                self._added.pop(id, None)
            self._segments = tuple(segment.without(ids) for segment in self._segments)

    def _settle(self) -> None:
        """Make a segment of what waits, in place of older chunks of the same id, and merge as the policy says."""
        if self._waiting:
            ids = list(self._waiting)
            older = [segment.without(ids) for segment in self._segments]
            self._segments = (*older, build(self._name(), self._waiting))
            self._waiting, self._waiting_terms = {}, 0
        while group := _to_merge(self._segments):
            rest = [segment for segment in self._segments if segment not in group]
            if any(segment.live for segment in group):
                rest.append(merge(self._name(), group))
            self._segments = tuple(rest)

    def _name(self) -> str:
        self._made += 1
        return f"{self._made:06d}"

    def _current(self) -> View:
        view = self._view
        if view is None:
            with self._lock:
                if self._view is None:
                    self._settle()
                    self._view = View(self._segments, self.params)
                view = self._view
        return view

    # ------------------------------------------------------------ search

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        matches = compile_where(where)
        view, words = self._current(), Counter(terms(query))
        hits: list[Hit] = []
        seen, want = 0, k if not where else 4 * k
        while True:
            ranked = view.top(words, want)
            for score, id in ranked[seen:]:
                chunk = self._chunk(id)
                if matches(chunk.meta):
                    hits.append(Hit(chunk, score))
                    if len(hits) == k:
                        return hits
            if len(ranked) < want:
                return hits
            seen, want = want, 4 * want

    def _chunk(self, id: str) -> Chunk:
        try:
            return self._added[id] if id in self._added else self._stored[id]
        except KeyError:
            raise StoreError(f"the index holds chunk {id!r}, the store does not", hint="index again") from None

    # ------------------------------------------------------------ disk

    def save(self, folder: Path) -> None:
        """Write the index into `folder`. Arrays that the index was loaded from or saved to before are hard-linked."""
        with self._lock:
            self._settle()
            try:
                folder.mkdir(parents=True, exist_ok=True)
                segments = tuple(write(segment, folder) for segment in self._segments)
                header = {
                    "format": "dougong.bm25",
                    "version": VERSION,
                    "params": attrs.asdict(self.params),
                    "terms": TERMS_VERSION,
                    "chunks": sum(segment.live for segment in segments),
                    "made": self._made,
                    "segments": [
                        {"name": segment.name, "dead": segment.dead is not None, "sizes": sizes(segment)}
                        for segment in segments
                    ],
                }
                with open(folder / _HEADER, "x", encoding="utf-8") as file:
                    json.dump(header, file, indent=1)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as problem:
                raise StoreError(
                    f"cannot save the index in {folder}: {problem}", hint="give an empty folder"
                ) from problem
            self._segments = segments

    def load(self, folder: Path, chunks: Mapping[str, Chunk]) -> None:
        try:
            header = json.loads((folder / _HEADER).read_text("utf-8"))
            if header["version"] > VERSION:
                raise StoreError(
                    f"{folder} was written by a newer version", hint="pip install -U dougong-retriever-bm25"
                )
            if header["params"] != attrs.asdict(self.params):
                raise StoreError(
                    f"{folder} was saved with other parameters, {header['params']}",
                    hint="set them back, or index again",
                )
            if header["terms"] != TERMS_VERSION:
                raise StoreError(f"{folder} was saved with another analyzer", hint="index again")
            segments = tuple(read(folder, s["name"], s["sizes"], s["dead"]) for s in header["segments"])
            if sum(segment.live for segment in segments) != header["chunks"]:
                raise ValueError(f"the segments do not hold {header['chunks']} chunks")
            made = int(header["made"])
        except (OSError, ValueError, KeyError, TypeError, EOFError) as problem:
            raise StoreError(f"{folder} is no complete BM25 index: {problem}", hint="index again") from problem
        with self._lock:
            self._reset(segments, chunks, made)


def _to_merge(segments: tuple[Segment, ...]) -> list[Segment]:
    """The next segments to merge: one of which half is dead, or `_FAN` of like size; empty where there are none."""
    levels: dict[int, list[Segment]] = {}
    for segment in segments:
        live = segment.live
        if 2 * live <= len(segment.ids):
            return [segment]
        level = levels.setdefault(int(math.log(max(live, _SMALLEST) / _SMALLEST, _FAN)), [])
        level.append(segment)
        if len(level) == _FAN:
            return level
    return []
