"""retriever.exact passes the kit; its scores are those of a plain matrix product."""

from __future__ import annotations

from dougong.testing import CORPUS, HashEmbedder, IndexConformance

QUERY = "dougong brackets of timber halls"


def products(query):
    """Independent of the index: cosines in double precision, by number of the chunk."""
    vectors = HashEmbedder().embed(list(CORPUS)).astype("float64")
    scores = (vectors @ HashEmbedder().embed([query], "query")[0].astype("float64")).tolist()
    return sorted(enumerate(scores), key=lambda pair: -pair[1])


class TestExact(IndexConformance):
    name = "retriever.exact"
    params = {"embedder": HashEmbedder()}
    golden = (("斗拱连接柱与梁", products("斗拱连接柱与梁")), (QUERY, products(QUERY)))
