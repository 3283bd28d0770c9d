"""retriever.hybrid passes the kit, over BM25 twice and over the kit's own index."""

from __future__ import annotations

from dougong.testing import IndexConformance, MemoryIndex
from dougong.testing.comparing import difference
from dougong.testing.retriever import QUERIES, Lazy, brief, by_id

BM25 = {"use": "bm25"}
SHORT = {"use": "bm25", "variant": "plus", "k1": 0.9}


class Exact(IndexConformance):
    """Hits are those of a fresh build to the last bit; a filter changes what scores are scaled by."""

    name = "retriever.hybrid"
    exact = False
    recall = 1.0
    refused = (
        {"pool": 0}, {"rank_constant": 0}, {"weights": [1]}, {"weights": [1, -1]}, {"weights": [0, 0]},
        {"weights": [1, float("inf")]}, {"weights": [1, float("nan")]}, {"weights": []}, {"weights_zh": [1]},
    )  # fmt: skip
    accepted = ({"pool": 1}, {"rank_constant": 1}, {"weights": [0, 0.5]}, {"fuse": "rrf"}, {"weights_zh": [1, 0]})

    def check_like_fresh(self, built, live, after):
        super().check_like_fresh(built, live, after)
        fresh = self.fresh(live.values())
        for query in QUERIES:
            told = difference(brief(fresh.search(query, 10)), brief(built.search(query, 10)), self.tolerance)
            assert not told, f"{after}: {query!r}: {told}"

    def test_saved_and_loaded_it_is_the_same(self):
        """Chunks are looked up that a part found, no others: one lookup for each hit of a part."""
        self.ready().save(self.folder / "saved")
        loaded, store = self.build(), Lazy(self.corpus)
        loaded.add(self.corpus[:3])
        loaded.load(self.folder / "saved", store)
        self.check_like_fresh(loaded, by_id(self.corpus), "saved and loaded")
        for query in QUERIES:
            store.asked.clear()
            found = loaded.search(query, 100)
            assert len(store.asked) <= 2 * len(found)


class TestStandardScores(Exact):
    name = "retriever.hybrid"
    params = {"of": [BM25, SHORT]}
    other = {"of": [SHORT, BM25]}


class TestReciprocalRank(Exact):
    name = "retriever.hybrid"
    params = {"of": [BM25, BM25], "fuse": "rrf", "weights": [1, 0.5]}
    other = {"of": [BM25, SHORT]}
    golden = (
        ("attention attention cache", [(5, 1.5 / 61), (2, 1.5 / 62)]),
        ("斗拱连接柱与梁", [(7, 1.5 / 11)], {"rank_constant": 10}),
        ("attention attention cache", [(5, 1.5), (2, 0.0)], {"fuse": "min-max"}),
        ("斗拱连接柱与梁", [(7, 1.5)], {"fuse": "min-max"}),
    )


class TestUnlikeParts(Exact):
    """Over the kit's own index, which finds more than BM25, and BM25."""

    name = "retriever.hybrid"
    other = {"of": [BM25, BM25]}

    def parameters(self):
        return {"of": [MemoryIndex(), {"use": "bm25"}]}
