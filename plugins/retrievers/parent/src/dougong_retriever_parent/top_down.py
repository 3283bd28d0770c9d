"""Sections first, then inside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dougong import Hit

from dougong_retriever_parent import TopDownParams


class TopDown:
    """The hits of `of` that begin in one of the best `first` sections, in their own order and with their own scores.

    The search for them is narrowed to the sections' sources, where these are known (``meta["source"]``) and the filter
    says nothing of sources itself.
    """

    def __init__(self, params: TopDownParams) -> None:
        self._params = params

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        p = self._params
        sections = [hit.chunk for hit in p.sections.search(query, p.first, where)]
        if not sections:
            return []
        narrowed = where or {}
        if "source" not in narrowed and all("source" in section.meta for section in sections):
            narrowed = {**narrowed, "source": {"in": sorted({section.meta["source"] for section in sections})}}
        found = p.of.search(query, max(p.pool, k), narrowed)
        inside = [
            hit
            for hit in found
            if any(
                section.document == hit.chunk.document
                and section.span.start <= hit.chunk.span.start < max(section.span.end, section.span.start + 1)
                for section in sections
            )
        ]
        return inside[:k]
