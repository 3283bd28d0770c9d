"""rank-bm25 behind the index protocol: every chunk's terms, and the library's object built anew after a change."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import rank_bm25
from dougong import Chunk, Hit, StoreError
from dougong import where as compile_where
from dougong_analyzer import TERMS_VERSION, terms

from dougong_retriever_rank_bm25 import Params

_HEADER = "rank-bm25.json"
_CLASSES = {"okapi": rank_bm25.BM25Okapi, "l": rank_bm25.BM25L, "plus": rank_bm25.BM25Plus}


class RankBM25:
    """rank-bm25 over chunks' `index_text`. A search takes time in proportion to all chunks.

    Hits are the chunks that hold a term of the query, with the scores of the library.
    """

    def __init__(self, params: Params) -> None:
        self.params = params
        self._terms: dict[str, list[str]] = {}
        self._added: dict[str, Chunk] = {}
        self._stored: Mapping[str, Chunk] = {}
        self._built: tuple[list[str], Any] | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._terms)

    def add(self, chunks: Iterable[Chunk]) -> None:
        for chunk in chunks:
            self._terms[chunk.id] = terms(chunk.index_text)
            self._added[chunk.id] = chunk
            self._built = None

    def delete(self, ids: Iterable[str]) -> None:
        for id in ids:
            self._terms.pop(id, None)
            self._added.pop(id, None)
            self._built = None

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        matches, words = compile_where(where), terms(query)
        ids, library = self._build()
        asked = set(words)
        held = [at for at, counts in enumerate(library.doc_freqs) if not asked.isdisjoint(counts)] if library else []
        if not held:
            return []
        scores = library.get_scores(words)
        hits: list[Hit] = []
        for at in np.array(held)[np.argsort(-scores[held], kind="stable")].tolist():
            chunk = self._chunk(ids[at])
            if matches(chunk.meta):
                hits.append(Hit(chunk, float(scores[at])))
                if len(hits) == k:
                    break
        return hits

    def _build(self) -> tuple[list[str], Any]:
        with self._lock:
            if self._built is None:
                ids = sorted(self._terms)  # so that ties, kept in this order, are by id
                corpus = [self._terms[id] for id in ids]
                settings = {"k1": self.params.k1, "b": self.params.b}
                if self.params.variant == "okapi":
                    settings["epsilon"] = self.params.epsilon
                elif self.params.delta is not None:
                    settings["delta"] = self.params.delta
                # The library divides by the number of terms.
                self._built = ids, _CLASSES[self.params.variant](corpus, **settings) if any(corpus) else None
            return self._built

    def _chunk(self, id: str) -> Chunk:
        try:
            return self._added[id] if id in self._added else self._stored[id]
        except KeyError:
            raise StoreError(f"the index holds chunk {id!r}, the store does not", hint="index again") from None

    def save(self, folder: Path) -> None:
        content = {"version": 1, "params": attrs.asdict(self.params), "analyzer": TERMS_VERSION, "terms": self._terms}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with open(folder / _HEADER, "x", encoding="utf-8") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
        except OSError as problem:
            raise StoreError(f"cannot save the index in {folder}: {problem}", hint="give an empty folder") from problem

    def load(self, folder: Path, chunks: Mapping[str, Chunk]) -> None:
        try:
            content = json.loads((folder / _HEADER).read_text("utf-8"))
            version, params, analyzer, held = (content[key] for key in ("version", "params", "analyzer", "terms"))
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise StoreError(f"{folder} is no complete rank-bm25 index: {problem}", hint="index again") from problem
        if version > 1:
            raise StoreError(
                f"{folder} was written by a newer version", hint="pip install -U dougong-retriever-rank-bm25"
            )
        if params != attrs.asdict(self.params):
            raise StoreError(f"{folder} was saved with other parameters, {params}", hint="set them back or index again")
        if analyzer != TERMS_VERSION:
            raise StoreError(f"{folder} was saved with another analyzer", hint="index again")
        self._terms, self._added, self._stored, self._built = held, {}, chunks, None
