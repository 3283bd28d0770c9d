"""The tokenizer of words, against the analyzer's own words and against white space."""

import numpy as np
import pytest
from dougong_analyzer import words
from dougong_tokenizer_words import Params
from dougong_tokenizer_words.words import Words
from hypothesis import given, settings
from hypothesis import strategies as st

tokenizer = Words(Params())
ALPHABET = (
    "ab Zé'’.,12３-_$\n\u3000\x1c中文词語々〇⺀カナーひら한국ไทย👩‍👩🏽\u0301\u200d\ufe0f🇨🇳א\u05b7ß½²٣\u0600\ud800𠀀"
)
texts = st.text(alphabet=st.one_of(st.sampled_from(ALPHABET), st.characters()), max_size=60)


def tokens(text):
    return [text[a:b] for a, b in tokenizer.offsets(text).tolist()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't pay $3.50!", "Don't|pay|$|3.50|!"),
        ("0,0 1,00 1,0000 12,345,678 1,000", "0|,|0|1|,|00|1|,|0000|12,345,678|1,000"),
        ("well-known, 1,000 a.b x_y", "well|-|known|,|1,000|a|.|b|x|_|y"),
        ("学生用Python 3.11写代码。", "学生|用|Python|3.11|写|代码|。"),
        ("北京大學的學生", "北京大學|的|學生"),
        ("❤️ 好", "❤|\ufe0f|好"),
        (" \n\t\u3000", ""),
        ("", ""),
    ],
)
def test_words_numbers_and_marks_are_tokens(text, expected):
    assert tokens(text) == (expected.split("|") if expected else [])


@settings(max_examples=1000, deadline=None)
@given(texts)
def test_tokens_are_the_analyzers_words_and_every_other_character(text):
    expected = words(text)
    covered = {place for start, end in expected for place in range(start, end)}
    rest = [(at, at + 1) for at, c in enumerate(text) if at not in covered and not c.isspace()]
    assert tokenizer.offsets(text).tolist() == [list(span) for span in sorted(expected + rest)]


@settings(max_examples=200, deadline=None)
@given(texts)
def test_offsets_keep_the_contract(text):
    offsets = tokenizer.offsets(text)
    assert offsets.dtype == np.int32
    assert offsets.shape == (tokenizer.count(text), 2)
    edges = offsets.ravel()
    assert (np.diff(edges) >= 0).all()
    between = zip([0, *offsets[:, 1].tolist()], [*offsets[:, 0].tolist(), len(text)])
    assert not "".join(text[a:b] for a, b in between).strip()
