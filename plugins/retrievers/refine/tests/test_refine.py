from __future__ import annotations

import math

import dougong
import numpy as np
import pytest
from dougong import Chunk, Hit, Span
from dougong.testing import HashEmbedder
from dougong_analyzer import sentences, terms
from dougong_retriever_refine.refine import bm25, by_relevance, distinct, shingles
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

ROOF = "The hall is old. Its roof is carried by dougong brackets of timber. Tourists come in May. Tickets are cheap."
WOOD = "木塔很高。斗拱承托屋檐，连接柱与梁。游客五月来。门票便宜。"


class Fixed:
    def __init__(self, *hits):
        self.hits, self.asked = list(hits), []

    def search(self, query, k=10, where=None):
        self.asked.append((query, k, where))
        return self.hits[:k]


def hit(text, score=1.0, document="d", start=0, **more):
    span = Span(start, start + len(text))
    return Hit(Chunk(Chunk.name(document, span), document, text, span, **more), score)


def refine(*hits, **params):
    return dougong.make("retriever.refine", of=Fixed(*hits), tokenizer={"use": "characters"}, **params)


def texts(hits):
    return [hit.chunk.text.strip() for hit in hits]


@pytest.mark.parametrize(
    ("text", "query", "answer"),
    [
        (ROOF, "what carries the roof?", "Its roof is carried by dougong brackets of timber."),
        (WOOD, "什么承托屋檐？", "斗拱承托屋檐，连接柱与梁。"),
    ],
)
def test_the_sentence_that_answers_is_kept(text, query, answer):
    found = refine(hit(text, start=40), share=0.6).search(query, 3)
    assert len(found) == 1
    assert answer in found[0].chunk.text
    assert len(found[0].chunk.text) < len(text)


def test_offsets_and_line_are_those_of_the_stretch():
    text = "Old hall.\nIts roof is carried by brackets.\nCheap tickets."
    found = refine(hit(text, 2.5, start=100, headings=("Hall",), meta={"line": 7, "page": 3}), share=0.7).search("roof")
    chunk = found[0].chunk
    assert chunk.text.strip() == "Its roof is carried by brackets."
    assert (chunk.span.start, len(chunk.span)) == (110, len(chunk.text))
    assert chunk.id == Chunk.name("d", chunk.span)
    assert (chunk.headings, dict(chunk.meta), found[0].score) == (("Hall",), {"line": 8, "page": 3}, 2.5)


def test_a_whole_share_changes_nothing():
    hits = [hit(ROOF, 3.0), hit(WOOD, 2.0, "e")]
    of = Fixed(*hits)
    built = dougong.make("retriever.refine", of=of, share=1.0)
    assert built.search("roof", 5, {"lang": "en"}) == hits
    assert of.asked == [("roof", 5, {"lang": "en"})]


def test_near_duplicates_go_and_the_better_stays():
    copy = ROOF.replace("cheap", "dear")
    assert distinct([hit(ROOF, 3.0), hit(copy, 2.0, "e"), hit(WOOD, 1.0, "f")], 0.8) == [
        hit(ROOF, 3.0),
        hit(WOOD, 1.0, "f"),
    ]
    assert len(distinct([hit(ROOF, 3.0), hit(copy, 2.0, "e")], 1.0)) == 2
    assert len(distinct([hit(ROOF, 3.0), hit(ROOF, 2.0, "e")], 1.0)) == 1
    found = refine(hit(ROOF, 3.0), hit(copy, 2.0, "e"), hit(WOOD, 1.0, "f"), share=1.0).search("roof")
    assert [h.chunk.document for h in found] == ["d", "f"]


def test_shingles_are_runs_of_three_words():
    """Their similarity is Jaccard's: of `a b c d` and `a b c e`, one of three."""
    assert shingles("a b C d") == {("a", "b", "c"), ("b", "c", "d")}
    one, two = shingles("a b c d"), shingles("a b c e")
    assert len(one & two) / len(one | two) == 1 / 3
    assert shingles("A b") == {("A b",)}
    assert len(distinct([hit("a b c d"), hit("a b c e", document="e")], 1 / 3)) == 1
    assert len(distinct([hit("a b c d"), hit("a b c e", document="e")], 0.34)) == 2


def test_tokens_limits_what_share_would_keep():
    count = dougong.make("tokenizer.characters").count
    for limit in (20, 60, 200):
        found = refine(hit(ROOF, 2.0), hit(WOOD, 1.0, "e"), share=1.0, tokens=limit).search("roof 屋檐")
        assert sum(count(h.chunk.text) for h in found) <= limit


def test_bm25_of_sentences_is_that_of_rank_bm25():
    """Its saturation and length are Okapi's to a factor of k1 + 1; idf is Lucene's, never negative."""
    cut = [terms(text) for text in ("roof of timber", "a stone roof, a slate roof", "brackets and columns of a hall")]
    okapi = BM25Okapi(cut, k1=1.5, b=0.75)
    okapi.idf = {
        term: math.log(1 + (3 - n + 0.5) / (n + 0.5)) for term in okapi.idf for n in [sum(term in c for c in cut)]
    }
    for query in ("roof", "timber roof", "hall of brackets", "roof roof", "zebra"):
        assert np.allclose(np.array(bm25(terms(query), cut)) * 2.5, okapi.get_scores(terms(query)))


def test_a_neighbour_of_what_matters_goes_before_what_is_far_from_it():
    hits = [hit("It rained. The roof leaked. It was mended. Then came the summer. And the autumn.")]
    cut = [[Span(*place) for place in sentences(hits[0].chunk.text)]]
    assert by_relevance("roof", hits, cut, None) == [(0, 1), (0, 0), (0, 2), (0, 3), (0, 4)]


def test_an_embedder_finds_what_shares_no_word():
    class Knows:
        dim = 2

        def embed(self, texts, role="passage"):
            like = ("carries", "brackets")
            return np.array([[1.0, 0.0] if any(w in t for w in like) else [0.0, 1.0] for t in texts], np.float32)

    hits = [hit("Tickets cost little. Tea is sold. The brackets bear it. Rain fell.")]
    cut = [[Span(*place) for place in sentences(hits[0].chunk.text)]]
    assert by_relevance("what carries?", hits, cut, Knows())[0] == (0, 2)
    assert by_relevance("what carries?", hits, cut, None)[0] == (0, 0)


pieces = st.lists(
    st.sampled_from([*ROOF.split(". "), *WOOD.split("。"), "\n\n", "roof", "斗拱", " ", "!", "e.g. x"]), max_size=8
).map(". ".join)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(pieces, max_size=5), st.floats(0.05, 1.0), st.sampled_from(["roof of timber", "斗拱与屋檐", "zebra", ""])
)
def test_whatever_is_found_what_is_kept_is_exact_and_within_the_budget(found, share, query):
    count = dougong.make("tokenizer.characters").count
    hits = [hit(text, float(-at), f"d{at}", 7) for at, text in enumerate(found)]
    kept = refine(*hits, share=share, embedder=HashEmbedder()).search(query, 10)
    before = {h.chunk.document: h for h in hits}
    assert sum(count(h.chunk.text) for h in kept) <= share * sum(count(h.chunk.text) for h in hits) + 1e-6
    assert [h.score for h in kept] == sorted((h.score for h in kept), reverse=True)
    for h in kept:
        old = before[h.chunk.document].chunk
        assert h.chunk.text == old.text[h.chunk.span.start - 7 : h.chunk.span.end - 7]
        assert h.chunk.text


def test_k_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        refine(hit(ROOF)).search("roof", 0)
