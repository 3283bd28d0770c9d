"""retriever.bm25 passes the kit; its scores are those of bm25s 0.2 (lucene) and rank-bm25 0.2.2 (the others)."""

from __future__ import annotations

from dougong.testing import IndexConformance, chunks


class TestBM25(IndexConformance):
    name = "retriever.bm25"
    other = {"k1": 0.9}
    refused = ({"k1": 0}, {"b": -0.001}, {"b": 1.001}, {"delta": -0.001}, {"epsilon": -0.001}, {"k1": float("inf")})
    accepted = ({"k1": 0.001}, {"b": 0}, {"b": 1}, {"delta": 0}, {"epsilon": 0})
    golden = (
        ("dougong brackets of timber halls", [(0, 4.6559397)]),
        ("斗拱连接柱与梁", [(7, 8.8256305)]),
        ("attention attention cache", [(5, 3.0798429), (2, 1.8750391)]),
        ("attention attention cache", [(5, 7.0847960), (2, 4.2106085)], {"variant": "okapi"}),
        ("attention attention cache", [(5, 8.6616480), (2, 5.2732979)], {"variant": "l"}),
        ("attention attention cache", [(5, 15.5516398), (2, 12.0092418)], {"variant": "plus"}),
    )


class TestOkapi(IndexConformance):
    name = "retriever.bm25"
    params = {"variant": "okapi"}
    other = {"variant": "lucene"}


class TestPlus(IndexConformance):
    name = "retriever.bm25"
    params = {"variant": "plus"}
    other = {"variant": "l"}


class TestTermsOfMostChunks(IndexConformance):
    """Okapi's idf of such a term is below 0, and epsilon stands in for it."""

    name = "retriever.bm25"
    params = {"variant": "okapi"}
    other = {"epsilon": 0.5}
    corpus = tuple(chunks(("dougong bracket", "dougong arm arm", "dougong block 木", "木 beam and column")))
    golden = (
        ("dougong arm", [(1, 1.29234554), (0, 0.13797597), (2, 0.11628542)]),
        ("dougong arm", [(1, 1.40863096), (0, 0.27595193), (2, 0.23257084)], {"epsilon": 0.5}),
        ("木 beam", [(3, 0.81399794), (2, 0.0)]),
    )
