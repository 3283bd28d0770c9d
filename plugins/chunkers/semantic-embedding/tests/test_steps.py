"""Steps between sentences: thresholds against LangChain's published formulas, sizes, hostile vectors."""

from itertools import pairwise

import dougong
import numpy as np
import pytest
from dougong import Document
from dougong.testing import HashEmbedder
from dougong_chunker_semantic_embedding import Params
from dougong_chunker_semantic_embedding.steps import SemanticEmbedding, chosen, distances, windows, within
from dougong_chunker_semantic_rules.units import Units
from dougong_tokenizer_words.words import Words
from hypothesis import given, settings
from hypothesis import strategies as st

WORDS = Words(None)
steps = st.lists(st.floats(0, 2, width=32), min_size=2, max_size=60)


class Given:
    """Gives back vectors made beforehand, one for each text, and keeps what it was asked for."""

    def __init__(self, vectors):
        self.vectors, self.dim, self.seen = np.asarray(vectors, np.float32), len(vectors[0]), []

    def embed(self, texts, role="passage"):
        self.seen.extend(texts)
        return self.vectors[: len(texts)]


def chunks(text, embedder, **params):
    params = {"buffer": 0, "size": 400, "minimum": 0, **params}
    return list(SemanticEmbedding(Params(embedder=embedder, tokenizer=WORDS, **params)).chunk(Document("d", text)))


def quantile(values, percent):
    """Linear interpolation between order statistics, from its definition."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def reference(values, threshold, amount):
    """LangChain's ``_calculate_breakpoint_threshold``, in plain Python: which positions are cuts."""
    count = len(values)
    mean = sum(values) / count
    if threshold == "percentile":
        limit = quantile(values, amount)
    elif threshold == "deviation":
        limit = mean + amount * (sum((value - mean) ** 2 for value in values) / count) ** 0.5
    elif threshold == "interquartile":
        limit = mean + amount * (quantile(values, 75) - quantile(values, 25))
    else:
        inner = [(values[at + 1] - values[at - 1]) / 2 for at in range(1, count - 1)]
        values = [values[1] - values[0], *inner, values[-1] - values[-2]]
        limit = quantile(values, amount)
    return [value - limit for value in values]


@settings(max_examples=300)
@given(steps, st.sampled_from(["percentile", "deviation", "interquartile", "gradient"]), st.floats(0.1, 99))
def test_thresholds_are_langchains(values, threshold, amount):
    found = chosen(np.array(values, np.float64), threshold, amount)
    for cut, above in zip(found, reference(values, threshold, amount)):
        assert cut == (above > 0) or abs(above) < 1e-9


@settings(max_examples=60)
@given(st.lists(st.integers(0, 1_000_000), min_size=1, max_size=60, unique=True), st.data())
def test_a_mean_size_makes_the_cuts_of_chromas_binary_search(numbers, data):
    values = np.array(numbers) / 1_000_001
    wanted = data.draw(st.integers(0, len(values)))
    low, high = 0.0, 1.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        if (values > middle).sum() > wanted:
            low = middle
        else:
            high = middle
    assert (chosen(values, "mean-size", wanted) == (values > high)).all()


def test_an_absolute_threshold_is_a_similarity():
    assert chosen(np.array([0.1, 0.31, 0.29]), "absolute", 0.7).tolist() == [False, True, False]


def test_sentences_are_cut_where_the_direction_turns():
    vectors = [[1, 0]] * 3 + [[0, 1]] * 3
    found = chunks("One is. Two is. Three is. 四是。五是。六是。", Given(vectors), threshold="absolute", amount=0.5)
    assert [chunk.text for chunk in found] == ["One is. Two is. Three is.", "四是。五是。六是。"]


def test_a_window_is_embedded_once_and_holds_neighbours_that_fit():
    units = Units(Document("d", "One is. Two is. Three is. Four is."), WORDS, 9)
    assert windows(units, 0) == ["One is.", "Two is.", "Three is.", "Four is."]
    assert windows(units, 1) == ["One is. Two is.", "One is. Two is. Three is.", "Two is. Three is. Four is.",
                                 "Three is. Four is."]  # fmt: skip
    embedder = Given([[1, 0]] * 9)
    chunks("One is. Two is. Three is. Four is.", embedder, buffer=1, size=9)
    assert embedder.seen == windows(units, 1)
    small = Units(Document("d", "One is. Two is. Three is. Four is."), WORDS, 6)
    assert all(WORDS.count(window) <= 6 for window in windows(small, 2))


