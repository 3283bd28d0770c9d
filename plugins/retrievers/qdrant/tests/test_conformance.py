"""retriever.qdrant passes the kit in local mode."""

from __future__ import annotations

from dougong.testing import HashEmbedder, IndexConformance


class TestLocal(IndexConformance):
    name = "retriever.qdrant"
    other = {"collection": "another"}
    exact = False
    recall = 1.0
    refused = (
        {"url": "localhost:6333"}, {"collection": "a/b"}, {"collection": ""}, {"timeout": 0}, {"batch": 0},
    )  # fmt: skip
    accepted = ({"batch": 1}, {"timeout": 1})

    def parameters(self):
        return {"embedder": HashEmbedder(), "path": str(self.folder / "qdrant")}
