"""retriever.hyde passes the kit, over an exact dense index of hashed n-grams; the model repeats the question."""

from __future__ import annotations

import dougong
from dougong import CallError, Hit
from dougong.testing import HashEmbedder, RetrieverConformance, ScriptedLLM, chunks


class Exact:
    """Cosine with every chunk; a query without letters finds nothing."""

    def __init__(self):
        self.chunks, self.embedder = chunks(), HashEmbedder()
        self.vectors = self.embedder.embed([chunk.text for chunk in self.chunks])

    def search(self, query, k=10, where=None):
        return self.search_vector(self.embedder.embed([query], "query")[0], k, where) if query.strip() else []

    def search_vector(self, vector, k=10, where=None):
        matches = dougong.where(where)
        scores = (self.vectors @ vector).tolist()
        hits = [Hit(chunk, score) for chunk, score in zip(self.chunks, scores) if matches(chunk.meta)]
        return sorted(hits, key=lambda hit: (-hit.score, hit.chunk.id))[:k]


def repeated(request):
    return request.messages[1].text


class TestHyDE(RetrieverConformance):
    name = "retriever.hyde"
    params = {"of": Exact(), "embedder": HashEmbedder(), "llm": ScriptedLLM(repeated, again=True), "answers": 2}
    refused = ({"answers": 0}, {"answers": 65}, {"temperature": -0.1}, {"temperature": 2.1}, {"max_tokens": 0},
               {"prompt_en": ""}, {"prompt_zh": " "})  # fmt: skip
    accepted = ({"answers": 1}, {"answers": 64}, {"temperature": 0.0}, {"temperature": 2.0}, {"max_tokens": 1})


class TestWithoutItsModel(RetrieverConformance):
    """The query is searched as it is."""

    name = "retriever.hyde"
    params = {
        "of": Exact(), "embedder": HashEmbedder(), "llm": ScriptedLLM(CallError("down"), again=True), "answers": 2,
    }  # fmt: skip
