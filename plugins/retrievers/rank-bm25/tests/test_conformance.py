"""retriever.rank-bm25 passes the kit."""

from __future__ import annotations

from dougong.testing import IndexConformance


class TestRankBM25(IndexConformance):
    name = "retriever.rank-bm25"
    other = {"k1": 0.9}
    refused = ({"k1": 0}, {"b": -0.001}, {"b": 1.001}, {"delta": -0.001}, {"epsilon": -0.001}, {"k1": float("inf")})
    accepted = ({"k1": 0.001}, {"b": 0}, {"b": 1}, {"delta": 0}, {"epsilon": 0})
    golden = (
        ("attention attention cache", [(5, 7.0847960), (2, 4.2106085)]),
        ("attention attention cache", [(5, 8.6616480), (2, 5.2732979)], {"variant": "l"}),
        ("attention attention cache", [(5, 15.5516398), (2, 12.0092418)], {"variant": "plus"}),
        ("斗拱连接柱与梁", [(7, 21.0544797)]),
    )
