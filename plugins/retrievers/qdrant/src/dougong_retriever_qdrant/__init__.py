"""retriever.qdrant: dense search in a Qdrant server, or in Qdrant's local mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
from attrs.validators import ge, gt, matches_re
from dougong import Embedder, Index, Secret, Technique, hookimpl


def _is_an_address(instance: Any, attribute: Any, value: str | None) -> None:
    if value is not None:
        at = urlsplit(value)
        if at.scheme not in ("http", "https") or not at.hostname:
            raise ValueError("must be an http or https address; http://localhost:6333 is usual")


@attrs.frozen
class Params:
    """Where the vectors are, and what embeds.

    embedder: maps chunks and queries to vectors of unit length.
    url: of a server; None for Qdrant's local mode: one process, every vector compared. api_key: for the server.
    path: the folder of local mode.
    collection: the collection that holds the vectors, made if need be; one for each index.
    timeout: seconds that a request may take.
    batch: chunks embedded and sent together.
    """

    embedder: Embedder
    url: str | None = attrs.field(default=None, validator=_is_an_address)
    api_key: Secret | None = None
    path: Path = Path(".dougong/qdrant")
    collection: str = attrs.field(default="dougong", validator=matches_re(r"[A-Za-z0-9_.-]{1,200}"))
    timeout: int = attrs.field(default=60, validator=gt(0))
    batch: int = attrs.field(default=256, validator=ge(1))


@hookimpl
def dougong_retrievers() -> list[Technique]:
    return [
        Technique(
            "qdrant",
            Params,
            "dougong_retriever_qdrant.index:Qdrant",
            summary="Dense search in a Qdrant server or its local mode; what was saved survives crashes.",
            source="https://qdrant.tech/documentation; HNSW, Malkov and Yashunin 2018, arXiv:1603.09320",
            protocol=Index,
        )
    ]
