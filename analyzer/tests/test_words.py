"""Words and languages: exact offsets in every script."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest
import regex
from dougong_analyzer import language, simplified, terms, words
from hypothesis import example, given, settings
from hypothesis import strategies as st

SCRIPTS = "aé’'.,-_019 \n\0\u0301\u200d\ud800中文大學国《。ー々カひ한ภาकि👩🏽אש\u202eΩЖ𠀀①Ａ"
texts = st.text(alphabet=st.one_of(st.sampled_from(SCRIPTS), st.characters()), max_size=60)


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in words(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The well-known dog's 3.14 and 1,000.", ["The", "well", "known", "dog's", "3.14", "and", "1,000"]),
        ("don’t 'quote' rock'n'roll l’homme", ["don’t", "quote", "rock'n'roll", "l’homme"]),
        ("v1.2 x.y a,b 5's snake_case 1,2", ["v1.2", "x", "y", "a", "b", "5", "s", "snake", "case", "1", "2"]),
        ("naïve cafe\u0301 Straße", ["naïve", "cafe\u0301", "Straße"]),
        ("Привет, мир! कम्प्यूटर שָׁלוֹם", ["Привет", "мир", "कम्प्यूटर", "שָׁלוֹם"]),
        ("我来到北京清华大学。", ["我", "来到", "北京", "清华大学"]),
        ("我來到北京清華大學。", ["我", "來到", "北京", "清華大學"]),
        ("用Python写BM25,2024年", ["用", "Python", "写", "BM25", "2024", "年"]),
        ("カタカナとサーバー 한국어 문장", ["カタカナ", "と", "サーバー", "한국어", "문장"]),
        ("", []),
        (" \n\0。!", []),
    ],
)
def test_words_are_cut_by_the_rules_of_their_script(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


@settings(deadline=None)
@given(texts)
@example("\ud800我")
@example("𠀀𠀁㐀一丁")
def test_words_lie_in_order_and_hold_every_letter_and_digit(text: str) -> None:
    spans = words(text)
    assert all(start < end for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    inside = {position for start, end in spans for position in range(start, end)}
    assert inside >= {match.start() for match in regex.finditer(r"[\p{L}\p{Nd}]", text)}
    assert all(regex.search(r"[\p{L}\p{N}\p{M}ー]", text[start:end]) for start, end in spans)


@pytest.mark.parametrize(
    "unit", ["a\u0301", "\u0301", "'", "a'", "’\u0301", "1,", "1,000", "1.", "中", "カ", "中a", "ก", "\ud800"]
)
def test_hostile_repetition_takes_linear_time(unit: str) -> None:
    """A quadratic rule would need hours for this."""
    text = unit * 200_000 + "é"
    assert len(words(text)) <= len(text)
    assert len(terms(text)) <= 2 * len(text)


def test_chinese_words_are_those_of_jieba() -> None:
    reference = pytest.importorskip("jieba")
    text = "小明硕士毕业于中国科学院计算所,后在日本京都大学深造。今天天气很好,我们去公园散步。"
    assert cut(text) == [word for word in reference.cut(text) if word not in ",。"]


def test_the_fast_path_for_ascii_is_the_general_path() -> None:
    text = "It's 3.14, 'isn't' it? x_y a-b 1,000,000 5's O'Neil's v1.2.3. 1,2,3 12,3456 1,234,567.8 e.g. U.S."
    assert words(text) == words(text + " é")[:-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is BM25?", "en"),
        ("什么是 BM25?", "zh"),
        ("請問圖書館在哪裏?", "zh"),
        ("请用 Python 写一个 web server", "zh"),
        ("What does 机器学习 mean here?", "en"),
        ("日本語の文章です", "ja"),
        ("한국어 문장입니다", "ko"),
        ("Что такое поиск?", "ru"),
        ("مرحبا بالعالم", "und"),
        ("Où est la bibliothèque?", "en"),
        ("", "en"),
        ("42! 👩🏽", "en"),
    ],
)
def test_language_is_told_by_script(text: str, expected: str) -> None:
    assert language(text) == expected


def test_simplified_keeps_the_length_and_is_idempotent() -> None:
    text = "臺灣國家圖書館,裏裡乾隆 abc 薴 𠮷"
    assert simplified(text) == "台湾国家图书馆,里里干隆 abc 苎 𠮷"
    everything = "".join(map(chr, range(0x3400, 0xA000)))
    assert len(simplified(everything)) == len(everything)
    assert simplified(simplified(everything)) == simplified(everything)


def test_importing_loads_no_dictionary_and_no_stemmer() -> None:
    code = "import sys, dougong_analyzer; print([m for m in ('rjieba', 'Stemmer', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("symbol", ["⺀", "㋐", "㈀"])
def test_a_symbol_of_a_script_is_no_word(symbol: str) -> None:
    assert [text[start:end] for text in [f"应县{symbol}木塔"] for start, end in words(text)] == ["应县", "木塔"]