def test_no_text_above_the_maximum_reaches_the_embedder():
    embedder = Given([[1, 0]] * 999)
    text = "word " * 300 + ". " + "A short one. " * 9
    found = chunks(text, embedder, buffer=2, size=50)
    assert max(map(WORDS.count, embedder.seen)) <= 50
    assert max(chunk.tokens for chunk in found) <= 50


def test_one_or_two_sentences_are_one_chunk_without_a_model():
    embedder = Given([[1, 0], [0, 1]])
    assert [chunk.text for chunk in chunks("One is. Two is.", embedder, threshold="absolute")] == ["One is. Two is."]
    assert chunks("", embedder) == [] == chunks(" \n\n", embedder)
    assert embedder.seen == []


@pytest.mark.parametrize("threshold", ["percentile", "deviation", "interquartile", "gradient", "absolute", "mean-size"])
def test_vectors_that_are_not_numbers_cut_nothing(threshold):
    vectors = [[1, 0], [np.nan, 0], [np.inf, 1], [0, 0], [1, 0]]
    assert distances(np.array(vectors, np.float32)).tolist() == [0, 0, 0, 0]
    text = "One is. Two is. Three is. Four is. Five is."
    found = chunks(text, Given(vectors), threshold=threshold, amount=None)
    assert [chunk.text for chunk in found] == [text]


@settings(max_examples=200)
@given(st.data())
def test_sizes_hold_and_small_chunks_have_no_neighbour_with_room(data):
    lengths = data.draw(st.lists(st.integers(1, 9), min_size=2, max_size=25))
    size = data.draw(st.integers(9, 30))
    minimum = data.draw(st.integers(0, 9))
    text = "\n\n".join("x " * (length - 1) + "." for length in lengths)
    units = Units(Document("d", text), WORDS, size)
    distance = np.array(data.draw(st.lists(st.floats(0, 1), min_size=len(units) - 1, max_size=len(units) - 1)))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(units) - 1))))
    edges = [0, *within(cuts, distance, units, size, minimum), len(units)]
    assert edges == sorted(set(edges))
    sizes = [sum(lengths[a:b]) for a, b in pairwise(edges)]
    assert max(sizes) <= size
    for at, tokens in enumerate(sizes):
        if tokens < minimum:
            assert all(tokens + sizes[other] > size for other in (at - 1, at + 1) if 0 <= other < len(sizes))


def test_a_small_chunk_joins_the_nearer_neighbour():
    units = Units(Document("d", "x x x x.\n\ny.\n\nz z z z."), WORDS, 20)
    assert within([1, 2], np.array([0.9, 0.2]), units, 20, 3) == [1]
    assert within([1, 2], np.array([0.2, 0.9]), units, 20, 3) == [2]


def test_a_chunk_that_is_too_large_is_cut_at_its_largest_distance():
    units = Units(Document("d", "\n\n".join(f"w{n} w w w." for n in range(6))), WORDS, 20)
    assert within([], np.array([0.1, 0.2, 0.9, 0.3, 0.4]), units, 20, 0) == [3]


def test_params_are_checked():
    with pytest.raises(ValueError, match="must be 0 to 100 with percentile"):
        Params(amount=101.0, embedder=HashEmbedder(), tokenizer=WORDS)
    with pytest.raises(ValueError, match="must be -1 to 1 with absolute"):
        Params(threshold="absolute", amount=1.5, embedder=HashEmbedder(), tokenizer=WORDS)
    with pytest.raises(ValueError, match="must be 0 or more; 1 is usual"):
        Params(buffer=-1, embedder=HashEmbedder(), tokenizer=WORDS)


def test_it_is_built_by_name_with_its_default_embedder():
    """MiniLM tells where a text turns from one subject to another."""
    cats = "Cats purr when they are happy. A kitten plays with a ball of wool. My cat sleeps on the sofa. "
    law = "The parliament passed a tax law. Income above a threshold is taxed. The ministry collects the tax."
    chunker = dougong.make("chunker.semantic-embedding", threshold="mean-size", amount=25, minimum=0, buffer=0)
    found = list(chunker.chunk(Document("d", cats + law)))
    assert [chunk.text for chunk in found] == [cats.strip(), law]
