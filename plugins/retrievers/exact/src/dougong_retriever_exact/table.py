"""Rows of vectors, each of a chunk: appended, marked dead, searched exactly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from dougong import CallError, Chunk, Embedder, Hit, StoreError
from dougong import where as compile_where

_FILTERS = 16  # of which the rows that meet them are kept until the next change
_NEAR = 1e-5  # by which a float32 product may be off: what is this near to the k-th is computed exactly
_TOGETHER = 8  # queries whose candidates are gathered at once: they should fit the processor's cache
DIGEST = 16  # bytes


class Table:
    """Vectors by row, n rows of which some are dead. A row keeps its number until `compacted`.

    A row holds a chunk's id, the digest of the text that its vector is of, and the chunk's metadata, so that a filter
    looks up no chunk. A text whose row is dead, or is another chunk's, is not embedded again.

    Attributes:
        ids: of the chunks, by row.
        live: rows that are not dead.
    """

    def __init__(self, dim: int, stored: Mapping[str, Chunk] | None = None) -> None:
        self.dim = dim
        self.ids: list[str] = []
        self.live = 0
        self._space = np.empty((0, dim), np.float32)  # rows beyond len(ids) are room to grow
        self._dead = np.zeros(0, bool)
        self._digests: list[bytes] = []
        self._metas: list[Mapping[str, Any] | None] = []  # None where JSON cannot hold it: then the chunk is asked
        self._row: dict[str, int] = {}
        self._known: dict[bytes, int] | None = None
        self._added: dict[str, Chunk] = {}
        self._stored: Mapping[str, Chunk] = stored if stored is not None else {}
        self._changed()

    def _changed(self) -> None:
        self._allowed: dict[str, np.ndarray] = {}
        self._names: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def vectors(self) -> np.ndarray:
        """float32 ``(n, dim)``, dead rows included."""
        return self._space[: len(self.ids)]

    @property
    def dead(self) -> np.ndarray:
        """bool ``(n,)``."""
        return self._dead[: len(self.ids)]

    # ------------------------------------------------------------ change

    def add(self, chunks: Sequence[Chunk], embedder: Embedder) -> tuple[list[int], list[int]]:
        """Hold `chunks`, the last of each id: in a dead row of the same text, else in a new one.

        Returns the rows that died, for being of an older chunk, and then those of before that live again.
        """
        latest = {chunk.id: chunk for chunk in chunks}
        if self._known is None:
            self._known = {digest: row for row, digest in enumerate(self._digests)}
        digests = {id: _digest(chunk.index_text) for id, chunk in latest.items()}
        fresh = {digests[id]: chunk.index_text for id, chunk in latest.items() if digests[id] not in self._known}
        vectors = dict(zip(fresh, checked(embedder.embed(list(fresh.values()), "passage"), len(fresh), self.dim)))
        died, revived, before = [], [], len(self.ids)
        self._changed()
        self._reserve(before + len(latest))
        for id, chunk in latest.items():
            row = self._row.get(id)
            self._added[id] = chunk
            if row is not None and self._digests[row] == digests[id]:
                self._metas[row] = chunk.meta
                continue
            if row is not None:
                died.append(row)
                self._dead[row] = True
            digest = digests[id]
            known = self._known.setdefault(digest, len(self.ids))
            if known < len(self.ids) and self._dead[known]:
                self._dead[known] = False
                self._row[id], self.ids[known], self._metas[known] = known, id, chunk.meta
                if known < before:
                    revived.append(known)
                continue
            self._space[len(self.ids)] = vectors[digest] if digest in vectors else self._space[known]
            self._row[id] = len(self.ids)
            self.ids.append(id)
            self._digests.append(digest)
            self._metas.append(chunk.meta)
        self.live = len(self._row)
        return died, revived

    def delete(self, ids: Iterable[str]) -> list[int]:
        """Let the rows of `ids` die; unknown ids are passed over. Returns the rows."""
        self._changed()
        died = []
        for id in ids:
            if (row := self._row.pop(id, None)) is not None:
                self._added.pop(id, None)
                died.append(row)
        self._dead[died] = True
        self.live = len(self._row)
        return died

    def _reserve(self, rows: int) -> None:
        """Room for `rows` rows. A table that was loaded is mapped, and copied here."""
        if rows > len(self._space) or not self._space.flags.writeable:
            room = max(rows, len(self._space) + len(self._space) // 2)
            self._space = _grown(self._space, room)
        if len(self._dead) < len(self._space):
            self._dead = _grown(self._dead, len(self._space))

    def compacted(self) -> Table:
        """The live rows alone, in the same order."""
        other = Table(self.dim, self._stored)
        rows = np.flatnonzero(~self.dead)
        other._space, other._dead = self._space[rows], np.zeros(len(rows), bool)
        for row in rows.tolist():
            other.ids.append(self.ids[row])
            other._digests.append(self._digests[row])
            other._metas.append(self._metas[row])
        other._row = {id: row for row, id in enumerate(other.ids)}
        other._added, other.live = self._added, self.live
        return other

    # ------------------------------------------------------------ search

    def allowed(self, where: Mapping[str, Any]) -> np.ndarray:
        """bool ``(n,)``: the live rows whose metadata meet `where`. Raises ValueError as `dougong.where` does."""
        matches = compile_where(where)
        key = _key(where)
        mask = self._allowed.get(key)
        if mask is None:
            mask = np.fromiter(self._meet(matches), bool, len(self.ids))
            if key:
                if len(self._allowed) >= _FILTERS:
                    self._allowed = {}
                self._allowed[key] = mask
        return mask

    def _meet(self, matches: Callable[[Mapping[str, Any]], bool]) -> Iterable[bool]:
        for row, (dead, meta) in enumerate(zip(self.dead.tolist(), self._metas)):
            yield not dead and matches(self.chunk(row).meta if meta is None else meta)

    def nearest(self, vector: np.ndarray, k: int, allowed: np.ndarray | None = None) -> np.ndarray:
        """The rows of the `k` greatest products with `vector`, and any that are as near, in no order.

        vector: float32 ``(dim,)``. allowed: bool ``(n,)``, of live rows; None for all of them.
        """
        if allowed is None and self.live == len(self.ids):
            rows = None
            scores = self.vectors @ vector
        else:
            rows = np.flatnonzero(~self.dead if allowed is None else allowed)
            # to pick rows costs about two products
            scores = self.vectors[rows] @ vector if 3 * len(rows) < len(self.ids) else (self.vectors @ vector)[rows]
        if len(scores) > k:
            near = np.flatnonzero(scores >= np.partition(scores, -k)[-k] - _NEAR)
        else:
            near = np.arange(len(scores))
        return near if rows is None else rows[near]

    def hits(self, vector: np.ndarray, rows: np.ndarray, k: int) -> list[Hit]:
        """The best `k` of `rows`: products in double precision, the same wherever a row stands; ties by chunk id."""
        scores = (self._space[rows].astype(np.float64) * vector).sum(axis=1)
        ranked = sorted(zip((-scores).tolist(), map(self.ids.__getitem__, rows.tolist())))[:k]
        return [Hit(self._chunk(id), -score) for score, id in ranked]

    def ranked(self, vectors: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Of candidates ``(q, c)``, -1 where there is none, the best `k` of each vector, and their products."""
        products = np.empty(rows.shape, np.float32)
        for first in range(0, len(vectors), _TOGETHER):
            part = slice(first, first + _TOGETHER)
            products[part] = (self._space[rows[part]] @ vectors[part, :, None])[:, :, 0]
        products[rows < 0] = -np.inf
        best = np.argsort(-products, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(rows, best, 1), np.take_along_axis(products, best, 1)

    def named(self, rows: np.ndarray) -> np.ndarray:
        """Ids of `rows`, as an array of the same shape; None where a row is -1."""
        if self._names is None:
            self._names = np.array([*self.ids, None], dtype=object)
        names: np.ndarray = self._names[rows]
        return names

    def chunk(self, row: int) -> Chunk:
        return self._chunk(self.ids[row])

    def _chunk(self, id: str) -> Chunk:
        chunk = self._added.get(id)
        if chunk is not None:
            return chunk
        try:
            return self._stored[id]
        except KeyError:
            raise StoreError(f"the index holds chunk {id!r}, the store does not", hint="index again") from None

    # ------------------------------------------------------------ disk

    def columns(self) -> dict[str, Any]:
        """What is saved: JSON in ``rows``, arrays in the others."""
        return {
            "rows": {"ids": self.ids, "metas": [meta if _is_json(meta) else None for meta in self._metas]},
            "vectors": self.vectors,
            "digests": np.frombuffer(b"".join(self._digests), np.uint8).reshape(-1, DIGEST),
            "dead": self.dead,
        }

    @classmethod
    def of(cls, dim: int, columns: Mapping[str, Any], stored: Mapping[str, Chunk]) -> Table:
        """The table of saved `columns`. Raises ValueError, KeyError or TypeError where they do not fit."""
        table = cls(dim, stored)
        ids, metas = list(columns["rows"]["ids"]), list(columns["rows"]["metas"])
        vectors, digests, dead = columns["vectors"], columns["digests"], columns["dead"]
        shapes = {"vectors": (len(ids), dim), "digests": (len(ids), DIGEST), "dead": (len(ids),), "metas": (len(ids),)}
        have = {"vectors": vectors.shape, "digests": digests.shape, "dead": dead.shape, "metas": (len(metas),)}
        if have != shapes or (vectors.dtype, digests.dtype, dead.dtype) != (np.float32, np.uint8, np.bool_):
            raise ValueError(f"columns are of {have} instead of {shapes}")
        table.ids, table._metas, table._space = ids, metas, vectors
        table._dead = np.array(dead)
        content = digests.tobytes()
        table._digests = [content[at : at + DIGEST] for at in range(0, len(content), DIGEST)]
        table._row = {id: row for row, (id, gone) in enumerate(zip(ids, dead.tolist())) if not gone}
        table.live = len(table._row)
        if table.live != len(ids) - int(dead.sum()):
            raise ValueError("a chunk has two rows")
        return table


def checked(vectors: np.ndarray, rows: int, dim: int) -> np.ndarray:
    """`vectors`, if they are float32 ``(rows, dim)`` of unit length. Raises CallError."""
    vectors = np.asarray(vectors, np.float32)
    if vectors.shape != (rows, dim):
        raise CallError(
            f"the embedder gave vectors of shape {vectors.shape} instead of {(rows, dim)}",
            hint="its `dim` must be the length of its vectors; after a change of model, index again",
        )
    lengths = np.einsum("ij,ij->i", vectors, vectors)
    if not np.all(np.abs(lengths - 1) < 1e-2):  # NaN fails, too
        raise CallError("the embedder gave vectors that are not of unit length", hint="use one that normalises")
    return vectors


def _grown(array: np.ndarray, rows: int) -> np.ndarray:
    larger = np.zeros((rows, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST).digest()


def _key(where: Mapping[str, Any]) -> str:
    """A name for a filter; empty for one that JSON cannot hold."""
    try:
        return json.dumps(where, sort_keys=True)
    except (TypeError, ValueError):
        return ""


def _is_json(meta: Mapping[str, Any] | None) -> bool:
    """Whether a filter sees the same in `meta` after JSON: names are strings, lists may be tuples."""
    if not isinstance(meta, Mapping):
        return False
    try:
        again = json.loads(json.dumps(dict(meta)))
    except (TypeError, ValueError):
        return False
    return all(again.get(name) == (list(value) if isinstance(value, tuple) else value) for name, value in meta.items())
