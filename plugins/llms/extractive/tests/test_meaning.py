"""With an embedder, English candidates are ranked by meaning besides words."""

import dougong
import numpy as np
import pytest
from dougong import Message, Part
from dougong_llm_extractive.features import FEATURES, Passage, gather
from dougong_llm_extractive.meaning import MEANING, with_meaning
from dougong_llm_extractive.weights import CONFIDENCE_WEIGHTS, WEIGHTS


class Directions:
    """Gives each text the direction that its words are said to have; keeps what it was asked."""

    dim = 2

    def __init__(self, *near):
        self.near, self.asked = near, []

    def embed(self, texts, role="passage"):
        self.asked += [(role, text) for text in texts]
        rows = [[1.0, 0.0] if role == "query" or any(n in t for n in self.near) else [0.6, 0.8] for t in texts]
        return np.array(rows, np.float32)


PASSAGES = ("The boat left the harbour at dawn. It sank in the bay. The crew swam.", "The boat was red.")


def ask(question, embedder, *passages):
    llm = dougong.make("llm.extractive", embedder=embedder, threshold=0.0, quotes=1)
    parts = [Part(text, "data", str(number)) for number, text in enumerate(passages, 1)]
    *_, last = llm.chat([Message("user", (*parts, Part(question)))])
    return last.data["quotes"][0]["text"]


def test_the_figures_are_cosines_of_the_candidate_its_passage_and_its_neighbours():
    evidence = gather("What happened to the boat?", [Passage(str(n), text) for n, text in enumerate(PASSAGES)])
    rows = with_meaning(evidence, "What happened to the boat?", Directions("sank"))
    assert [row[: len(FEATURES)] for row in rows] == evidence.rows
    assert [row[len(FEATURES) :] for row in rows] == [
        pytest.approx(figures)
        for figures in ([0.6, 1.0, 0.0, 1.0], [1.0, 1.0, 0.6, 0.6], [0.6, 1.0, 1.0, 0.0], [0.6, 0.6, 0.0, 0.0])
    ]


def test_what_is_near_in_meaning_is_quoted_where_words_do_not_tell():
    question = "What became of the boat in the end?"
    assert ask(question, Directions("sank"), PASSAGES[0]) == "It sank in the bay."
    assert ask(question, Directions("swam"), PASSAGES[0]) == "The crew swam."


def test_the_question_is_embedded_as_a_query_and_candidates_as_passages():
    embedder = Directions()
    ask("Where did the boat sink?", embedder, *PASSAGES)
    assert embedder.asked[-1] == ("query", "Where did the boat sink?")
    assert {role for role, _ in embedder.asked[:-1]} == {"passage"}


def test_chinese_questions_are_answered_by_words_alone():
    embedder = Directions("红色")
    assert ask("船什么时候离港？", embedder, "船在黎明离港。船是红色的。") == "船在黎明离港。"
    assert embedder.asked == []


def test_every_fit_has_its_weights():
    assert list(WEIGHTS["en-meaning"]) == [*FEATURES, *MEANING]
    assert list(WEIGHTS["en"]) == list(WEIGHTS["zh"]) == [*FEATURES]
    assert len({tuple(row) for row in CONFIDENCE_WEIGHTS.values()}) == 1


def test_nothing_to_quote_embeds_nothing():
    embedder = Directions()
    llm = dougong.make("llm.extractive", embedder=embedder)
    *_, last = llm.chat([Message("user", "Who?")])
    assert last.data["quotes"] == embedder.asked == []
