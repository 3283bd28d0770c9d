"""`Assembly.stream`, `arun` and `astream`: a run's events on another thread, and its end when nobody reads them."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest
from dougong import Answer, Assembly, CallError, ConfigError, Delta, Event, Run, Usage
from dougong.journal import Journal, read
from dougong.kinds import LLM
from dougong.proxies import proxied
from dougong.stream import ROOM, Stream

WAIT = 10
"""Seconds after which a test gives up waiting; nothing here takes more than a moment."""


class Endless:
    """Says words until it is closed, and notes that it was."""

    def __init__(self, pause: float = 0.0, stop: int = 10**9) -> None:
        self.pause, self.stop, self.said, self.closed = pause, stop, 0, threading.Event()

    def chat(self, messages: Any, tools: Any = (), schema: Any = None, sampling: Any = None) -> Iterator[Delta]:
        try:
            while self.said < self.stop:
                self.said += 1
                yield Delta("word ")
                time.sleep(self.pause)
            yield Delta(finish="stop", usage=Usage(1, self.said))
        finally:
            self.closed.set()


class Speak:
    """A pattern that asks its model twice."""

    def __init__(self, llm: Any) -> None:
        self.llm = proxied(LLM, llm, "main.llm")

    def run(self, task: str, run: Run) -> Answer:
        said = [delta.text for _ in range(2) for delta in self.llm.chat([])]
        return Answer("".join(said))


class Fail:
    def run(self, task: str, run: Run) -> Answer:
        raise CallError("no luck", hint="try again")


def stream(pattern: Any, **options: Any) -> Stream:
    from contextlib import contextmanager

    @contextmanager
    def start(listener: Callable[[Event], None]) -> Iterator[Run]:
        with Run(listener=listener, **options).active() as run:
            yield run

    return Stream(pattern, "speak", start)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "dougong-run"]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    for thread in threads():
        thread.join(WAIT)
    assert not threads()


def test_events_come_in_order_and_the_answer_last() -> None:
    events = list(stream(Speak(Endless(stop=3))))
    kinds = [event.kind for event in events]
    assert kinds == ["call", *(["delta"] * 4), "result", "call", "delta", "result", "finished"]
    assert events[-1].data["answer"].text == "word word word "
    assert events[-1].data["answer"].usage.output_tokens == 6


def test_a_closed_stream_cancels_its_run_and_closes_the_model() -> None:
    model = Endless()
    with closing(stream(Speak(model))) as events:
        assert next(events).kind == "call"
    assert model.closed.wait(WAIT)
    assert list(events) == []


def test_a_stream_that_nobody_holds_any_more_is_closed() -> None:
    model = Endless()
    next(stream(Speak(model)))
    gc.collect()
    assert model.closed.wait(WAIT)


def test_a_run_waits_for_a_slow_reader() -> None:
    model = Endless()
    with closing(stream(Speak(model))) as events:
        next(events)
        time.sleep(0.2)
        assert model.said <= ROOM + 2


def test_a_failed_run_is_an_event_and_then_its_error() -> None:
    events = stream(Fail())
    assert next(events).kind == "failed"
    with pytest.raises(CallError, match="no luck"):
        next(events)
    with pytest.raises(StopIteration):
        next(events)


def test_what_stopped_in_the_middle_of_a_stream_can_be_resumed(tmp_path: Path) -> None:
    """Every event is in the journal, which says how the run ended; resumed, the finished call is not made again."""
    path = tmp_path / "run.jsonl"
    first = Endless(stop=5)
    second = Endless(pause=0.001)

    class Both:
        def run(self, task: str, run: Run) -> Answer:
            models = [proxied(LLM, first, "one"), proxied(LLM, second, "two")]
            return Answer("".join(delta.text for model in models for delta in model.chat([])))

    journal = Journal(path)
    with closing(stream(Both(), journal=journal)) as events:
        for event in events:
            if event.kind == "delta" and event.data["call"].name == "two":
                break
    journal.close()
    lines = list(read(path))
    assert [(line["at"], "cut" in line) for line in lines if line.get("e") == "result"] == [("0", False), ("1", True)]
    assert lines[-1]["e"] == "failed"
    assert lines[-1]["error"]["type"] == "Cancelled"

    second.stop, second.said = 2, 0
    journal = Journal(path)
    answer = list(stream(Both(), journal=journal))[-1].data["answer"]
    journal.close()
    assert answer.text == "word " * 7
    assert first.said == 5


@pytest.fixture
def counting(assembly: Callable[..., Assembly]) -> Assembly:
    return assembly("main: {use: pattern.ask, llm: {use: echo, reply: one two three}}")


def test_arun_gives_the_answer(counting: Assembly) -> None:
    assert asyncio.run(counting.arun("count")).text == "one two three (0)"


def test_astream_gives_the_same_events(counting: Assembly) -> None:
    async def kinds() -> list[str]:
        return [event.kind async for event in counting.astream("count")]

    assert asyncio.run(kinds()) == [event.kind for event in counting.stream("count")]


def test_a_hundred_runs_wait_side_by_side(counting: Assembly) -> None:
    async def all_of_them() -> list[Answer]:
        return await asyncio.gather(*(counting.arun("count") for _ in range(100)))

    assert {answer.text for answer in asyncio.run(all_of_them())} == {"one two three (0)"}


@pytest.mark.parametrize("how", ["cancel", "close"])
def test_an_event_loop_that_turns_away_cancels_the_run(how: str) -> None:
    from dougong.stream import awaited

    model = Endless(pause=0.001)

    async def read_some() -> None:
        async with aclosing(awaited(stream(Speak(model)))) as events:
            async for _ in events:
                if how == "close":
                    break

    async def turn_away() -> None:
        task = asyncio.create_task(read_some())
        await asyncio.sleep(0.05)
        if how == "cancel":
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            await task

    asyncio.run(turn_away())
    assert model.closed.wait(WAIT)


def test_the_error_of_a_run_reaches_who_awaits_it() -> None:
    from dougong.stream import last

    with pytest.raises(CallError, match="no luck"):
        asyncio.run(last(stream(Fail())))


def test_what_cannot_run_says_so_before_a_thread_is_started(assembly: Callable[..., Assembly]) -> None:
    with pytest.raises(ConfigError, match="nothing to run"):
        assembly("main: {use: llm.echo}").stream("x")
