from __future__ import annotations

import logging
import random
import re

import dougong
import pytest
from dougong import CallError, Cancelled, Chunk, Exhausted, Hit, Run, Span
from dougong.testing import ScriptedLLM
from dougong_retriever_rerank.rerank import beginning, order, windows
from hypothesis import given
from hypothesis import strategies as st


def found(count, text="passage {}"):
    texts = [text.format(number) for number in range(count)]
    return [
        Hit(Chunk(f"c{number:03d}", "d", one, Span(0, len(one))), float(-number)) for number, one in enumerate(texts)
    ]


class Fixed:
    def __init__(self, hits):
        self.hits, self.asked = hits, []

    def search(self, query, k=10, where=None):
        self.asked.append((query, k, where))
        return self.hits[:k]


def seen(request):
    return [part.text for part in request.messages[1].parts if part.kind == "data"]


def perfect(relevance):
    """A model that sorts by the number in the passage."""

    def reply(request):
        texts = seen(request)
        best = sorted(range(len(texts)), key=lambda at: -relevance[int(re.findall(r"\d+", texts[at])[0])])
        return " > ".join(f"[{at + 1}]" for at in best)

    return ScriptedLLM(reply, again=True)


def rankgpt(items, window, step, permute):
    """``sliding_windows`` of rank_gpt.py, as its authors wrote it."""
    items = list(items)
    end_pos = len(items)
    start_pos = len(items) - window
    while start_pos >= 0:
        items[start_pos:end_pos] = permute(items[start_pos:end_pos])
        end_pos = end_pos - step
        start_pos = start_pos - step
    return items


def rerank(of, llm, **params):
    return dougong.make("retriever.rerank", of=of, llm=llm, **params)


# ---------------------------------------------------------------- windows


@pytest.mark.parametrize("count", [20, 30, 50, 100])
def test_where_rankgpts_own_code_reaches_the_head_we_agree(count):
    relevance = random.Random(count).sample(range(1000), count)
    wanted = rankgpt(range(count), 20, 10, lambda window: sorted(window, key=lambda at: -relevance[at]))
    hits = rerank(Fixed(found(count)), perfect(relevance)).search("q", count)
    assert [int(hit.chunk.id[1:]) for hit in hits] == wanted


