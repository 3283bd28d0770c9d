"""Fewer words, the same answers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from dougong import Chunk, Embedder, Hit, Span
from dougong_analyzer import sentences, terms, words

from dougong_retriever_refine import Params

_SHINGLE = 3  # words; Broder's pages are longer and take 10
_K1, _B = 1.5, 0.75
_NEIGHBOUR = 0.5  # an answer is often in the sentence beside the one that has the question's words


class Refine:
    """What is found, each hit one exact stretch of its chunk, in the order and with the scores of `of`.

    1. A hit whose word shingles resemble those of a better one (`duplicates`) goes.
    2. Sentences of all hits are scored by BM25 for the query, idf and length over these sentences, half the score of
       either neighbour added; with an `embedder` its cosine joins, both scaled to 0..1. The score is divided by the
       hit's rank: what was found first is more likely to hold the answer.
    3. Sentences are kept, best first, while they fit into the budget. A hit's kept sentences are one stretch: what lies
       between two of them is kept, too, and counts. A hit of which none fits goes.

    Source: Broder 1997 for shingles; Xu et al. 2024 (RECOMP) for choosing sentences.
    """

    def __init__(self, params: Params) -> None:
        self._params = params

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        p = self._params
        found = p.of.search(query, k, where)
        count = p.tokenizer.count
        budget = math.floor(p.share * sum(count(hit.chunk.text) for hit in found) + 1e-9)
        if p.tokens is not None:
            budget = min(budget, p.tokens)
        hits = distinct(found, p.duplicates)
        cut = [_sentences(hit.chunk.text) for hit in hits]
        runs: list[tuple[int, int] | None] = [None] * len(hits)
        for number, at in by_relevance(query, hits, cut, p.embedder):
            first, last = runs[number] or (at, at)
            run = min(first, at), max(last, at)
            cost = count(_text(hits[number], cut[number], run))
            cost -= count(_text(hits[number], cut[number], (first, last))) if runs[number] else 0
            if cost <= budget:
                budget -= cost
                runs[number] = run
        kept = (_trimmed(hit, spans, run) for hit, spans, run in zip(hits, cut, runs) if run is not None)
        refined = {hit.chunk.id: hit for hit in reversed(list(kept))}  # overlapping chunks may be trimmed to one span
        return sorted(refined.values(), key=lambda hit: (-hit.score, hit.chunk.id))


def distinct(hits: Sequence[Hit], threshold: float) -> list[Hit]:
    """Those that no better hit resembles: Jaccard similarity of word shingles below `threshold`."""
    kept: list[tuple[Hit, frozenset[tuple[str, ...]]]] = []
    for hit in hits:
        own = shingles(hit.chunk.text)
        if not any(len(own & other) >= threshold * len(own | other) for _, other in kept):
            kept.append((hit, own))
    return [hit for hit, _ in kept]


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """Runs of three words; of a shorter text, the text itself."""
    found = [text[start:end].casefold() for start, end in words(text)]
    if len(found) < _SHINGLE:
        return frozenset([(text.strip(),)])
    return frozenset(zip(*(found[at:] for at in range(_SHINGLE))))


def by_relevance(
    query: str, hits: Sequence[Hit], cut: Sequence[Sequence[Span]], embedder: Embedder | None
) -> list[tuple[int, int]]:
    """``(hit, sentence)`` of every sentence, most relevant first; ties in the order of hits and text."""
    texts = [span.of(hit.chunk.text) for hit, spans in zip(hits, cut) for span in spans]
    places = [(number, at) for number, spans in enumerate(cut) for at in range(len(spans))]
    scores = bm25(terms(query), [terms(text) for text in texts])
    if embedder is not None and texts:
        cosines = (embedder.embed(texts) @ embedder.embed([query], "query")[0]).tolist()
        scores = [a + b for a, b in zip(_scaled(scores), _scaled(cosines))]
    score = dict(zip(places, scores))
    near = {
        (number, at): (
            own + _NEIGHBOUR * (score.get((number, at - 1), 0.0) + score.get((number, at + 1), 0.0))
        ) / (1 + number)
        for (number, at), own in score.items()
    }  # fmt: skip
    return sorted(places, key=lambda place: (-near[place], place))


def bm25(query: Sequence[str], texts: Sequence[Sequence[str]]) -> list[float]:
    """Lucene's BM25 of each text. Source: Robertson and Zaragoza 2009."""
    counts = [Counter(text) for text in texts]
    mean = sum(map(len, texts)) / max(1, len(texts)) or 1.0
    weights = {}
    for term in set(query):
        having = sum(term in count for count in counts)
        weights[term] = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
    return [
        math.fsum(
            weights[term] * count[term] / (count[term] + _K1 * (1 - _B + _B * len(text) / mean))
            for term in query
            if count[term]
        )
        for text, count in zip(texts, counts)
    ]


def _scaled(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    return [(value - low) / (high - low) if high > low else 0.0 for value in values]


def _sentences(text: str) -> list[Span]:
    return [Span(start, end) for start, end in sentences(text)]


def _text(hit: Hit, spans: Sequence[Span], run: tuple[int, int]) -> str:
    return hit.chunk.text[spans[run[0]].start : spans[run[1]].end]


def _trimmed(hit: Hit, spans: Sequence[Span], run: tuple[int, int]) -> Hit:
    chunk = hit.chunk
    if run == (0, len(spans) - 1):
        return hit
    start, end = spans[run[0]].start, spans[run[1]].end
    span = Span(chunk.span.start + start, chunk.span.start + end)
    meta = dict(chunk.meta)
    if "line" in meta:
        meta["line"] += chunk.text.count("\n", 0, start)
    id = Chunk.name(chunk.document, span)
    return Hit(attrs.evolve(chunk, id=id, text=chunk.text[start:end], span=span, tokens=-1, meta=meta), hit.score)
