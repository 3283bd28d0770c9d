"""retriever.faiss passes the kit: flat, a graph from the first chunk on, and lists before there is enough to learn."""

from __future__ import annotations

from dougong.testing import HashEmbedder, IndexConformance


class TestFlat(IndexConformance):
    name = "retriever.faiss"
    params = {"embedder": HashEmbedder(), "kind": "flat"}
    other = {"kind": "hnsw"}


class TestGraph(IndexConformance):
    name = "retriever.faiss"
    params = {"embedder": HashEmbedder(), "exact_below": 0}
    other = {"m": 8}
    exact = False
    recall = 1.0
    refused = (
        {"m": 1}, {"m": 101}, {"ef_construction": 1}, {"ef": 0}, {"exact_below": -1}, {"lists": 0}, {"probes": 0},
        {"code_size": 0}, {"refine": 0}, {"refine": 1001}, {"threads": 0}, {"threads": 1025},
    )  # fmt: skip
    accepted = ({"m": 2}, {"ef": 1}, {"lists": 1}, {"probes": 1}, {"code_size": 1}, {"refine": 1}, {"threads": 1024})


class TestLists(IndexConformance):
    name = "retriever.faiss"
    params = {"embedder": HashEmbedder(), "kind": "ivf-pq"}
    other = {"code_size": 8}
    refused = ({"exact_below": 9_983},)
    accepted = ({"exact_below": 9_984},)
