import pytest
from dougong_llm_extractive.candidates import candidates, tokens
from dougong_llm_extractive.features import FEATURES, Passage, gather
from dougong_llm_extractive.question import KINDS, asks, evidence
from dougong_llm_extractive.weights import CONFIDENCE_WEIGHTS, WEIGHTS


@pytest.mark.parametrize(
    ("question", "kind", "focus"),
    [
        ("Who wrote it?", "who", ""),
        ("Which scientist found it?", "who", "scientist"),
        ("When did it end?", "when", ""),
        ("In what year did it end?", "when", "year"),
        ("Where is it?", "where", ""),
        ("Which city hosted it?", "where", "city"),
        ("How many people came?", "number", "people"),
        ("What was the final cost?", "number", "cost"),
        ("Why did it fail?", "why", ""),
        ("How does it work?", "how", ""),
        ("What is photosynthesis?", "definition", ""),
        ("What is the trophy called?", "name", ""),
        ("What colour is it in winter?", "other", "colour"),
        ("Does the Doctor Who theme change?", "other", ""),
    ],
)
def test_english_question_types(question, kind, focus):
    assert (asks(question, "en")[0], asks(question, "en")[2]) == (kind, focus)


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("谁发现了青霉素？", "who"),
        ("哪位导演拍了这部电影？", "who"),
        ("他什么时候去世？", "when"),
        ("战争在哪一年结束？", "when"),
        ("公司总部在哪里？", "where"),
        ("他出生在哪个城市？", "where"),
        ("一共有多少人？", "number"),
        ("他有几位妻子？", "number"),
        ("为什么失败？", "why"),
        ("失败的原因是什么？", "why"),
        ("这台机器如何工作？", "how"),
        ("什么是光合作用？", "definition"),
        ("光合作用是什么？", "definition"),
        ("这条河又称什么？", "name"),
        ("他的职业是什么？", "other"),
    ],
)
def test_chinese_question_types(question, kind):
    assert asks(question, "zh")[0] == kind


def test_only_the_words_that_ask_are_taken_out():
    assert asks("光合作用是什么？", "zh")[1].split() == ["光合作用", "？"]
    assert asks("What does AFC stand for?", "en")[1].split() == ["AFC", "stand", "for?"]


def test_the_chinese_focus_is_the_noun_before_the_asking_words():
    assert asks("这种鱼生活的水深是多少？", "zh")[2] == "水深"
    assert asks("他的职业是什么？", "zh")[2] == "职业"


@pytest.mark.parametrize(
    ("kind", "sentence", "found"),
    [
        ("when", "It ended in March 1848.", True),
        ("when", "战争于1945年结束。", True),
        ("when", "It ended well.", False),
        ("number", "There were 1,200 guests.", True),
        ("number", "共有三百人。", True),
        ("where", "They met near Geneva.", True),
        ("where", "总部位于苏州市。", True),
        ("why", "It failed because of rain.", True),
        ("why", "由于下雨而取消。", True),
        ("who", "The prize went to Marie Curie.", True),
        ("who", "the prize went to nobody.", False),
    ],
)
def test_evidence_of_the_type_asked_for(kind, sentence, found):
    assert bool(evidence(kind, sentence, "")) == found


def test_what_the_question_already_says_is_no_evidence():
    assert not evidence("when", "It ended in 1848.", "what happened in 1848?")


def test_tokens_are_words_and_single_marks():
    text = "Hello, 世界! 3.14 ok"
    assert [text[a:b] for a, b in tokens(text)] == ["Hello", ",", "世界", "!", "3.14", "ok"]


def test_a_short_sentence_is_one_candidate_and_a_long_one_is_windows_that_cover_it():
    text = " Short one. First " + ", ".join(f"clause {i} has words" for i in range(20)) + "."
    found = list(candidates(0, text, 15))
    assert text[found[0].start : found[0].end] == "Short one."
    assert found[0].whole
    assert not any(c.whole for c in found[1:])
    assert all(len(tokens(text[c.start : c.end])) <= 15 for c in found)
    covered = set().union(*(range(c.start, c.end) for c in found))
    assert all(i in covered for i, character in enumerate(text) if not character.isspace())


def test_features_say_what_they_claim():
    """Checked by hand on one passage: which terms match decides coverage, uniqueness, inheritance and order."""
    passage = "The red fox lives in Norway. The fox eats berries in winter."
    found = gather("What does the fox eat in winter?", [Passage("1", passage)])
    assert found.question.terms == ("fox", "eat", "winter")
    first, second = (dict(zip(FEATURES, row)) for row in found.rows)
    assert (first["plain"], second["plain"]) == (pytest.approx(1 / 3), 1.0)
    assert second["cover"] == second["order"] == 1.0
    assert (first["missing"], second["missing"]) == (1.0, 0.0)
    assert first["unique"] == 0.0, "fox is in both"
    assert second["unique"] > 0.8
    assert (first["first"], second["first"]) == (1.0, 0.0)
    assert second["inherit"] == 0.0
    assert second["dense"] == pytest.approx(3 / 4), "fox eat berri winter"
    assert found.passage_cover == [pytest.approx(1.0)]


def test_every_feature_has_a_weight_in_both_languages():
    for language in ("en", "zh"):
        assert tuple(WEIGHTS[language]) == FEATURES
        assert CONFIDENCE_WEIGHTS[language]
    assert {f"has-{kind}" for kind in KINDS} < set(FEATURES)
