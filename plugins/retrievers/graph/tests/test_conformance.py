"""retriever.graph passes the kit, with and without an embedder, and searched in each way."""

from __future__ import annotations

from dougong.testing import HashEmbedder, IndexConformance
from dougong.testing.retriever import Lazy, by_id


class ReadsTexts(IndexConformance):
    """Chunks are looked up that its lexical index finds for a walk to begin from, and whose texts it reads for reports
    and contexts: more than its hits, so the check of one lookup a hit is replaced."""

    name = "retriever.graph"
    other = {"embedder": HashEmbedder()}

    def test_saved_and_loaded_it_is_the_same(self):
        """In an object that held something else; the store is never read from end to end."""
        self.ready().save(self.folder / "saved")
        loaded = self.build()
        loaded.add(self.corpus[:3])
        loaded.load(self.folder / "saved", Lazy(self.corpus))
        self.check_like_fresh(loaded, by_id(self.corpus), "saved and loaded")


class TestPageRank(ReadsTexts):
    refused = (
        {"damping": 1}, {"damping": -0.001}, {"passage_weight": -0.001}, {"near_weight": 0}, {"term_value": 0},
        {"gleanings": -1}, {"community": 1}, {"budget": 99}, {"extract_en": " "}, {"reduce_zh": ""},
    )  # fmt: skip
    accepted = ({"damping": 0}, {"passage_weight": 0}, {"gleanings": 0}, {"community": 2}, {"budget": 100})


class TestDense(IndexConformance):
    """One lookup a hit holds here: the walk begins from vectors."""

    name = "retriever.graph"
    other = {"embedder": None}

    def parameters(self):
        return {"embedder": HashEmbedder()}


class TestLocal(ReadsTexts):
    """A passage that shares its entities with others may come second."""

    params = {"mode": "local"}
    finds = 0.85


class TestGlobal(ReadsTexts):
    """Reports are about entities that are joined; most passages of the kit name one or none."""

    params = {"mode": "global"}
    finds = 0.05


class TestDrift(ReadsTexts):
    params = {"mode": "drift"}
    finds = 0.85
