"""retriever.hnsw passes the kit with a graph from the first chunk on, and without one."""

from __future__ import annotations

from dougong.testing import HashEmbedder, IndexConformance


class TestGraph(IndexConformance):
    name = "retriever.hnsw"
    params = {"embedder": HashEmbedder(), "exact_below": 0}
    other = {"m": 8}
    exact = False
    recall = 1.0
    refused = ({"m": 1}, {"m": 101}, {"ef_construction": 15}, {"ef": 0}, {"exact_below": -1}, {"threads": 0})
    accepted = ({"m": 2}, {"m": 100}, {"ef_construction": 16}, {"ef": 1}, {"exact_below": 0}, {"threads": 1})


class TestWithoutGraph(IndexConformance):
    name = "retriever.hnsw"
    params = {"embedder": HashEmbedder()}
    other = {"ef_construction": 100}
