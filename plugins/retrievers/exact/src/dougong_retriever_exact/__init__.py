"""retriever.exact: dense search that compares the query with every vector."""

from __future__ import annotations

import attrs
from dougong import Embedder, Index, Technique, hookimpl


@attrs.frozen
class Params:
    """Parameters of exact dense search.

    embedder: maps chunks and queries to vectors of unit length.
    """

    embedder: Embedder


@hookimpl
def dougong_retrievers() -> list[Technique]:
    return [
        Technique(
            "exact",
            Params,
            "dougong_retriever_exact.index:exact",
            summary="Dense search: the cosine with every chunk's vector; exact, on numpy alone.",
            source="Karpukhin et al. 2020, Dense Passage Retrieval, arXiv:2004.04906; exact k-nearest neighbours",
            protocol=Index,
        )
    ]
