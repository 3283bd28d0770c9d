"""Embedders, indexes of vectors and the hybrid over them, from three distributions."""

from __future__ import annotations

from pathlib import Path

import dougong
import pytest


@pytest.mark.parametrize("index", ["exact", "hnsw", "faiss", "qdrant"])
def test_an_index_of_vectors_knows_what_its_embedder_knows(tmp_path: Path, index: str) -> None:
    """So that a hybrid does not ask English vectors in Chinese."""
    cached = {"use": "cached", "path": str(tmp_path / "vectors.db"), "of": {"use": "minilm"}}
    path = {"path": str(tmp_path / "points")} if index == "qdrant" else {}
    for embedder in ({"use": "minilm"}, cached):
        assert list(dougong.make(f"retriever.{index}", embedder=embedder, **path).languages) == ["en"]
