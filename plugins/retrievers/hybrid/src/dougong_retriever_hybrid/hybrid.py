"""The parts, searched together and kept together."""

from __future__ import annotations

import json
import os
import tempfile
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from dougong import Chunk, Hit, StoreError
from dougong_analyzer import language

from dougong_retriever_hybrid import Params
from dougong_retriever_hybrid.fusing import Shares, fuse, min_max, reciprocal_rank, z_score

VERSION = 1
_HEADER = "hybrid.json"
_AT_ONCE = 1024  # chunks handed to each part in turn: what a generator gives is never held whole


class Hybrid:
    """Retrievers over the same chunks, fused by chunk id. Over indexes, an index: each part in a folder of its own.

    Searches may share it between threads; changes need the caller's lock. An `add` or `delete` that a part fails in
    has reached the parts before it: do it again, or load.
    """

    def __init__(self, params: Params) -> None:
        self._of: list[Any] = params.of
        self._weights = params.weights or [1.0] * len(params.of)
        self._weights_zh = params.weights_zh
        self._pool = params.pool
        ways: dict[str, Shares] = {"z-score": z_score, "min-max": min_max, "rrf": reciprocal_rank(params.rank_constant)}
        self._shares = ways[params.fuse]
        self._added: dict[str, Chunk] = {}
        self._stored: Mapping[str, Chunk] = {}
        self._saved: Path | None = None  # the folder that holds exactly what the parts hold

    @property
    def of(self) -> list[Any]:
        """The parts, to look at."""
        return self._of

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        """The best `k` of what the parts find. Scores depend on the pools, and so on `where`, and on k above pool/2.

        A part whose `languages` do not hold the query's is left out, but where that would leave none, or where
        `weights_zh` says what counts in Chinese.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        pool = max(self._pool, 2 * k)
        parts, weights = self._asked(language(query))
        return fuse([part.search(query, pool, where) for part in parts], self._shares, weights)[:k]

    def _asked(self, spoken: str) -> tuple[list[Any], list[float]]:
        if spoken == "zh" and self._weights_zh is not None:
            return self._of, self._weights_zh
        known = [
            (part, weight)
            for part, weight in zip(self._of, self._weights)
            if spoken in (getattr(part, "languages", None) or [spoken])
        ]
        return ([part for part, _ in known], [weight for _, weight in known]) if known else (self._of, self._weights)

    # ------------------------------------------------------------ the index

    def add(self, chunks: Iterable[Chunk]) -> None:
        parts, chunks = self._indexes(), iter(chunks)
        while batch := list(islice(chunks, _AT_ONCE)):
            self._saved = None
            self._added.update((chunk.id, chunk) for chunk in batch)
            for part in parts:
                part.add(batch)

    def delete(self, ids: Iterable[str]) -> None:
        parts, ids = self._indexes(), list(ids)
        self._saved = None
        for part in parts:
            part.delete(ids)
        for id in ids:
            self._added.pop(id, None)

    def save(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for number, part in enumerate(self._indexes()):
                with _named(number):
                    part.save(folder / str(number))
            with open(folder / _HEADER, "x", encoding="utf-8") as file:
                json.dump({"format": "dougong.hybrid", "version": VERSION, "parts": len(self._of)}, file)
                file.flush()
                os.fsync(file.fileno())
        except OSError as problem:
            raise StoreError(f"cannot save the index in {folder}: {problem}", hint="give an empty folder") from problem
        self._saved = folder

    def load(self, folder: Path, chunks: Mapping[str, Chunk]) -> None:
        """All parts, or none: where one cannot be loaded, those before it get back what they held."""
        parts = self._indexes()
        self._check(folder)
        with tempfile.TemporaryDirectory(prefix="dougong-hybrid-") as temporary:
            kept = Path(temporary)
            if folder == self._saved:  # what is held is there already
                kept = folder
            else:
                for number, part in enumerate(parts[:-1]):
                    part.save(kept / str(number))
            done: list[int] = []
            try:
                for number, part in enumerate(parts):
                    with _named(number):
                        part.load(folder / str(number), chunks)
                    done.append(number)
            except BaseException:
                held = ChainMap(self._added, self._stored)  # type: ignore[arg-type]
                for number in done[: len(parts) - 1]:
                    parts[number].load(kept / str(number), held)
                raise
        self._added, self._stored, self._saved = {}, chunks, folder

    def _check(self, folder: Path) -> None:
        try:
            header = json.loads((folder / _HEADER).read_text("utf-8"))
            version, count = int(header["version"]), int(header["parts"])
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise StoreError(f"{folder} is no complete hybrid index: {problem}", hint="index again") from problem
        if version > VERSION:
            hint = "pip install -U dougong-retriever-hybrid"
            raise StoreError(f"{folder} was written by a newer version", hint=hint)
        if count != len(self._of):
            raise StoreError(f"{folder} was saved with {count} parts, not {len(self._of)}", hint="index again")

    def _indexes(self) -> list[Any]:
        for number, part in enumerate(self._of):
            if not all(hasattr(part, name) for name in ("add", "delete", "save", "load")):
                raise StoreError(
                    f"of[{number}] can be searched, and holds no chunks",
                    hint="to index, use indexes: bm25, hnsw",
                    technique="retriever.hybrid",
                )
        return self._of


@contextmanager
def _named(number: int) -> Iterator[None]:
    """A part's StoreError, with its place in `of`."""
    try:
        yield
    except StoreError as error:
        raise StoreError(
            f"of[{number}]: {error.message}", hint=error.hint or "index again", place=error.place
        ) from error
