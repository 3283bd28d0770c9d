"""No limit is exceeded, whoever calls from wherever; what ran out is named."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import attrs
import dougong
import pytest
from dougong import CallError, Cancelled, Delta, Exhausted, Message, Run, Sampling, ToolResult, Usage, estimate_tokens
from dougong.journal import Journal
from dougong.kinds import LLM, Retriever, Tool
from dougong.proxies import proxied
from dougong.run import active_run
from dougong_middleware_budget import LIMITS, Params, Price, estimate
from dougong_middleware_budget.budget import Budget
from hypothesis import given, settings
from hypothesis import strategies as st

ASK = [Message("user", "hello")]


class Model:
    """Says its words; counts its calls, and how many were under way at once."""

    def __init__(self, usage=Usage(10, 10), words=("a", "b"), error=None, seconds=0.0):  # noqa: B008, RUF100
        self.usage, self.words, self.error, self.seconds = usage, words, error, seconds
        self.asked, self.spent, self.lock = [], 0, threading.Lock()

    def chat(self, messages, tools=(), schema=None, sampling=Sampling()) -> Iterator[Delta]:
        with self.lock:
            self.asked.append(sampling)
        for word in self.words:
            yield Delta(word)
        if self.seconds:
            time.sleep(self.seconds)
        if self.error:
            raise self.error
        usage = self.usage(sampling) if callable(self.usage) else self.usage
        with self.lock:
            self.spent += usage.input_tokens + usage.output_tokens
        yield Delta(finish="stop", usage=usage)


def model(*arguments, name="main.llm", **keywords):
    inner = Model(*arguments, **keywords)
    return inner, proxied(LLM, inner, name)


@dougong.tool
def touch() -> str:
    return "touched"


TOUCH = proxied(Tool, touch, "main.tools[0]")


def run_with(budget=None, *, journal=None, replay=False, **limits):
    return Run([budget or Budget(Params(**limits))], journal=journal, replay=replay)


def until_out(call, most=1000):
    """How often `call` could be made, and what ran out."""
    for done in range(most):
        try:
            call()
        except Exhausted as error:
            return done, error.what
    return most, ""


# ---------------------------------------------------------------- params


def test_a_budget_has_a_limit():
    with pytest.raises(ValueError, match="must be set, or another limit"):
        Params()
    for name in LIMITS:
        assert getattr(Params(**{name: 1}), name) == 1
        with pytest.raises(ValueError, match=name if name != "seconds" else "more than 0"):
            Params(**{name: 0})


# ---------------------------------------------------------------- each kind of limit


def test_model_calls_and_tool_calls_are_counted_apart():
    _, llm = model()
    with run_with(model_calls=3, tool_calls=2).active():
        assert until_out(lambda: list(llm.chat(ASK))) == (3, "model_calls")
        assert until_out(lambda: TOUCH.call({})) == (2, "tool_calls")


def test_the_error_names_what_ran_out_and_the_cure():
    _, llm = model()
    with run_with(tokens=100, max_output=10).active():
        assert until_out(lambda: list(llm.chat(ASK)))[1] == "tokens"
        with pytest.raises(Exhausted, match=r"ran out of tokens: \d+ of 100 tokens are used") as caught:
            list(llm.chat(ASK))
    assert isinstance(caught.value, CallError)
    assert "raise tokens" in caught.value.hint


def test_a_step_is_a_model_call_of_a_pattern_not_of_a_retriever():
    inner, llm = model(name="lib.llm")

    class Rewriting:
        def search(self, query, k=10, where=None):
            list(llm.chat(ASK))
            return []

    retriever = proxied(Retriever, Rewriting(), "lib")
    with run_with(steps=2, model_calls=50).active() as run:
        for _ in range(5):
            retriever.search("q")
        with run.child("writer"):
            assert until_out(lambda: list(llm.chat(ASK))) == (2, "steps")
    assert len(inner.asked) == 7


def test_a_model_that_asks_others_counts_as_those(tmp_path):
    """llm.fallback: one call of the pattern, two of endpoints; its usage is charged once."""
    bad, down = model(error=CallError("down"), words=(), name="main.llm.of[0]")
    good, up = model(usage=Usage(10, 10), name="main.llm.of[1]")

    class Fallback:
        def chat(self, *request, **keywords):
            try:
                yield from down.chat(*request, **keywords)
            except CallError:
                yield from up.chat(*request, **keywords)

    llm = proxied(LLM, Fallback(), "main.llm")
    with run_with(model_calls=4, steps=9, tokens=10_000).active():
        assert until_out(lambda: list(llm.chat(ASK))) == (2, "model_calls")
    with run_with(steps=3).active():
        assert until_out(lambda: list(llm.chat(ASK))) == (3, "steps")
    budget = Budget(Params(tokens=10_000))
    with run_with(budget).active() as run:
        list(llm.chat(ASK))
        assert run.memory(budget, dict).used == {"tokens": 20}
    assert len(bad.asked) == len(good.asked) == 2 + 3 + 1


def test_tokens_are_those_that_the_model_states():
    inner, llm = model(usage=Usage(70, 30))
    with run_with(tokens=1050, max_output=100).active():
        assert until_out(lambda: list(llm.chat(ASK))) == (10, "tokens")
    assert inner.spent == 1000


def test_a_request_without_a_maximum_gets_the_one_that_was_reserved():
    inner, llm = model()
    with run_with(tokens=10_000, max_output=77).active():
        list(llm.chat(ASK))
        list(llm.chat(ASK, sampling=Sampling(max_tokens=5)))
    with run_with(model_calls=10).active():
        list(llm.chat(ASK))
    assert [sampling.max_tokens for sampling in inner.asked] == [77, 5, None]


def test_money_is_what_the_model_states_or_what_its_price_gives():
    _, stated = model(usage=Usage(10, 10, money=0.25))
    with run_with(money=1.0).active():
        assert until_out(lambda: list(stated.chat(ASK))) == (4, "money")
    budget = Budget(Params(money=1.0, prices={"main.*": Price(1000, 10_000)}, max_output=10))
    _, priced = model(usage=Usage(10, 10))
    with run_with(budget).active() as run:
        list(priced.chat(ASK))
        assert run.memory(budget, dict).used["money"] == pytest.approx(0.01 + 0.1)


def test_money_in_another_currency_is_an_error():
    _, llm = model(usage=Usage(1, 1, money=2.0, currency="CNY"))
    with run_with(money=1.0).active(), pytest.raises(CallError, match=r"the budget is in USD, main\.llm costs CNY"):
        list(llm.chat(ASK))


def test_a_cut_stream_is_charged_for_its_input_and_what_came():
    _, llm = model(words=("word " * 100, "b"))
    budget = Budget(Params(tokens=10_000))
    with run_with(budget).active() as run:
        stream = llm.chat(ASK)
        next(stream)
        stream.close()
        used = run.memory(budget, dict).used["tokens"]
    assert used == estimate.request({"messages": ASK})[0] + estimate_tokens("word " * 100)


def test_a_request_that_failed_before_its_reply_costs_nothing_but_a_call():
    _, llm = model(words=(), error=CallError("busy"))
    budget = Budget(Params(tokens=10_000, model_calls=2))
    with run_with(budget).active() as run:
        for _ in range(2):
            with pytest.raises(CallError, match="busy"):
                list(llm.chat(ASK))
        assert run.memory(budget, dict).used == {"tokens": 0, "model_calls": 2}


def test_time_ends_a_run_between_calls_and_inside_a_stream():
    class Slow:
        def chat(self, *request, **keywords):
            for _ in range(1000):
                time.sleep(0.01)
                yield Delta("x")

    llm = proxied(LLM, Slow(), "main.llm")
    with run_with(seconds=0.1).active():
        got = []
        with pytest.raises(Exhausted) as caught:
            got.extend(delta.text for delta in llm.chat(ASK))
        assert caught.value.what == "seconds"
        assert 1 <= len(got) < 1000
        with pytest.raises(Exhausted):
            TOUCH.call({})


def test_a_budget_belongs_to_one_run():
    budget = Budget(Params(model_calls=1))
    _, llm = model()
    for _ in range(3):
        with run_with(budget).active():
            assert until_out(lambda: list(llm.chat(ASK))) == (1, "model_calls")


# ---------------------------------------------------------------- threads


def crowd(run, work, threads=16):
    """`work` in branches, half of them in child runs; what each gave."""

    def branch(index):
        def go():
            if index % 2:
                with run.child(f"child{index}"):
                    return work(index)
            return work(index)

        return go

    return run.parallel([branch(index) for index in range(threads)], limit=threads)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.integers(1, 6))
def test_calls_and_steps_never_exceed_under_sixteen_threads(steps, calls, tools, each):
    inner, llm = model()
    touched = []
    lock = threading.Lock()

    class Touch:
        name, description, parameters, effect = "touch", "", {}, "read"

        def call(self, arguments):
            with lock:
                touched.append(1)
            return ToolResult("")

    tool = proxied(Tool, Touch(), "main.tools[0]")

    def work(index):
        done = 0
        for _ in range(each):
            for call in (lambda: list(llm.chat(ASK)), lambda: tool.call({})):
                try:
                    call()
                    done += 1
                except Exhausted:
                    pass
        return done

    with run_with(steps=steps, model_calls=calls, tool_calls=tools).active() as run:
        done = crowd(run, work)
    assert len(inner.asked) == min(16 * each, steps, calls)
    assert len(touched) == min(16 * each, tools)
    assert sum(done) == len(inner.asked) + len(touched)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(200, 20_000),
    st.integers(1, 60),
    st.lists(
        st.tuples(st.text("ab 你好,", max_size=200), st.floats(0, 1), st.integers(1, 400)), min_size=16, max_size=16
    ),
    st.booleans(),
)
def test_tokens_and_money_exceed_by_at_most_one_estimate_under_sixteen_threads(limit, dear, calls, in_money):
    """Requests whose real size is anything up to the bytes they have; replies of any length up to their maximum."""
    errors, spent, named, lock = [], [], set(), threading.Lock()

    class Real:
        def chat(self, messages, tools=(), schema=None, sampling=Sampling()):
            text, share, _ = calls[int(messages[0].name)]
            yield Delta("x")
            time.sleep(0.0005)
            read = int(share * len(text.encode()))
            usage = Usage(read, int(share * sampling.max_tokens))
            likely = estimate.request({"messages": messages})[0]
            with lock:
                errors.append(max(0, read - likely))
                spent.append(usage.input_tokens + usage.output_tokens)
            yield Delta(finish="stop", usage=usage)

    llm = proxied(LLM, Real(), "main.llm")
    # One token costs the same, in or out, so that money is tokens in another unit.
    limits = {"money": limit * dear / 1e6, "prices": {"*": Price(dear, dear)}} if in_money else {"tokens": limit}

    def work(index):
        text, _, most = calls[index]
        for _ in range(3):
            try:
                list(llm.chat([Message("user", text, name=str(index))], sampling=Sampling(max_tokens=most)))
            except Exhausted as error:
                named.add(error.what)

    with run_with(**limits).active() as run:
        crowd(run, work)
    assert sum(spent) <= limit + max(errors, default=0) + 1e-6
    assert named <= {"money" if in_money else "tokens"}


def test_many_estimates_that_are_too_low_at_once_do_not_add_up():
    """Each request takes 700 tokens where 208 are estimated; all sixteen estimates together would fit."""
    text = "a" * 700
    likely = estimate.request({"messages": [Message("user", text)]})[0]
    inner, llm = model(usage=Usage(700, 1), seconds=0.01)
    limit = 17 * (likely + 1)

    def work(index):
        with suppress(Exhausted):
            list(llm.chat([Message("user", text)], sampling=Sampling(max_tokens=1)))

    with run_with(tokens=limit).active() as run:
        crowd(run, work)
    assert limit - 700 <= inner.spent <= limit + 700 - likely


def test_branches_wait_for_refunds_instead_of_running_out():
    """Sixteen calls reserve 1,000 each and take 20: all fit, one after the other, into 2,000."""
    inner, llm = model(usage=Usage(10, 10), seconds=0.005)
    with run_with(tokens=2000, max_output=1000).active() as run:
        crowd(run, lambda index: list(llm.chat(ASK)))
    assert len(inner.asked) == 16


def test_a_stream_that_its_own_thread_has_still_to_read_is_not_waited_for():
    inner, llm = model(usage=Usage(10, 10))
    with run_with(tokens=1500, max_output=1000).active():
        first = llm.chat(ASK)
        next(first)
        with pytest.raises(Exhausted):
            list(llm.chat(ASK))
        list(first)
        list(llm.chat(ASK))
    assert len(inner.asked) == 2


def test_a_stream_left_unread_by_a_branch_that_waits_blocks_nobody():
    _, llm = model(usage=Usage(10, 10))

    def branch():
        first = llm.chat(ASK)
        next(first)
        time.sleep(0.05)
        with suppress(Exhausted):
            list(llm.chat(ASK))
        list(first)

    with run_with(tokens=2500, max_output=1000).active() as run:
        run.parallel([branch, branch])


def test_a_wait_ends_when_the_run_is_cancelled():
    _, llm = model(usage=Usage(10, 10), seconds=0.5)
    with run_with(tokens=1500, max_output=1000).active() as run:
        threading.Timer(0.1, run.cancel).start()
        with pytest.raises(Cancelled):
            run.parallel([lambda: list(llm.chat(ASK))] * 3)


# ---------------------------------------------------------------- resume and replay


def recorded(tmp_path, work, budget, replay=False, listener=None):
    journal = Journal(tmp_path / "run.jsonl")
    try:
        with run_with(budget, journal=journal, replay=replay).active() as run:
            found = work(run)
            return found, run.memory(budget, dict).used
    finally:
        journal.close()


def test_which_branch_came_too_late_is_the_same_on_replay(tmp_path):
    inner, llm = model(seconds=0.002)
    budget = Budget(Params(model_calls=7, tokens=100_000))

    def work(run):
        return crowd(run, lambda index: until_out(lambda: list(llm.chat(ASK)), 1)[0])

    first = recorded(tmp_path, work, budget)
    assert sum(first[0]) == 7
    for _ in range(3):
        assert recorded(tmp_path, work, budget, replay=True) == first
    assert len(inner.asked) == 7


def test_a_resumed_run_finds_its_account_again(tmp_path):
    """Also what was used inside a finished retriever, in branches there."""
    inner, llm = model(usage=Usage(30, 10))

    class Searching:
        def search(self, query, k=10, where=None):
            run = active_run()
            run.parallel([lambda: list(llm.chat(ASK))] * 3)
            return []

    retriever = proxied(Retriever, Searching(), "lib")
    budget = Budget(Params(model_calls=5, tokens=100_000, seconds=60))

    def half(run):
        retriever.search("q")
        list(llm.chat(ASK))

    def whole(run):
        half(run)
        return until_out(lambda: list(llm.chat(ASK)))

    _, used = recorded(tmp_path, half, budget)
    assert (used["model_calls"], used["tokens"]) == (4, 160)
    found, used = recorded(tmp_path, whole, budget)
    assert found == (1, "model_calls")
    assert (used["model_calls"], used["tokens"]) == (5, 200)
    assert len(inner.asked) == 5


def test_a_stream_that_time_cut_is_cut_at_the_same_place_on_replay(tmp_path):
    class Slow:
        def chat(self, *request, **keywords):
            for number in range(1000):
                time.sleep(0.01)
                yield Delta(str(number))

    llm = proxied(LLM, Slow(), "main.llm")
    budget = Budget(Params(seconds=0.08))

    def work(run):
        got = []
        try:
            for delta in llm.chat(ASK):
                got.append(delta.text)
        except Exhausted as error:
            got.append(error.what)
        return got

    first, _ = recorded(tmp_path, work, budget)
    assert first[-1] == "seconds"
    again, _ = recorded(tmp_path, work, budget, replay=True)
    assert again == first


def test_time_between_a_crash_and_a_resume_does_not_count(tmp_path):
    _, llm = model()
    budget = Budget(Params(seconds=0.5))
    recorded(tmp_path, lambda run: list(llm.chat(ASK)), budget)
    time.sleep(0.6)
    recorded(tmp_path, lambda run: [list(llm.chat(ASK)), list(llm.chat(ASK))], budget)


# ---------------------------------------------------------------- estimates, assembly


@given(st.text(max_size=300), st.text(max_size=50))
def test_an_estimate_never_exceeds_the_worst_case(text, name):
    likely, most = estimate.request({"messages": [Message("user", text), Message("assistant", name)]})
    assert 0 < likely <= most
    assert most >= len((text + name).encode("utf-8", "surrogatepass"))


def test_chinese_counts_by_character_and_english_by_its_words():
    assert estimate_tokens("斗拱是中国建筑的构件") == 10
    assert estimate_tokens("A bracket set carries the roof of a hall.") == 12


def test_a_pattern_answers_with_what_there_is():
    """How patterns meet it: the answer is marked as stopped, names what ran out, and carries what was found."""

    @attrs.frozen
    class Writing:
        llm: object

        def run(self, task, run):
            text, status, reason = "", "answered", ""
            try:
                for _ in range(5):
                    for delta in self.llm.chat(ASK):
                        text += delta.text
            except Exhausted as out:
                status, reason = "stopped", out.message
            return dougong.Answer(text, status=status, reason=reason)

    _, llm = model()
    with run_with(steps=2).active() as run:
        answer = Writing(llm).run("write", run)
    assert (answer.text, answer.status) == ("abab", "stopped")
    assert "steps" in answer.reason


def test_it_is_assembled_by_name():
    assert dougong.make("middleware.budget", tokens=100, prices={"*": {"input": 1, "output": 2}})
    with pytest.raises(dougong.ConfigError, match="must be set, or another limit"):
        dougong.make("middleware.budget", currency="CNY")
