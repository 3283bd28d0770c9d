"""Rules: what scores a gap, the best cuts against all there are, structure, both languages."""

from itertools import combinations, pairwise

import dougong
import numpy as np
import pytest
from dougong import Document
from dougong_chunker_semantic_rules import Params
from dougong_chunker_semantic_rules.rules import AFTER_HEADING, SemanticRules, best_cuts
from dougong_chunker_semantic_rules.units import Units
from dougong_loader_markdown.blocks import parse
from dougong_tokenizer_words.words import Words
from hypothesis import given, settings
from hypothesis import strategies as st

WORDS = Words(None)


def chunks(text, size=40, minimum=0, markdown=False, **params):
    chunker = SemanticRules(Params(size=size, minimum=minimum, tokenizer=WORDS, **params))
    return list(chunker.chunk(Document("d", text, parse(text) if markdown else None)))


def scores(text, markdown=False):
    chunker = SemanticRules(Params(tokenizer=WORDS))
    units = Units(Document("d", text, parse(text) if markdown else None), WORDS, 400)
    return [unit.kind for unit in units.units], [round(float(score), 6) for score in chunker.scores(units)]


def total(gains, cuts, sizes, minimum):
    edges = [0, *cuts, len(sizes)]
    short = sum(sum(sizes[a:b]) < minimum for a, b in pairwise(edges))
    return sum(gains[cut - 1] for cut in cuts) - 10 * short


@settings(max_examples=200)
@given(st.data())
def test_cuts_are_the_best_of_all(data):
    """Against every way to cut: dynamic programming finds one of the greatest total."""
    lengths = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=9))
    size = data.draw(st.integers(6, 14))
    minimum = data.draw(st.integers(0, 6))
    text = " ".join("x " * (length - 1) + "." for length in lengths).replace(". ", ".\n\n")
    units = Units(Document("d", text), WORDS, size)
    sizes = [int(b - a) for a, b in zip(units.before, units.after)]
    assert sizes == lengths
    gains = np.array(data.draw(st.lists(st.floats(-2, 2), min_size=len(sizes) - 1, max_size=len(sizes) - 1)))
    found = best_cuts(gains, units, size, minimum)
    ways = [way for count in range(len(sizes)) for way in combinations(range(1, len(sizes)), count)]
    allowed = [way for way in ways if all(sum(sizes[a:b]) <= size for a, b in pairwise([0, *way, len(sizes)]))]
    assert tuple(found) in allowed
    best = max(total(gains, way, sizes, minimum) for way in allowed)
    assert total(gains, found, sizes, minimum) == pytest.approx(best)


def test_gaps_score_by_what_is_written_there():
    kinds, found = scores(
        "# T\n\nOne is here. However, two is not. It is there.\n\nThree:\n\n- a\n- b\n", markdown=True
    )
    assert kinds == ["heading", "paragraph", "paragraph", "paragraph", "paragraph", "item", "item"]
    assert found == [AFTER_HEADING, 0.5, -0.5, 0.75, 0.25, 0.25]
    assert scores("One is here.\nTwo is not.")[1] == [0.5]
    assert scores("a\n\n## Deep\n\nb", markdown=True)[1] == [1.8, AFTER_HEADING]


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("他来了。然而，天黑了。", 0.5),
        ("他来了。综上所述，很好。", 0.5),
        ("他來了。因此，很好。", -0.5),
        ("He came. HOWEVER, it rained.", 0.5),
        ("He came. Howeverish words.", 0.0),
        ("He came. In conclusion, all is well.", 0.5),
        ("He came. 这很好。", -0.5),
    ],
)
def test_cue_words_of_both_languages(text, score):
    assert scores(text)[1] == [score]


CATS = "Cats and kittens purr. Kittens chase cats and mice. The mice fear cats. A kitten purrs at the mice. "
TAXES = "Taxes fund the state. The state levies taxes on income. Income taxes rise. A levy on income funds states. "
CHINESE = (
    "猫喜欢捉老鼠。老鼠害怕小猫。小猫捉住老鼠。猫和老鼠打架。",
    "国家征收税款。税款来自收入。收入越高税款越多。国家用税款修路。",
)


@pytest.mark.parametrize(("one", "two"), [(CATS, TAXES), CHINESE], ids=["English", "Chinese"])
def test_the_vocabulary_tells_where_the_subject_changes(one, two):
    """The strongest valley of a text without a single mark of structure is where its subject changes."""
    text = one * 5 + two * 5
    units = Units(Document("d", text), WORDS, 400)
    found = SemanticRules(Params(ties="", turns="", tokenizer=WORDS)).scores(units)
    at = units.units[int(found.argmax()) + 1].start
    assert abs(at - len(one) * 5) <= len(one) // 2
    assert found.max() > 0.5


def test_sections_are_parted_and_headings_stay_with_their_text():
    text = "# A\n\nOne two three.\n\n## B\n\nFour five six.\n\n## C\n\nSeven eight nine.\n"
    found = chunks(text, markdown=True)
    assert [(chunk.text, chunk.headings) for chunk in found] == [
        ("# A\n\nOne two three.", ("A",)),
        ("## B\n\nFour five six.", ("A", "B")),
        ("## C\n\nSeven eight nine.", ("A", "C")),
    ]


def test_a_chunk_below_the_minimum_is_joined():
    text = "# A\n\nOne two three.\n\n## B\n\nFour five six.\n"
    assert len(chunks(text, minimum=10, markdown=True)) == 1
    assert len(chunks(text, minimum=5, markdown=True)) == 2


def test_the_maximum_is_kept_where_a_sentence_is_too_large():
    found = chunks("word " * 100 + ". End.", size=30)
    assert [chunk.tokens <= 30 for chunk in found] == [True] * len(found)
    assert len(found) == 4


@pytest.mark.parametrize("unit", ["a. ", "。", "好", "- \n", "x", "\n\n", "But a. "])
def test_long_texts_of_one_thing_take_linear_time(unit):
    """A quadratic step would be felt."""
    text = unit * (60_000 // len(unit))
    for markdown in (False, unit != "- \n"):  # nested empty lists are the parser's own quadratic case
        found = chunks(text, 400, 50, markdown)
        assert all(chunk.tokens <= 400 for chunk in found)


def test_params_are_checked():
    with pytest.raises(ValueError, match=r"must be 0 or more and at most size \(40\)"):
        Params(size=40, minimum=41, tokenizer=WORDS)
    with pytest.raises(ValueError, match="must be 1 or more"):
        Params(size=0, minimum=0, tokenizer=WORDS)


def test_it_is_built_by_name_with_its_default_tokenizer():
    chunker = dougong.make("chunker.semantic-rules", size=5, minimum=0)
    assert [chunk.text for chunk in chunker.chunk(Document("d", "One two.\n\n首先，三四。"))] == [
        "One two.",
        "首先，三四。",
    ]
