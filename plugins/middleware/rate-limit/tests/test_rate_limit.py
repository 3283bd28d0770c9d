"""No window holds more than it may; nobody is passed over; replays do not wait."""

from __future__ import annotations

import threading
import time

import dougong
import pytest
from dougong import Cancelled, Delta, Message, Run, Sampling, Usage
from dougong.journal import Journal
from dougong.kinds import LLM
from dougong.proxies import proxied
from dougong_middleware_rate_limit import Params, Rule
from dougong_middleware_rate_limit.rate_limit import RateLimit
from dougong_middleware_rate_limit.window import Window
from hypothesis import given, settings
from hypothesis import strategies as st

ASK = [Message("user", "hello")]
NONE = Sampling(max_tokens=1)


class Model:
    def __init__(self, usage=None):
        self.usage, self.times, self.lock = usage or Usage(1, 1), [], threading.Lock()

    def chat(self, *request, **keywords):
        with self.lock:
            self.times.append(time.monotonic())
        yield Delta("x")
        yield Delta(finish="stop", usage=self.usage)


def limiter(**rule):
    return RateLimit(Params([Rule(**rule)]))


def most_in(times, seconds):
    """The most events in any stretch of `seconds`, by counting from each of them on."""
    return max(sum(start <= at < start + seconds for at in times) for start in times)


# ---------------------------------------------------------------- the window, in a time of its own

arrivals = st.lists(st.tuples(st.integers(0, 16), st.integers(0, 60)), min_size=1, max_size=40)


@given(st.integers(1, 6) | st.none(), st.integers(10, 120) | st.none(), arrivals)
@settings(max_examples=300, deadline=None)
def test_no_stretch_of_the_window_holds_more_than_it_may(calls, tokens, asked):
    """Whoever asks waits as told, then takes. Only what no window could hold stands alone in its own."""
    window, now, taken = Window(calls, tokens, 10.0), 0.0, []
    for gap, estimate in asked:
        now += gap / 8  # eighths of a second: sums of them are exact
        wait = window.wait_for(estimate, now)
        assert wait >= 0
        if wait:
            # It is the shortest wait: just before its end, it still does not fit.
            assert window.wait_for(estimate, now + wait * 0.999) > 0
        now += wait
        assert window.wait_for(estimate, now) == 0
        window.take(estimate, now)
        taken.append((now, estimate))
    for start, _ in taken:
        inside = [amount for at, amount in taken if start <= at < start + 10.0]
        if calls is not None:
            assert len(inside) <= calls
        if tokens is not None:
            assert sum(inside) <= tokens or len([amount for amount in inside if amount]) == 1


def test_a_call_turned_out_smaller_makes_room_at_once():
    window = Window(None, 100, 10.0)
    entry = window.take(90, 0.0)
    assert window.wait_for(50, 1.0) == 9.0
    window.correct(entry, 20)
    assert window.wait_for(50, 1.0) == 0.0


def test_turns_are_taken_in_the_order_of_asking():
    """A small request does not overtake a large one that waits."""
    window, order = Window(None, 100, 0.3), []
    window.take(80, time.monotonic())
    threads = []
    for name, tokens in (("large", 90), ("small", 5), ("next", 5)):
        thread = threading.Thread(target=lambda n=name, t=tokens: (window.acquire(t, lambda: None), order.append(n)))
        thread.start()
        threads.append(thread)
        time.sleep(0.03)
    for thread in threads:
        thread.join()
    assert order == ["large", "small", "next"]


# ---------------------------------------------------------------- in runs


def test_threads_of_several_runs_share_one_window():
    """Two assemblies' middleware with the same rule, four runs, eight branches each."""
    inner = Model()
    llm = proxied(LLM, inner, "main.llm")
    limiters = [limiter(calls=12, seconds=0.37) for _ in range(2)]
    window, times = limiters[0]._windows[0][1], []
    assert limiters[1]._windows[0][1] is window
    plain = window.take
    window.take = lambda tokens, now: (times.append(now), plain(tokens, now))[1]

    def go(index):
        run = Run([limiters[index % 2]])
        with run.active():
            run.parallel([lambda: list(llm.chat(ASK, sampling=NONE))] * 8)

    threads = [threading.Thread(target=go, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(inner.times) == len(times) == 32
    assert most_in(times, 0.37 - 1e-6) <= 12


def test_tokens_are_put_right_by_what_a_reply_took():
    inner = Model(Usage(5, 5))
    llm = proxied(LLM, inner, "main.llm")
    with Run([limiter(tokens=1100, seconds=30.0)]).active():
        for _ in range(5):
            list(llm.chat(ASK, sampling=Sampling(max_tokens=1000)))
    assert len(inner.times) == 5


def test_the_first_rule_that_fits_a_name_limits_it():
    inner = Model()
    rules = RateLimit(
        Params([Rule(name="main.judge", calls=1, seconds=31.0), Rule(name="main.*", calls=3, seconds=31.0)])
    )
    with Run([rules]).active() as run:
        list(proxied(LLM, inner, "main.judge").chat(ASK, sampling=NONE))
        for _ in range(3):
            list(proxied(LLM, inner, "main.llm").chat(ASK, sampling=NONE))
        for _ in range(9):
            list(proxied(LLM, inner, "other").chat(ASK, sampling=NONE))
        threading.Timer(0.2, run.cancel).start()
        with pytest.raises(Cancelled):
            list(proxied(LLM, inner, "main.judge").chat(ASK, sampling=NONE))
    assert len(inner.times) == 13


def test_who_gave_up_waiting_is_in_nobody_s_way():
    window = Window(1, None, 0.2)
    window.take(0, time.monotonic())
    stop = iter([None, None])

    def check():
        if next(stop, 1):
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        window.acquire(0, check)
    entry, _ = window.acquire(0, lambda: None)
    assert entry.at


def test_neither_a_replay_nor_a_resumed_run_waits(tmp_path):
    inner = Model()
    llm = proxied(LLM, inner, "main.llm")
    limit = limiter(calls=2, seconds=0.211)

    def go(replay):
        journal = Journal(tmp_path / "run.jsonl")
        waits = []
        run = Run([limit], journal=journal, replay=replay)
        plain = limit._windows[0][1].acquire
        limit._windows[0][1].acquire = lambda *arguments: (waits.append(1), plain(*arguments))[1]
        try:
            with run.active():
                for _ in range(5):
                    list(llm.chat(ASK, sampling=NONE))
        finally:
            limit._windows[0][1].acquire = plain
            journal.close()
        return len(waits)

    assert [go(False), go(True), go(False)] == [5, 0, 0]
    assert len(inner.times) == 5


def test_it_is_assembled_by_name():
    assert dougong.make("middleware.rate-limit", rules=[{"calls": 60, "tokens": 1000}])
    with pytest.raises(dougong.ConfigError, match="must be set, or calls"):
        dougong.make("middleware.rate-limit", rules=[{"name": "*"}])
