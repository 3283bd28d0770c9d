"""What is tried again, when, and what is never said or done twice."""

from __future__ import annotations

import threading

import dougong
import pytest
from dougong import CallError, Cancelled, Delta, Diverged, Exhausted, Message, Run, ToolResult, Usage
from dougong.journal import Journal
from dougong.kinds import LLM, Tool
from dougong.proxies import proxied
from dougong_middleware_retry import Params
from dougong_middleware_retry.retry import Retry
from hypothesis import given, settings
from hypothesis import strategies as st

ASK = [Message("user", "hello")]


class Failure(CallError):
    def __init__(self, kind="", status=0, retry_after=None):
        super().__init__(f"it is a {kind or status}")
        self.kind, self.status, self.retry_after = kind, status, retry_after


class Model:
    """Each call raises the next error, after so many words, or answers."""

    def __init__(self, *errors, words=0):
        self.errors, self.words, self.asked = list(errors), words, 0

    def chat(self, *request, **keywords):
        self.asked += 1
        for _ in range(self.words):
            yield Delta("word ")
        if self.errors:
            raise self.errors.pop(0)
        yield Delta("ok", finish="stop", usage=Usage(1, 1))


def ask(*errors, words=0, events=None, **params):
    """The reply of a model that fails so, and how often it was asked."""
    inner = Model(*errors, words=words)
    llm = proxied(LLM, inner, "main.llm")
    with Run([Retry(Params(**{"base": 0.0, **params}))], events.append if events is not None else None).active():
        return "".join(delta.text for delta in llm.chat(ASK)), inner.asked


@pytest.mark.parametrize("kind", ["timeout", "rate-limit", "server", "network", "cut-stream"])
def test_a_failure_of_a_named_kind_is_tried_again(kind):
    assert ask(Failure(kind), Failure(kind)) == ("ok", 3)


@pytest.mark.parametrize(
    ("on", "error"),
    [("503", Failure(status=503)), ("Failure", Failure()), ("CallError", Failure()), ("OSError", TimeoutError("late"))],
)
def test_failures_are_named_by_kind_status_or_class(on, error):
    assert ask(error, on=[on]) == ("ok", 2)
    with pytest.raises(type(error)):
        ask(error, on=["something-else"])


def test_the_last_failure_is_raised_with_a_note():
    with pytest.raises(Failure, match="server") as caught:
        ask(Failure("timeout"), Failure("server"), attempts=2)
    assert caught.value.__notes__ == ["attempt 2 of 2"]


@given(st.lists(st.sampled_from(["timeout", "auth"]), max_size=6), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_it_is_asked_no_more_than_it_may_be(kinds, attempts):
    """Until it answers, a failure is none of those named, or the attempts are used up."""
    inner = Model(*map(Failure, kinds))
    llm = proxied(LLM, inner, "main.llm")
    bad = [number for number, kind in enumerate(kinds, 1) if kind == "auth"]
    with Run([Retry(Params(attempts=attempts, base=0.0))]).active():
        try:
            list(llm.chat(ASK))
            answered = True
        except Failure:
            answered = False
    expected = min([len(kinds) + 1, attempts, *bad])
    assert inner.asked == expected
    assert answered == (expected == len(kinds) + 1)


def test_a_reply_that_has_begun_is_not_said_again():
    inner = Model(Failure("cut-stream"), words=2)
    llm = proxied(LLM, inner, "main.llm")
    got = []
    with Run([Retry(Params(base=0.0))]).active(), pytest.raises(Failure):
        got.extend(delta.text for delta in llm.chat(ASK))
    assert (got, inner.asked) == (["word ", "word "], 1)


@pytest.mark.parametrize("error", [Cancelled("stop"), Diverged("other"), Exhausted("no more", what="tokens")])
def test_what_ends_a_run_is_never_tried_again(error):
    with pytest.raises(type(error)):
        ask(error, on=["CallError", "DougongError", "Exception"])


def test_a_write_is_tried_again_only_where_the_params_say_so():
    calls = []

    class Post:
        name, description, parameters, effect = "post", "", {}, "write"

        def call(self, arguments):
            calls.append(1)
            if len(calls) < 3:
                raise Failure("timeout")
            return ToolResult("posted")

    tool = proxied(Tool, Post(), "main.tools[0]")
    with Run([Retry(Params(base=0.0))]).active(), pytest.raises(Failure):
        tool.call({})
    assert len(calls) == 1
    with Run([Retry(Params(base=0.0, writes=True))]).active():
        assert tool.call({}).text == "posted"


def test_it_applies_to_the_names_it_is_given():
    with pytest.raises(Failure):
        ask(Failure("timeout"), names=["other.*"])
    assert ask(Failure("timeout"), names=["main.*"]) == ("ok", 2)


def waits(*errors, **params):
    """Seconds that it decided to wait, without waiting."""
    events = []
    run = Run([Retry(Params(**params))], events.append)
    run.sleep = lambda seconds: None
    llm = proxied(LLM, Model(*errors), "main.llm")
    with run.active():
        list(llm.chat(ASK))
    return [event.data["seconds"] for event in events if event.kind == "retry"]


def test_waits_are_full_jitter_of_a_growing_bound():
    """Uniform in [0, min(longest, base * 2 ** n]]: all within, and over many runs both halves are met."""
    found = [waits(*[Failure("timeout")] * 5, attempts=6, base=1.0, longest=6.0) for _ in range(60)]
    for number, bound in enumerate([1, 2, 4, 6, 6]):
        of = [wait[number] for wait in found]
        assert all(0 <= wait <= bound for wait in of)
        assert min(of) < bound / 2 < max(of)


def test_a_server_that_asks_for_time_gets_it():
    for _ in range(20):
        (wait,) = waits(Failure("rate-limit", 429, retry_after=7.5), base=1.0)
        assert 7.5 <= wait <= 8.5


def test_a_server_that_asks_for_too_much_is_not_asked_again():
    with pytest.raises(Failure):
        ask(Failure("rate-limit", retry_after=61.0))
    assert waits(Failure("rate-limit", retry_after=60.0)) == [60.0]


def test_a_wait_ends_when_the_run_is_cancelled():
    llm = proxied(LLM, Model(Failure("rate-limit", retry_after=3000.0)), "main.llm")
    run = Run([Retry(Params(longest=3000.0))])
    threading.Timer(0.1, run.cancel).start()
    with run.active(), pytest.raises(Cancelled):
        list(llm.chat(ASK))


def test_a_replay_makes_the_same_attempts_without_waiting(tmp_path):
    inner = Model(Failure("rate-limit", retry_after=0.3), Failure("timeout"))
    llm = proxied(LLM, inner, "main.llm")

    def go(replay):
        journal = Journal(tmp_path / "run.jsonl")
        slept, run = [], Run([Retry(Params(base=0.001))], journal=journal, replay=replay)
        plain = run.sleep
        run.sleep = lambda seconds: (slept.append(seconds), plain(seconds))
        try:
            with run.active():
                return "".join(delta.text for delta in llm.chat(ASK)), len(slept)
        finally:
            journal.close()

    assert go(False) == ("ok", 2)
    assert go(True) == ("ok", 0)
    assert go(False) == ("ok", 0)  # resumed: finished already
    assert inner.asked == 3


def test_it_is_assembled_by_name():
    assert dougong.make("middleware.retry", attempts=2)
    with pytest.raises(dougong.ConfigError, match="must be at least base"):
        dougong.make("middleware.retry", base=100)
