from __future__ import annotations

import json
import logging

import dougong
import pytest
from dougong import CallError, Cancelled, Chunk, Exhausted, Hit, Run, Span
from dougong.testing import ScriptedLLM
from dougong_retriever_fusion.fusion import queries


class Table:
    """Finds, for each query, the ids that are listed for it."""

    def __init__(self, **found):
        self.found, self.asked = found, []

    def search(self, query, k=10, where=None):
        self.asked.append((query, k, where))
        ids = self.found.get(query, "")
        return [Hit(Chunk(id, "d", id, Span(0, 1)), float(-rank)) for rank, id in enumerate(ids)][:k]


def reply(*texts):
    return json.dumps({"queries": list(texts)}, ensure_ascii=False)


def fusion(of, llm, **params):
    return dougong.make("retriever.fusion", of=of, llm=llm, **params)


def brief(hits):
    return [(hit.chunk.id, hit.score) for hit in hits]


def test_every_query_goes_to_every_retriever_and_ranks_are_summed():
    """By hand: q finds a b, r finds b c, in two retrievers of which one knows only r."""
    one, two = Table(q="ab", r="bc"), Table(r="c")
    found = fusion([one, two], ScriptedLLM(reply("r", "s"))).search("q", 10, {"lang": "zh"})
    assert brief(found) == [
        ("b", pytest.approx(1 / 62 + 1 / 61)), ("c", pytest.approx(1 / 62 + 1 / 61)), ("a", 1 / 61),
    ]  # fmt: skip
    assert one.asked == two.asked == [(query, 50, {"lang": "zh"}) for query in "qrs"]


def test_what_many_queries_find_second_beats_what_one_finds_first():
    table = Table(q="ax", r="bx", s="cx")
    assert fusion([table], ScriptedLLM(reply("r", "s"))).search("q", 1)[0].chunk.id == "x"


def test_the_pool_is_k_where_that_is_more():
    table = Table(q="a")
    fusion([table], ScriptedLLM(reply("r")), pool=5).search("q", 30)
    assert [k for _, k, _ in table.asked] == [30, 30]


def test_the_model_is_asked_once_in_the_querys_language():
    llm = ScriptedLLM(reply("r"), again=True)
    built = fusion([Table()], llm, queries=3, temperature=0.2)
    built.search("who built the hall?")
    built.search("谁建造了大殿？")
    english, chinese = llm.requests
    assert "write 3 others" in english.messages[0].text
    assert "另写 3 条" in chinese.messages[0].text
    assert [(part.kind, part.text) for part in chinese.messages[1].parts] == [("data", "谁建造了大殿？")]
    assert english.sampling.temperature == 0.2
    assert english.schema["required"] == ["queries"]


def test_an_empty_query_asks_no_model():
    llm = ScriptedLLM()
    assert fusion([Table()], llm).search(" ") == []
    assert llm.requests == []


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (reply("r", "s"), ["r", "s"]),
        ("```json\n" + reply("r") + "\n```", ["r"]),
        (reply(" r ", "R", "", "Q", "s", "t", "u"), ["r", "s", "t"]),
        ('{"queries": ["r", 3, null, ["s"]]}', ["r"]),
        (reply("斗拱是什么", "什么叫斗拱"), ["斗拱是什么", "什么叫斗拱"]),
    ],
)
def test_repeats_and_the_original_are_left_out(said, wanted):
    assert queries(said, "q", 3) == wanted


@pytest.mark.parametrize("said", ["", "no", "{}", "[]", '{"queries": 3}', '{"queries": []}', reply("q", " "), '{"a": '])
def test_a_reply_without_queries_is_a_failure(said):
    with pytest.raises(CallError):
        queries(said, "q", 3)


@pytest.mark.parametrize("said", [CallError("down"), "I cannot.", reply("q")])
def test_a_model_that_fails_leaves_the_original_and_says_so(said, caplog):
    events, table = [], Table(q="ab")
    built = fusion([table], ScriptedLLM(said))
    with caplog.at_level(logging.WARNING, "dougong.retriever.fusion"), Run(listener=events.append).active():
        assert brief(built.search("q")) == [("a", 1 / 61), ("b", 1 / 62)]
    assert [query for query, _, _ in table.asked] == ["q"]
    assert "did not rewrite" in caplog.text
    assert any(event.data.get("detail", "").startswith("not rewritten: ") for event in events)


@pytest.mark.parametrize("error", [Exhausted("out of money", what="money"), Cancelled("stop"), ZeroDivisionError()])
def test_the_end_of_a_budget_and_cancellation_are_not_hidden(error):
    with pytest.raises(type(error)):
        fusion([Table(q="a")], ScriptedLLM(error)).search("q")


def test_what_a_retriever_raises_is_raised():
    class Broken:
        def search(self, query, k=10, where=None):
            raise CallError("the store is away")

    with pytest.raises(CallError, match="away"):
        fusion([Broken()], ScriptedLLM(reply("r"))).search("q")
