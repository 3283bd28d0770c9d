"""retriever.bm25 passes the kit; its scores are those of bm25s 0.2 (lucene) and rank-bm25 0.2.2 (the others)."""

from __future__ import annotations

from dougong.testing import IndexConformance


class TestBM25(IndexConformance):
    name = "retriever.bm25"
    other = {"k1": 0.9}
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
