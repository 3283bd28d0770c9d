"""Middleware on a resumed run: values it takes, attempts it makes and calls inside finished calls keep their places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dougong import Call, CallError, Delta, Exhausted, Run
from dougong.journal import Journal
from dougong.kinds import LLM, Tool
from dougong.proxies import proxied
from dougong.run import active_run
from dougong.tools import tool
from dougong.types import Result, ToolResult, Usage

Items = Iterator[Delta | Result]


class Model:
    """Fails as often as it is told, then answers."""

    def __init__(self, *failures: Exception) -> None:
        self.failures, self.asked = list(failures), 0

    def chat(self, *arguments: Any, **keywords: Any) -> Iterator[Delta]:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        yield Delta("ok", finish="stop", usage=Usage(1, 1))


class Counting:
    """Takes a value before and after each call, and tries a failed one once more."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def around(self, call: Call, proceed: Callable[[Call], Items]) -> Items:
        run = active_run()
        assert run is not None
        run.outside("before", lambda: 1)
        self.seen.append(call.path)
        try:
            yield from proceed(call)
        except CallError:
            run.outside("again", lambda: 2)
            yield from proceed(call)
        run.outside("after", lambda: 3)


class Asking:
    """Middleware with a model of its own."""

    def __init__(self, llm: Any) -> None:
        self.llm = llm

    def around(self, call: Call, proceed: Callable[[Call], Items]) -> Items:
        if call.name != "judge":
            list(self.llm.chat([]))
        yield from proceed(call)


def twice(tmp_path: Path, middleware: Callable[[], Any], work: Callable[[Run], Any]) -> list[Any]:
    """`work` in a run, and again from its journal without anything being called."""
    found = []
    for replay in (False, True):
        journal = Journal(tmp_path / "run.jsonl")
        run = Run([middleware()], journal=journal, replay=replay)
        try:
            with run.active():
                found.append(work(run))
        finally:
            journal.close()
    return found


def outer(llm: Any, branches: int = 1, fail_first: bool = False) -> Any:
    """A tool that asks a model, in branches of a run."""
    state = {"calls": 0}

    @tool
    def ask() -> str:
        state["calls"] += 1
        run = active_run()
        assert run is not None
        run.parallel([lambda: list(llm.chat([]))] * branches) if branches > 1 else list(llm.chat([]))
        return "done"

    class Failing:
        name, description, parameters, effect = "ask", "", ask.parameters, "read"

        def call(self, arguments: Any) -> ToolResult:
            result = ask.call(arguments)
            if fail_first and state["calls"] == 1:
                raise CallError("the first attempt fails")
            return result

    return proxied(Tool, Failing(), "tool")


def test_values_that_middleware_takes_after_a_call_are_found_again(tmp_path: Path) -> None:
    llm = proxied(LLM, Model(), "llm")
    one, two = twice(tmp_path, Counting, lambda run: outer(llm).call({}).text)
    assert one == two == "done"


def test_calls_inside_a_failed_attempt_belong_to_that_attempt(tmp_path: Path) -> None:
    model = Model()
    under_test = outer(proxied(LLM, model, "llm"), fail_first=True)
    seen: list[list[str]] = []

    def work(run: Run) -> str:
        text = str(under_test.call({}).text)
        seen.append(sorted(f"{record.call.path}" for record in run.records))
        return text

    assert twice(tmp_path, Counting, work) == ["done", "done"]
    assert model.asked == 2
    assert seen == [["0", "0.0", "0~1.0"]] * 2


def test_calls_in_branches_inside_a_finished_call_pass_through_middleware_again(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def work(run: Run) -> None:
        outer(proxied(LLM, Model(), "llm"), branches=3).call({})
        seen.append(sorted(record.call.path for record in run.records))

    twice(tmp_path, Counting, work)
    assert seen == [["0", "0.0[0].0", "0.0[1].0", "0.0[2].0"]] * 2


def test_calls_of_middleware_are_its_own(tmp_path: Path) -> None:
    """They are made again by the middleware when a finished call passes through it, not a second time besides."""
    judge, model = Model(), Model()
    seen: list[int] = []

    def work(run: Run) -> None:
        outer(proxied(LLM, model, "llm")).call({})
        seen.append(len(run.records))

    twice(tmp_path, lambda: Asking(proxied(LLM, judge, "judge")), work)
    assert seen == [4, 4]
    assert (judge.asked, model.asked) == (2, 1)


def test_an_error_that_is_read_back_still_says_of_which_kind_it_is(tmp_path: Path) -> None:
    class EndpointError(CallError):
        kind, status, retry_after = "rate-limit", 429, 2.5

    model = Model(EndpointError("slow down"), Exhausted("no tokens are left", what="tokens"))
    llm = proxied(LLM, model, "llm")

    def work(run: Run) -> list[Any]:
        found = []
        for _ in range(2):
            with pytest.raises(CallError) as caught:
                list(llm.chat([]))
            error: Any = caught.value
            names = ("kind", "status", "retry_after", "what")
            found.append([isinstance(error, Exhausted), *(getattr(error, name, None) for name in names)])
        return found

    one, two = twice(tmp_path, Passing, work)
    assert one == two == [[False, "rate-limit", 429, 2.5, None], [True, None, None, None, "tokens"]]
    assert model.asked == 2


class Passing:
    def around(self, call: Call, proceed: Callable[[Call], Items]) -> Items:
        yield from proceed(call)
