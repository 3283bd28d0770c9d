from __future__ import annotations

import logging

import dougong
import numpy as np
import pytest
from dougong import BuildError, CallError, Cancelled, Chunk, Exhausted, Hit, Run, Span
from dougong.testing import HashEmbedder, MemoryIndex, ScriptedLLM

HIT = Hit(Chunk("c", "d", "c", Span(0, 1)), 1.0)


class Dense:
    """Notes what it is asked."""

    def __init__(self):
        self.vectors, self.queries = [], []

    def search(self, query, k=10, where=None):
        self.queries.append((query, k, where))
        return [HIT]

    def search_vector(self, vector, k=10, where=None):
        self.vectors.append((vector, k, where))
        return [HIT]


class Axes:
    """One text, one axis; remembers the roles."""

    dim = 4
    known = ("q", "a", "b", "c")

    def __init__(self):
        self.roles = []

    def embed(self, texts, role="passage"):
        self.roles += [(text, role) for text in texts]
        return np.eye(4, dtype=np.float32)[[self.known.index(text) for text in texts]]


def hyde(of, llm, embedder=None, **params):
    return dougong.make("retriever.hyde", of=of, llm=llm, embedder=embedder or Axes(), **params)


def test_the_vector_is_the_mean_of_query_and_answers_at_unit_length():
    """By hand, on axes: (1, 2, 1, 0) / sqrt 6 for q and a, a, b."""
    of, embedder = Dense(), Axes()
    assert hyde(of, ScriptedLLM("a", "a ", " b"), embedder, answers=3).search("q", 5, {"lang": "zh"}) == [HIT]
    ((vector, k, where),) = of.vectors
    assert vector == pytest.approx(np.array([1, 2, 1, 0]) / np.sqrt(6))
    assert (vector.dtype, k, where) == (np.float32, 5, {"lang": "zh"})
    assert embedder.roles == [("q", "query"), ("a", "passage"), ("a", "passage"), ("b", "passage")]


def test_it_is_the_authors_computation():
    """``np.mean`` over [query] + documents, as hyde.py; unit length on top."""
    of, embedder, answers = Dense(), HashEmbedder(), ["斗拱承托屋檐。", "Brackets carry the eaves.", "Tiles."]
    hyde(of, ScriptedLLM(*answers), embedder, answers=3).search("what carries the eaves?")
    vectors = np.array([embedder.embed([text])[0] for text in ["what carries the eaves?", *answers]])
    mean = np.mean(vectors, axis=0)
    assert of.vectors[0][0] == pytest.approx(mean / np.sqrt(np.sum(mean**2)), abs=1e-6)


def test_vectors_that_cancel_leave_the_querys():
    class Opposed(Axes):
        def embed(self, texts, role="passage"):
            return np.array([[1.0 if role == "query" else -1.0, 0, 0, 0]] * len(texts), np.float32)

    of = Dense()
    hyde(of, ScriptedLLM("a"), Opposed(), answers=1).search("q")
    assert of.vectors[0][0].tolist() == [1, 0, 0, 0]


def test_the_model_is_asked_n_times_in_the_querys_language():
    llm = ScriptedLLM("a", again=True)
    built = hyde(Dense(), llm, HashEmbedder())
    built.search("谁建造了大殿？")
    assert len(llm.requests) == 8
    assert "检索" in llm.requests[0].messages[0].text
    assert llm.requests[0].messages[1].text == "谁建造了大殿？"
    assert (llm.requests[0].sampling.temperature, llm.requests[0].sampling.max_tokens) == (0.7, 512)
    built.search("who built it?")
    assert llm.requests[-1].messages[0].text.isascii()


def test_in_a_run_the_calls_are_seen_and_the_vector_is_the_same():
    plain, seen = Dense(), Dense()
    hyde(plain, ScriptedLLM("a", again=True), answers=3).search("q")
    run = Run()
    with run.active():
        hyde(seen, ScriptedLLM("a", again=True), answers=3).search("q")
    assert np.array_equal(plain.vectors[0][0], seen.vectors[0][0])
    assert run.usage.model_calls == 3


def test_an_answer_that_fails_or_is_empty_is_left_out(caplog):
    of = Dense()
    with caplog.at_level(logging.WARNING, "dougong.retriever.hyde"):
        hyde(of, ScriptedLLM("a", CallError("busy"), "  ", "b"), answers=4).search("q")
    assert of.vectors[0][0] == pytest.approx(np.array([1, 1, 1, 0]) / np.sqrt(3))
    assert "2 of 4 answers are missing: busy" in caplog.text


def test_without_any_answer_the_query_is_searched_and_that_is_told(caplog):
    of, events = Dense(), []
    built = hyde(of, ScriptedLLM(CallError("down"), again=True), answers=2)
    with caplog.at_level(logging.WARNING, "dougong.retriever.hyde"), Run(listener=events.append).active():
        assert built.search("q", 3, {"lang": "en"}) == [HIT]
    assert (of.queries, of.vectors) == ([("q", 3, {"lang": "en"})], [])
    assert "searched as it is" in caplog.text
    assert any("2 of 2 answers are missing" in event.data.get("detail", "") for event in events)


def test_an_empty_query_asks_no_model():
    llm = ScriptedLLM()
    assert hyde(Dense(), llm).search(" \n") == []
    assert llm.requests == []


@pytest.mark.parametrize("error", [Exhausted("out of steps", what="steps"), Cancelled("stop"), ZeroDivisionError()])
def test_the_end_of_a_budget_and_cancellation_are_not_hidden(error):
    with pytest.raises(type(error)):
        hyde(Dense(), ScriptedLLM(error, again=True)).search("q")


def test_what_cannot_be_searched_by_a_vector_is_refused():
    with pytest.raises(BuildError, match="search_vector"):
        hyde(MemoryIndex(), ScriptedLLM("a"))
