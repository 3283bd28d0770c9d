"""A dense index: a table of vectors and, where there are many, something that finds near ones in less time."""

from __future__ import annotations

import io
import json
import os
import threading
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from dougong import Chunk, Embedder, Hit, StoreError
from dougong.assemble import origin

from dougong_retriever_exact import Params
from dougong_retriever_exact.table import Table

VERSION = 1
_HEADER = "dense.json"
_NEIGHBOURS = "neighbours.bin"
_AT_ONCE = 1024  # chunks embedded together
_DEAD = 0.3  # of the rows: above it, what is saved is built anew from the live ones


class Neighbours(Protocol):
    """Approximate search among the rows of a table, by inner product.

    `add` appends rows, float32 ``(n, dim)``: their numbers go on from those held; the first call may learn from its
    rows. `delete`: rows that must not be found any more; `revive`: deleted rows that may be again. `search`: for each
    vector up to `k` live rows, best first, int64 ``(q, k)`` filled up with -1, and their products; more than `k` where
    products are estimates, and the caller shall compare. `allowed`, bool ``(n,)``: the live rows that may be found.
    `load` takes what `save` wrote, of a table with these `dead` rows; its checksum was right. `outgrown`: it should be
    built anew when it is next saved.
    """

    outgrown: bool

    def add(self, vectors: np.ndarray) -> None: ...
    def delete(self, rows: Sequence[int]) -> None: ...
    def revive(self, rows: Sequence[int]) -> None: ...
    def search(self, vectors: np.ndarray, k: int, allowed: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]: ...
    def save(self, path: Path) -> None: ...
    def load(self, path: Path, dead: np.ndarray) -> None: ...


