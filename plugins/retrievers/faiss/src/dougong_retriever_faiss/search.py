"""FAISS over the rows of a table: a row's number is the one that FAISS counts itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from dougong import StoreError, report
from dougong_retriever_exact.index import DenseIndex

from dougong_retriever_faiss import Params

_REPORTED = 2_000  # rows added between two reports
_OUTGROWN = 4  # times the vectors that the number of lists was chosen for


class Faiss:
    """One FAISS index. Dead rows stay in it and are left out of a search by a bitmap, as a filter's are.

    Source: https://github.com/facebookresearch/faiss, IndexFlatIP, IndexHNSWFlat, IndexIVFPQ.
    """

    def __init__(self, params: Params, dim: int) -> None:
        self._params, self._dim = params, dim
        self._index: Any = None
        self._dead = np.zeros(0, bool)
        self._any_dead = False

    @property
    def outgrown(self) -> bool:
        """There are four times the vectors that the number of lists was chosen for."""
        p = self._params
        return p.kind == "ivf-pq" and p.lists is None and len(self._dead) > _OUTGROWN * (self._index.nlist / 4) ** 2

    def add(self, vectors: np.ndarray) -> None:
        with _threads(self._params.threads):
            if self._index is None:
                self._index = self._empty(len(vectors))
                self._index.train(vectors)
            self._dead = np.concatenate([self._dead, np.zeros(len(vectors), bool)])
            for first in range(0, len(vectors), _REPORTED):
                part = vectors[first : first + _REPORTED]
                self._index.add(part)
                if len(vectors) > _REPORTED:
                    report("faiss", first + len(part), len(vectors))

    def _empty(self, count: int) -> Any:
        p, ip = self._params, faiss.METRIC_INNER_PRODUCT
        if p.kind == "flat":
            return faiss.IndexFlatIP(self._dim)
        if p.kind == "hnsw":
            index = faiss.IndexHNSWFlat(self._dim, p.m, ip)
            index.hnsw.efConstruction = p.ef_construction
            return index
        code = p.code_size or max(size for size in range(1, max(2, self._dim // 4 + 1)) if self._dim % size == 0)
        if self._dim % code:
            raise StoreError(
                f"code_size {code} is no divisor of {self._dim}, the length of the embedder's vectors",
                hint="give one that is, or leave it out",
            )
        lists = min(p.lists or 4 * math.isqrt(count), max(1, count // 39))
        index = faiss.IndexIVFPQ(faiss.IndexFlatIP(self._dim), self._dim, lists, code, 8, ip)
        index.cp.seed = index.pq.cp.seed = 1234
        return index

    def delete(self, rows: Sequence[int]) -> None:
        self._mark(rows, True)

    def revive(self, rows: Sequence[int]) -> None:
        self._mark(rows, False)

    def _mark(self, rows: Sequence[int], dead: bool) -> None:
        self._dead[list(rows)] = dead
        self._any_dead = bool(self._dead.any())

    def search(self, vectors: np.ndarray, k: int, allowed: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        p, more = self._params, {}
        if allowed is None and self._any_dead:
            allowed = ~self._dead
        if allowed is not None:
            bits = np.packbits(allowed, bitorder="little")
            more = {"sel": faiss.IDSelectorBitmap(len(allowed), faiss.swig_ptr(bits))}  # needs `bits` to live
        if p.kind == "flat":
            params = faiss.SearchParameters(**more)
        elif p.kind == "hnsw":
            params = faiss.SearchParametersHNSW(efSearch=max(p.ef, k), **more)
        else:
            params = faiss.SearchParametersIVF(nprobe=p.probes, **more)
            k = min(p.refine * k, len(self._dead))
        scores, rows = self._index.search(vectors, k, params=params)
        return rows, scores

    def save(self, path: Path) -> None:
        faiss.write_index(self._index, str(path))

    def load(self, path: Path, dead: np.ndarray) -> None:
        index = faiss.read_index(str(path))
        if (index.ntotal, index.d) != (len(dead), self._dim):
            raise ValueError(f"FAISS holds {index.ntotal} vectors of {index.d}, the table {len(dead)} of {self._dim}")
        self._index, self._dead, self._any_dead = index, np.array(dead), bool(dead.any())


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """OpenMP's threads for what this thread starts."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def faiss_index(params: Params) -> DenseIndex:
    """retriever.faiss."""
    kinds: dict[str, tuple[str, ...]] = {
        "flat": (),
        "hnsw": ("m", "ef_construction"),
        "ivf-pq": ("lists", "code_size"),
    }
    built_with = {"kind": params.kind, **{name: getattr(params, name) for name in kinds[params.kind]}}
    above = 0 if params.kind == "flat" else params.exact_below
    return DenseIndex("faiss", params.embedder, built_with, lambda dim: Faiss(params, dim), above)
