"""Another embedder's vectors, computed once."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np
from dougong import report
from dougong.assemble import origin

from dougong_embedder_cached import Params
from dougong_embedder_cached.cache import Cache

_BATCH = 256  # texts that are computed, and then kept, together


class Cached:
    """Vectors of `of`. Safe to share between threads, if `of` is. Raises StoreError where the file cannot be used."""

    def __init__(self, params: Params) -> None:
        self._of, self._path = params.of, params.path
        self._lock = threading.Lock()
        self._opened: Cache | None = None

    @property
    def dim(self) -> int:
        return self._of.dim

    @property
    def languages(self) -> Sequence[str] | None:
        return getattr(self._of, "languages", None)

    @cached_property
    def fingerprint(self) -> str:
        """What the vectors depend on: `of`'s own fingerprint, or its technique and params, or its class."""
        own = getattr(self._of, "fingerprint", None)
        made = origin(self._of)
        return own or (
            json.dumps(made.params, sort_keys=True)
            if made is not None
            else f"{type(self._of).__module__}:{type(self._of).__qualname__}"
        )

    def embed(self, texts: Sequence[str], role: Literal["passage", "query"] = "passage") -> np.ndarray:
        if role not in ("passage", "query"):
            raise ValueError(f"role must be passage or query, not {role!r}")
        numbers: dict[str, int] = {}
        places = [numbers.setdefault(text, len(numbers)) for text in texts]
        if not numbers:
            return np.zeros((0, self.dim), np.float32)
        distinct, cache = list(numbers), self._cache()
        vectors = np.empty((len(distinct), cache.dim), np.float32)
        keys = [self._key(text, role) for text in distinct]
        missing = cache.fill(keys, vectors)
        for first in range(0, len(missing), _BATCH):
            rows = missing[first : first + _BATCH]
            vectors[rows] = self._of.embed([distinct[row] for row in rows], role)
            cache.add([keys[row] for row in rows], vectors[rows])
            if len(missing) > _BATCH:
                report("embed", len(distinct) - len(missing) + first + len(rows), len(distinct))
        return vectors[places]

    def _key(self, text: str, role: str) -> bytes:
        what = "\0".join((self.fingerprint, role, text)).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(what, digest_size=16).digest()

    def _cache(self) -> Cache:
        with self._lock:
            if self._opened is None:
                self._opened = Cache(self._path, self.dim)
            return self._opened
