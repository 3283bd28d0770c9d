"""embedder.cached: keeps the vectors of another embedder."""

from __future__ import annotations

from pathlib import Path

import attrs
from dougong import Embedder, Technique, hookimpl


@attrs.frozen
class Params:
    """Parameters of the cache.

    of: the embedder whose vectors are kept.
    path: the SQLite file that holds them; threads, processes and embedders may share it.
    """

    of: Embedder
    path: Path


@hookimpl
def dougong_embedders() -> list[Technique]:
    return [
        Technique(
            "cached",
            Params,
            "dougong_embedder_cached.cached:Cached",
            summary="Keeps every vector of another embedder in a file, by model, role and text.",
            source="content-addressed storage; memoisation (Michie 1968, Memo Functions and Machine Learning)",
        )
    ]
