"""retriever.refine passes the kit: keeping everything it changes nothing, else hits are stretches of what was found."""

from __future__ import annotations

from dougong.testing import HashEmbedder, MemoryIndex, RetrieverConformance, chunks


class TestKeepingAll(RetrieverConformance):
    name = "retriever.refine"
    params = {"of": MemoryIndex(chunks()), "share": 1.0}
    golden = (("attention attention cache", [5, 2]), ("attention attention cache", [], {"share": 0.01}))
    refused = ({"share": 0.0}, {"share": 1.01}, {"tokens": 0}, {"duplicates": 0.0}, {"duplicates": 1.1})
    accepted = ({"share": 1.0}, {"tokens": 1}, {"duplicates": 1.0}, {"tokens": None})


class TestTrimming(RetrieverConformance):
    name = "retriever.refine"
    params = {"of": MemoryIndex(chunks()), "share": 0.5, "embedder": HashEmbedder()}
    exact = False  # the budget is of what was found
    finds = 0.0
    chunks_kept = False
