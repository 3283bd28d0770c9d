"""Vectors on disk, by the hash of what they are the vectors of."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from dougong import Place, StoreError

_AT_ONCE = 500  # keys that one question may hold


class Cache:
    """A table of keys and vectors in one SQLite file. Every call opens it anew: threads and processes may share it.

    A batch is committed before its vectors are used (WAL): a killed process loses the batch it was at, no more.
    """

    def __init__(self, path: Path, dim: int) -> None:
        self.path, self.dim = path, dim
        with self._open() as store:
            store.execute("PRAGMA journal_mode = WAL")
            store.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")

    def fill(self, keys: Sequence[bytes], vectors: np.ndarray) -> list[int]:
        """Write the vectors that are known into their rows of `vectors`. Returns the numbers of the others."""
        known: dict[bytes, bytes] = {}
        with self._open() as store:
            for first in range(0, len(keys), _AT_ONCE):
                wanted = keys[first : first + _AT_ONCE]
                marks = ",".join("?" * len(wanted))
                known.update(store.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", wanted))
        missing = []
        for number, key in enumerate(keys):
            vector = known.get(key, b"")
            if len(vector) == 4 * self.dim:
                vectors[number] = np.frombuffer(vector, "<f4")
            else:
                missing.append(number)
        return missing

    def add(self, keys: Sequence[bytes], vectors: np.ndarray) -> None:
        """Keep the rows of `vectors`."""
        with self._open() as store:
            rows = ((key, vector.astype("<f4").tobytes()) for key, vector in zip(keys, vectors))
            store.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            store = sqlite3.connect(self.path, timeout=60)
            try:
                with store:
                    yield store
            finally:
                store.close()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"the cache of vectors cannot be used: {error}",
                place=Place(str(self.path)),
                hint="delete it, and its -wal and -shm files, or name another: vectors are computed again",
            ) from error
