"""Figures are read and compared by rule, in English and in Chinese."""

import pytest
from dougong_pattern_agentic_rag.figures import conflict, figures, sentence_conflicts, unsupported
from dougong_pattern_agentic_rag.plan import normal
from hypothesis import given
from hypothesis import strategies as st


def read(text):
    return [(f.kind, f.date if f.kind == "date" else round(f.value, 6)) for f in figures(text)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1,103 days", [("duration", 1103 * 86400)]),
        ("thirty-four metres", [("length", 34)]),
        ("1.2 million dollars", [("USD", 1_200_000)]),
        ("$3.5 billion", [("USD", 3.5e9)]),
        ("12.5 %", [("percent", 12.5)]),
        ("on 5 July 1903", [("date", (1903, 7, 5))]),
        ("July 5, 1903", [("date", (1903, 7, 5))]),
        ("1903-07-05", [("date", (1903, 7, 5))]),
        ("in 857 it stood", [("date", (857, 0, 0))]),
        ("printed in 1103.", [("date", (1103, 0, 0))]),
        ("三十天", [("duration", 30 * 86400)]),
        ("１１０３年７月５日", [("date", (1103, 7, 5))]),
        ("宽34米", [("length", 34)]),
        ("一百二十公里", [("length", 120_000)]),
        ("三點五米", [("length", 3.5)]),
        ("1.2亿元", [("CNY", 1.2e8)]),
        ("三百万美元", [("USD", 3e6)]),
        ("34卷", [("卷", 34)]),
        ("一般来说，千古流传", []),
        ("no figure", []),
    ],
)
def test_figures_are_read_in_base_units(text, wanted):
    assert read(text) == [(kind, pytest.approx(value) if isinstance(value, float) else value) for kind, value in wanted]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Returns are accepted for 30 days.", "Returns are accepted within 14 days of delivery."),
        ("The hall is 34 metres wide.", "The hall is 30 m wide."),
        ("The hall was built in 857.", "The hall was built in 1056."),
        ("The manual has 34 chapters.", "The manual has thirty-six chapters."),
        ("该塔建于857年。", "该塔建于1056年，通体木构。"),
        ("大殿面阔34米。", "大殿面阔三十米。"),
    ],
)
def test_figures_that_cannot_both_hold_are_found(first, second):
    assert conflict(first, second)
    assert conflict(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Returns are accepted for 30 days.", "Refunds take 14 days."),
        ("The hall is 34 metres wide.", "The hall is about 35 m wide."),
        ("The road is 10 miles long.", "The road is 16.1 km long."),
        ("The hall was built in 857.", "The hall was built in May 857."),
        ("The hall was built in 857.", "The hall is 34 metres wide."),
        ("It earned 1.2 million dollars last year.", "It earned 1,170,000 dollars last year."),
        ("大殿面阔34米。", "大殿面阔三十四米，进深四间。"),
        ("退货须在30天内提出。", "退货须在三十天内提出。"),
        ("The hall was built in 857 and mended in 1056.", "The hall was mended in 1056."),
        (
            "In 1986 Iranian troops took the peninsula and closed the river, yet the port of Umm Qasr never fell.",
            "In 1967 the port opened.",
        ),
    ],
)
def test_other_matters_other_units_rounding_and_other_writing_are_no_contradiction(first, second):
    assert conflict(first, second) is None
    assert conflict(second, first) is None


def test_offsets_name_the_sentence_that_contradicts():
    passage = "Tea is hot. The hall was built in 1056. 大殿建于何时？"
    ((start, end),) = sentence_conflicts("The hall was built in 857.", passage)
    assert passage[start:end].strip() == "The hall was built in 1056."


@pytest.mark.parametrize(
    ("claim", "passage", "wanted"),
    [
        ("Built in 857.", "The hall dates from 857 AD.", []),
        ("A year has 366 days.", "A year has 365 days.", ["366 days"]),
        ("It is 16 km.", "It is 10 miles.", []),
        ("It is 17 km.", "It is 10 miles.", ["17 km"]),
        ("Built in 858.", "The hall dates from 857 AD.", ["in 858"]),
        ("It takes 30 days.", "三十天之内。", []),
        ("需要30天。", "within thirty days", []),
        ("It is 34 m wide.", "It weighs 34 kg.", ["34 m"]),
        ("Twelve of them came.", "There were 12.", []),
        ("没有数字。", "", []),
        ("1. It is old.\n2) It is one of the tallest.", "It is old.", []),
        ("1、它是一座木塔，用MP3播放。", "木塔", []),
        ("3.5 m", "", ["3.5 m"]),
    ],
)
def test_a_figure_that_no_passage_has_is_named(claim, passage, wanted):
    assert unsupported(claim, [passage]) == wanted


@given(
    st.text(alphabet="0123456789,.年月日号米十百千万亿零一二点 %$abinmkgdys-〇１", max_size=30), st.text(max_size=30)
)
def test_any_text_can_be_read_and_agrees_with_itself(text, other):
    for figure in figures(text) + figures(other):
        assert figure.agrees(figure)
    assert unsupported(text, [text]) == []
    conflict(text, other)


def test_a_query_is_known_whatever_its_width_case_script_and_punctuation():
    assert normal("  Ｗhen, was IT printed?") == normal("when was it printed")
    assert normal("《營造法式》何時刊行？") == normal("营造法式 何时刊行".replace(" ", "》"))
    assert normal("a b") != normal("ab")
