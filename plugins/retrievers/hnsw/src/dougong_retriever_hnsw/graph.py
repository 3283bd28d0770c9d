"""The graph: hnswlib's, over the rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import hnswlib
import numpy as np
from dougong import report
from dougong_retriever_exact.index import DenseIndex

from dougong_retriever_hnsw import Params

_REPORTED = 2_000  # rows added between two reports
_SMALLEST = 1_024  # rows that a new graph has room for


class Graph:
    """A hierarchical navigable small world graph of unit vectors; a row's label is its number.

    Source: Malkov and Yashunin 2018, algorithms 1 to 5, as hnswlib implements them. Deleted rows stay in the graph as
    way-marks and are not found (`mark_deleted`).
    """

    outgrown = False  # a graph grows without losing recall

    def __init__(self, params: Params, dim: int) -> None:
        self._params, self._dim = params, dim
        self._index = hnswlib.Index("ip", dim)
        self._index.init_index(
            _SMALLEST, params.m, params.ef_construction, random_seed=100, allow_replace_deleted=False
        )
        self._index.set_ef(params.ef)

    def add(self, vectors: np.ndarray) -> None:
        held = self._index.get_current_count()
        total = held + len(vectors)
        room = self._index.get_max_elements()
        if total > room:
            self._index.resize_index(max(total, room + room // 2))
        for first in range(0, len(vectors), _REPORTED):
            part = vectors[first : first + _REPORTED]
            labels = np.arange(held + first, held + first + len(part))
            self._index.add_items(part, labels, num_threads=self._params.threads)
            if len(vectors) > _REPORTED:
                report("graph", first + len(part), len(vectors))

    def delete(self, rows: Sequence[int]) -> None:
        for row in rows:
            self._index.mark_deleted(row)

    def revive(self, rows: Sequence[int]) -> None:
        for row in rows:
            self._index.unmark_deleted(row)

    def search(self, vectors: np.ndarray, k: int, allowed: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """hnswlib keeps max(ef, k) candidates. It fails where a vector has fewer than k: each is then asked alone."""
        may = None if allowed is None else allowed.tobytes().__getitem__
        try:
            labels, distances = self._index.knn_query(vectors, k, num_threads=1, filter=may)
        except RuntimeError:
            if len(vectors) == 1:
                return np.full((1, k), -1), np.zeros((1, k), np.float32)
            each = [self.search(vector[None], k, allowed) for vector in vectors]
            return np.concatenate([rows for rows, _ in each]), np.concatenate([scores for _, scores in each])
        return labels.astype(np.int64), 1 - distances

    def save(self, path: Path) -> None:
        self._index.save_index(str(path))

    def load(self, path: Path, dead: np.ndarray) -> None:
        """hnswlib saves neither ef nor a checksum; deleted rows it does."""
        index = hnswlib.Index("ip", self._dim)
        index.load_index(str(path))
        if (index.get_current_count(), index.M) != (len(dead), self._params.m):
            raise ValueError(f"the graph has {index.get_current_count()} rows, the table {len(dead)}")
        index.set_ef(self._params.ef)
        self._index = index


def hnsw(params: Params) -> DenseIndex:
    """retriever.hnsw."""
    built_with = {"m": params.m, "ef_construction": params.ef_construction}
    return DenseIndex("hnsw", params.embedder, built_with, lambda dim: Graph(params, dim), params.exact_below)
