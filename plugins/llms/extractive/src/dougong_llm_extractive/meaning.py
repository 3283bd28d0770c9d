"""Figures of an embedder: how near a candidate's meaning is to the question's."""

from __future__ import annotations

from itertools import pairwise

from dougong import Embedder

from dougong_llm_extractive.features import Evidence

MEANING = (
    "cosine",  # of the candidate and the question
    "cosine-passage",  # the greatest of its passage
    "cosine-before",  # of the candidate before, in the same passage
    "cosine-after",  # of the one after
)


def with_meaning(evidence: Evidence, question: str, embedder: Embedder) -> list[list[float]]:
    """The rows of `evidence`, each with the figures of MEANING after its own."""
    if not evidence.candidates:
        return []
    texts = [evidence.text(i) for i in range(len(evidence.candidates))]
    cosines = [float(c) for c in embedder.embed(texts) @ embedder.embed([question], "query")[0]]
    places = [candidate.passage for candidate in evidence.candidates]
    best: dict[int, float] = {}
    for place, cosine in zip(places, cosines):
        best[place] = max(cosine, best.get(place, -1.0))
    before, after = [0.0] * len(texts), [0.0] * len(texts)
    for i, j in pairwise(range(len(texts))):
        if places[i] == places[j]:
            before[j], after[i] = cosines[i], cosines[j]
    return [
        [*row, cosine, best[place], b, a]
        for row, cosine, place, b, a in zip(evidence.rows, cosines, places, before, after)
    ]
