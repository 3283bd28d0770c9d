"""Index terms: what a document and a query must share to meet."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import Stemmer
from dougong_analyzer import stopwords, terms
from hypothesis import example, given, settings
from hypothesis import strategies as st

SCRIPTS = "aéİß’'.,-_019 \n\0\u0301\u200d\ud800中文大學国《。ー々カひ한ภาकि👩🏽אש\u202eΩЖ𠀀①Ａﷺ"
texts = st.text(alphabet=st.one_of(st.sampled_from(SCRIPTS), st.characters()), max_size=60)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The cats are running to the well-known dogs' house", ["cat", "run", "well", "known", "dog", "hous"]),
        ("ＢＭ２５ ﬁnds Straße", ["bm25", "find", "straße"]),
        ("1,000 is 1000; 3.14 and 1,2", ["1000", "1000", "3.14", "1", "2"]),
        ("100，200和1,234,567.8", ["100", "200", "和", "1234567.8"]),
        ("don't don’t", ["don't", "don't"]),
        ("北京大学", ["北京", "京大", "大学", "北京", "大学", "北京大学"]),
        ("猫", ["猫"]),
        ("我的猫", ["我的", "的猫", "猫"]),
        ("カタカナ", ["カタ", "タカ", "カナ"]),
        ("학교에서", ["학교", "교에", "에서"]),
        ("", []),
        ("the of and 。!\0👩🏽", []),
    ],
)
def test_terms_of_each_script(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("query", "document"),
    [
        ("圖書館", "国家图书馆在北京"),
        ("图书馆", "國家圖書館在臺北"),
        ("猫", "我喜欢猫和狗"),
        ("running", "He ran, she runs"),
        ("caf\u00e9", "Cafe\u0301 au lait"),
        ("学校", "학교와 学校"),
        ("python", "用Python写"),
        ("state of the art", "a state-of-the-art system"),
        ("retry budget", "retry_budget = 3"),
    ],
)
def test_a_query_meets_a_document_that_writes_it_otherwise(query: str, document: str) -> None:
    assert set(terms(query)) & set(terms(document))


@settings(deadline=None)
@given(texts, texts)
@example("\ud800我", "a")
@example("İ", "ﷺ")
def test_any_text_has_terms_and_they_do_not_depend_on_what_stands_apart(text: str, other: str) -> None:
    assert all(isinstance(term, str) and term and not term.isspace() for term in terms(text))
    assert terms(f"{text}\n{other}") == terms(text) + terms(other)


def test_spaced_words_are_stemmed_by_snowball() -> None:
    listed = "nationally relational conditionals generously argument skies dying happily sung easiest"
    assert terms(listed) == Stemmer.Stemmer("english").stemWords(listed.split())


def test_english_in_chinese_text_is_analysed_as_in_english_text() -> None:
    assert terms("The running dogs's 1,000 tests。中")[:-1] == terms("The running dogs's 1,000 tests.")


def test_a_word_without_end_is_one_term() -> None:
    assert terms("x" * 1_000_000) == ["x" * 1_000_000]
    assert len(terms("中" * 20_000)) >= 19_999


def test_threads_may_share_the_stems() -> None:
    listed = [f"word{i}ing running{i}s" for i in range(2_000)]
    alone = [terms(text) for text in listed]
    from dougong_analyzer.indexing import _stems

    _stems().clear()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(terms, listed)) == alone


def test_stop_words_are_lower_case_and_absent_from_terms() -> None:
    assert len(stopwords("en")) == 33
    assert terms(" ".join(stopwords("en")).title()) == []
    assert {"的", "了", "是"} <= stopwords("zh")
    assert stopwords("fr") == frozenset()