class DenseIndex:
    """Chunks by the vectors of their `index_text`. A hit's score is the cosine.

    Searches may share it between threads; changes need the caller's lock. An `add` that fails has taken in the
    batches before.

    Args:
        name: of the technique: a saved folder is loaded by the same alone.
        embedder: gives vectors of unit length. Its `dim` is asked for at the first use.
        params: what a saved folder must have been built with.
        neighbours: makes an empty approximate search for vectors of a length; None to compare with every vector.
        above: live rows from which on that is built; a filter that no more than these meet is searched exactly.
    """

    def __init__(
        self,
        name: str,
        embedder: Embedder,
        params: Mapping[str, Any],
        neighbours: Callable[[int], Neighbours] | None = None,
        above: int = 0,
    ) -> None:
        self._embedder = embedder
        self._made_with = {"index": name, "params": dict(params), "embedder": _described(embedder)}
        self._make, self._above = neighbours, max(above, 1)
        self._lock = threading.Lock()
        self._held: tuple[Table, Neighbours | None] | None = None

    @property
    def languages(self) -> Sequence[str] | None:
        """Those that the embedder knows; None where it does not say."""
        return getattr(self._embedder, "languages", None)

    def __len__(self) -> int:
        return self._state()[0].live

    def _state(self) -> tuple[Table, Neighbours | None]:
        if self._held is None:
            with self._lock:
                if self._held is None:
                    self._held = Table(self._embedder.dim), None
        return self._held

    # ------------------------------------------------------------ change

    def add(self, chunks: Iterable[Chunk]) -> None:
        """Hold `chunks`. A text whose vector is still held, though its chunk was deleted, is not embedded again.

        Raises CallError where the embedder's vectors are not of its `dim` or of unit length.
        """
        table, near = self._state()
        chunks = iter(chunks)
        while batch := list(islice(chunks, _AT_ONCE)):
            first = len(table)
            died, revived = table.add(batch, self._embedder)
            if near is not None:
                self._held = table, None  # should it fail half way
                near.delete(died)
                near.revive(revived)
                near.add(table.vectors[first:])
                self._held = table, near
        if near is None:
            self._held = table, self._built(table)

    def delete(self, ids: Iterable[str]) -> None:
        table, near = self._state()
        died = table.delete(ids)
        if near is not None:
            near.delete(died)

    def _built(self, table: Table) -> Neighbours | None:
        if self._make is None or table.live < self._above:
            return None
        near = self._make(table.dim)
        near.add(table.vectors)
        near.delete(np.flatnonzero(table.dead).tolist())
        return near

    # ------------------------------------------------------------ search

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        table, _ = self._state()
        if where:
            table.allowed(where)  # a wrong filter is told before anything is embedded
        if not query.strip() or not table.live:
            return []
        return self.search_vector(self._embedder.embed([query], "query")[0], k, where)

    def search_vector(self, vector: np.ndarray, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        """Hits of a query's vector: float32 ``(dim,)``, unit length."""
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        table, near = self._state()
        vector = np.asarray(vector, np.float32)
        if vector.shape != (table.dim,):
            raise ValueError(f"the vector is of shape {vector.shape}, those held are of {(table.dim,)}")
        allowed = table.allowed(where) if where else None
        count = table.live if allowed is None else int(np.count_nonzero(allowed))
        if near is not None and count > self._above:
            rows = near.search(vector[None], min(k, count), allowed)[0][0]
            rows = rows[rows >= 0]
            if len(rows) >= min(k, count):
                return table.hits(vector, rows, k)
        return table.hits(vector, table.nearest(vector, k, allowed), k) if count else []

    def nearest(
        self, vectors: np.ndarray, k: int = 10, where: Mapping[str, Any] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Chunk ids, object ``(q, k)``, and cosines, float32 ``(q, k)``, of many vectors ``(q, dim)`` at once.

        Best first. Where there are fewer than `k`, ids end in None and cosines in 0.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        table, near = self._state()
        vectors = np.asarray(vectors, np.float32)
        allowed = table.allowed(where) if where else None
        count = table.live if allowed is None else int(np.count_nonzero(allowed))
        found, scores = np.full((len(vectors), k), -1), np.zeros((len(vectors), k), np.float32)
        missing = np.arange(len(vectors) if count else 0)
        if near is not None and count > self._above:
            kept = min(k, count)
            rows, products = near.search(vectors, kept, allowed)
            if rows.shape[1] > kept:
                rows, products = table.ranked(vectors, rows, kept)
            found[:, :kept], scores[:, :kept] = rows, products
            missing = np.flatnonzero(rows[:, -1] < 0)
        for one in missing.tolist():
            rows = table.nearest(vectors[one], k, allowed)
            rows, products = table.ranked(vectors[one : one + 1], rows[None], min(k, len(rows)))
            found[one, : rows.shape[1]], scores[one, : rows.shape[1]] = rows[0], products[0]
        return table.named(found), scores

    # ------------------------------------------------------------ disk

    def save(self, folder: Path) -> None:
        """Write the index into `folder`. Where many rows are dead, it is built anew from the live ones first."""
        table, near = self._state()
        dead = len(table) - table.live
        if dead > (_DEAD * len(table) if near is not None else 0) or (near is not None and near.outgrown):
            table = table.compacted()
            near = self._built(table)
            self._held = table, near
        try:
            folder.mkdir(parents=True, exist_ok=True)
            files = {}
            for name, column in table.columns().items():
                file = f"{name}.json" if name == "rows" else f"{name}.npy"
                files[file] = _write(folder / file, column)
            if near is not None:
                near.save(folder / _NEIGHBOURS)
                files[_NEIGHBOURS] = _sealed(folder / _NEIGHBOURS)
            header = {"format": "dougong.dense", "version": VERSION, **self._made_with,
                      "dim": table.dim, "files": files}  # fmt: skip
            _write(folder / _HEADER, header)
        except OSError as problem:
            raise StoreError(f"cannot save the index in {folder}: {problem}", hint="give an empty folder") from problem

    def load(self, folder: Path, chunks: Mapping[str, Chunk]) -> None:
        try:
            header = json.loads((folder / _HEADER).read_text("utf-8"))
            if header["version"] > VERSION:
                raise StoreError(
                    f"{folder} was written by a newer version", hint="pip install -U dougong-retriever-exact"
                )
            for what, mine in self._made_with.items():
                if header[what] != json.loads(json.dumps(mine)):
                    raise StoreError(
                        f"{folder} was saved with another {what}, {header[what]}", hint="set it back, or index again"
                    )
            if header["dim"] != self._embedder.dim:
                raise StoreError(
                    f"{folder} holds vectors of length {header['dim']}; the embedder's are of {self._embedder.dim}",
                    hint="take the embedder that it was built with, or index again",
                )
            columns = {Path(file).stem: _read(folder / file, seal) for file, seal in header["files"].items()}
            table = Table.of(header["dim"], columns, chunks)
            near = None
            if self._make is not None and _NEIGHBOURS in header["files"]:
                near = self._make(table.dim)
                near.load(folder / _NEIGHBOURS, table.dead)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, RuntimeError) as problem:
            raise StoreError(f"{folder} is no complete dense index: {problem}", hint="index again") from problem
        self._held = table, near if near is not None else self._built(table)


def _described(embedder: Embedder) -> Any:
    """Technique and params of `embedder`; the class of one that dougong did not build."""
    made = origin(embedder)
    return made.params if made is not None else f"{type(embedder).__module__}:{type(embedder).__qualname__}"


# ---------------------------------------------------------------- files


def _write(path: Path, content: Any) -> list[int]:
    with open(path, "xb") as file:
        if isinstance(content, np.ndarray):
            np.save(file, content, allow_pickle=False)
        else:
            file.write(json.dumps(content).encode())
        file.flush()
        os.fsync(file.fileno())
    return _sealed(path)


def _sealed(path: Path) -> list[int]:
    """Size and CRC-32 of a file. Of the vectors, only the size: they are mapped, and read when they are needed."""
    check = 0
    if path.name != "vectors.npy":
        with open(path, "rb") as file:
            while piece := file.read(io.DEFAULT_BUFFER_SIZE * 128):
                check = zlib.crc32(piece, check)
    return [path.stat().st_size, check]


def _read(path: Path, seal: list[int]) -> Any:
    """What `_write` wrote. Raises ValueError or OSError where it is something else; of neighbours, gives None."""
    if _sealed(path) != seal:
        raise ValueError(f"{path.name} is damaged")
    if path.suffix == ".json":
        return json.loads(path.read_text("utf-8"))
    if path.suffix == ".npy":
        empty = path.name != "vectors.npy" or seal[0] <= 256  # an empty array cannot be mapped
        return np.load(path, mmap_mode=None if empty else "r", allow_pickle=False)
    return None


def exact(params: Params) -> DenseIndex:
    """retriever.exact: every vector is compared."""
    return DenseIndex("exact", params.embedder, {})