@given(st.integers(0, 130), st.integers(2, 25), st.data())
def test_windows_cover_every_candidate_and_end_at_the_head(count, window, data):
    step = data.draw(st.integers(1, window - 1))
    spans = list(windows(count, window, step))
    assert {at for start, end in spans for at in range(start, end)} == (set(range(count)) if count > 1 else set())
    assert all(0 < end - start <= window for start, end in spans)
    assert not spans or (spans[0][1], spans[-1][0]) == (count, 0)
    assert len(spans) == (0 if count < 2 else 1 + -(-max(0, count - window) // step))


@pytest.mark.parametrize("count", [2, 3, 10, 11, 19, 20, 21, 29, 30, 31, 37, 99])
def test_every_candidate_is_ranked_once_and_the_best_come_first(count):
    """At lengths of which RankGPT's code leaves out the head, or everything, too."""
    relevance = random.Random(count).sample(range(1000), count)
    hits = rerank(Fixed(found(count)), perfect(relevance)).search("q", count)
    ranked = [int(hit.chunk.id[1:]) for hit in hits]
    assert sorted(ranked) == list(range(count))
    assert ranked[:10] == sorted(range(count), key=lambda at: -relevance[at])[:10]
    assert [hit.score for hit in hits] == [1 / rank for rank in range(1, count + 1)]


def test_one_candidate_or_none_asks_no_model():
    llm = ScriptedLLM()
    assert rerank(Fixed([]), llm).search("q") == []
    assert [hit.score for hit in rerank(Fixed(found(1)), llm).search("q")] == [1.0]
    assert llm.requests == []


def test_what_lies_beyond_the_pool_follows_in_its_own_order():
    of = Fixed(found(9))
    hits = rerank(of, perfect(range(100)), pool=4).search("q", 7, {"lang": "zh"})
    assert of.asked == [("q", 7, {"lang": "zh"})]
    assert [hit.chunk.id for hit in hits] == ["c003", "c002", "c001", "c000", "c004", "c005", "c006"]


def test_the_pool_is_ranked_whatever_k():
    assert rerank(Fixed(found(50)), perfect(range(100))).search("q", 1)[0].chunk.id == "c049"


# ---------------------------------------------------------------- what the model is asked and says


def test_passages_are_data_and_the_prompt_has_the_querys_language():
    llm = ScriptedLLM("[1]", again=True)
    hit = Hit(Chunk("a", "d", "Text.", Span(0, 5), headings=("Part", "One")), 1.0)
    built = rerank(Fixed([hit, *found(2)]), llm)
    built.search("who built the hall?")
    built.search("谁建造了这座大殿？")
    english, chinese = (request.messages for request in llm.requests)
    assert [(part.kind, part.source, part.text) for part in english[1].parts] == [
        ("data", "1", "Part > One\nText."), ("data", "2", "passage 0"), ("data", "3", "passage 1"),
        ("text", "", "who built the hall?"),
    ]  # fmt: skip
    assert "numbered 1 to 3" in english[0].text
    assert "编号为 1 到 3" in chinese[0].text
    assert chinese[1].text == "谁建造了这座大殿？"
    assert llm.requests[0].sampling.temperature == 0


def test_long_passages_are_cut_by_words_and_by_chinese_characters():
    assert beginning("one two  three four", 3) == "one two  three"
    assert beginning("斗拱承托屋檐", 4) == "斗拱承托"
    assert beginning("斗拱 bracket承托 roof", 4) == "斗拱 bracket承"
    assert beginning("short", 300) == "short"
    llm = ScriptedLLM("[1]", again=True)
    rerank(Fixed(found(2, "字" * 500 + "{}")), llm).search("q")
    assert [len(text) for text in seen(llm.requests[0])] == [300, 300]


@pytest.mark.parametrize(
    ("reply", "wanted"),
    [
        ("[2] > [3] > [1]", [1, 2, 0]),
        ("2,1", [1, 0, 2]),
        ("The best is [3]; then [3] again.", [2, 0, 1]),
        ("[0] > [4] > [99999999999999999999] > [2]", [1, 0, 2]),
        ("【３】>【１】", [2, 0, 1]),
    ],
)
def test_a_ranking_is_read_leniently(reply, wanted):
    """Repeated numbers count once, those out of range not at all, missing ones follow in order."""
    assert order(reply, 3) == wanted


@given(st.text(alphabet="0123456789[]> ,abc排", max_size=60), st.integers(1, 30))
def test_whatever_is_said_each_candidate_comes_once(reply, count):
    try:
        assert sorted(order(reply, count)) == list(range(count))
    except CallError:
        assert not any(1 <= int(number) <= count for number in re.findall(r"\d+", reply) if len(number) < 10)


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize("reply", [CallError("down"), "I cannot rank these.", ""])
def test_a_model_that_fails_leaves_the_wrapped_order_and_says_so(reply, caplog):
    """Also where it fails in a later window: no half-made ranking."""
    events = []
    llm = ScriptedLLM("[20] > [1]", reply)
    built = rerank(Fixed(found(30)), llm)
    with caplog.at_level(logging.WARNING, "dougong.retriever.rerank"), Run(listener=events.append).active():
        assert built.search("q", 25) == found(30)[:25]
    assert len(llm.requests) == 2
    assert "did not rank" in caplog.text
    told = [event.data["detail"] for event in events if event.kind == "progress"]
    assert told[-1].startswith("not ranked: ")


@pytest.mark.parametrize("error", [Exhausted("out of tokens", what="tokens"), Cancelled("stop"), ZeroDivisionError()])
def test_the_end_of_a_budget_and_cancellation_are_not_hidden(error):
    with pytest.raises(type(error)):
        rerank(Fixed(found(3)), ScriptedLLM(error)).search("q")


def test_what_the_wrapped_retriever_raises_is_raised():
    class Broken:
        def search(self, query, k=10, where=None):
            raise CallError("the store is away")

    with pytest.raises(CallError, match="away"):
        rerank(Broken(), ScriptedLLM()).search("q")
