"""Grapheme clusters, against the `regex` library's ``\\X`` over the whole text."""

import numpy as np
import pytest
import regex
from dougong_analyzer.graphemes import graphemes, joints, snap
from hypothesis import given, settings
from hypothesis import strategies as st

HOSTILE = (
    "a é\u0301\u200d👩‍👩‍👧‍👦🏽🇨🇳🇩\r\n\t\0中文。"
    "한\u1100\u1161\u11a8क्षिक\u094d\u0600 \u200cא\u05b7ไ\u0e33\ufe0f❤\U000e0067葛\U000e0100"
)
texts = st.text(alphabet=st.one_of(st.sampled_from(HOSTILE), st.characters()), max_size=60)


def boundaries(text):
    return [0, *(match.end() for match in regex.finditer(r"\X", text))]


@settings(max_examples=500)
@given(texts)
def test_graphemes_are_those_of_the_standard(text):
    offsets = graphemes(text)
    assert offsets.dtype == np.int32
    assert offsets.shape == (len(offsets), 2)
    assert [0, *offsets[:, 1].tolist()] == boundaries(text)
    assert offsets[:, 0].tolist() == boundaries(text)[:-1]


@settings(max_examples=500)
@given(st.text(alphabet="🇨🇳\u0301\u200d\u0600👩a\r\n", max_size=20))
def test_flags_pair_up_as_the_standard_says(text):
    assert [0, *graphemes(text)[:, 1].tolist()] == boundaries(text)
    assert [snap(text, i) for i in boundaries(text)] == boundaries(text)


@settings(max_examples=500)
@given(texts)
def test_joints_are_the_other_positions(text):
    flags = joints(text)
    assert {i for i, flag in enumerate(flags) if flag} == set(range(len(text) + 1)) - set(boundaries(text))
    assert len(flags) in (0, len(text) + 1)


@settings(max_examples=300)
@given(texts, st.integers(-3, 70))
def test_snap_goes_to_the_boundary_at_or_before(text, position):
    reachable = [edge for edge in boundaries(text) if edge <= max(0, position)]
    assert snap(text, position) == reachable[-1]


PLAIN = ["plain English, with a line\nbreak", "简体中文，繁體中文。", "한국어 문장", "", "naïve Ω Ж «»"]
CLUSTERS = ["\r\n", "e\u0301", "👨‍👩‍👧‍👦", "👍🏽", "🇨🇳", "क्षि", "\u1100\u1161\u11a8", "葛\U000e0100"]


@pytest.mark.parametrize("text", PLAIN)
def test_plain_text_has_no_joints(text):
    assert not joints(text)


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_one_character_to_the_reader_is_one_cluster(cluster):
    assert graphemes(f"x{cluster}y").tolist() == [[0, 1], [1, 1 + len(cluster)], [1 + len(cluster), 2 + len(cluster)]]


@pytest.mark.parametrize("unit", ["🇨🇳", "👩‍👩‍👧‍👦", "e\u0301", "\u0301", "\r\n", "क\u094d", "\u1100", "\u0600"])
def test_a_long_run_takes_linear_time(unit):
    """\\X alone needs minutes for the flags."""
    text = unit * 100_000
    assert snap(text, len(text)) == len(text)
    assert len(joints(text)) == len(text) + 1
