"""A run sees every call, wherever it is made."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from dougong import Cancelled, Event
from dougong.run import Run, active_run, report

Make = Callable[..., Any]

SPIKE = """
main:
  use: pattern.ask
  llm: {use: echo, reply: ok}
  retriever: {ref: lib}
  tools: [{use: adder}]
lib:
  use: retriever.rewrite
  llm: {use: echo, reply: a+b}
  tool: {use: adder}
  of: {use: joined, of: [{use: flat, texts: [a3b]}, {use: flat, texts: [xa3b, no]}]}
"""


def calls(run: Run) -> list[tuple[str, str, str]]:
    return sorted((r.call.path, r.call.kind, r.call.name) for r in run.records)


def test_calls_made_inside_a_retriever_are_recorded_with_their_paths(assembly: Make) -> None:
    """A pattern searches; the retriever asks a model, in mid-stream calls a tool, and then searches others."""
    built = assembly(SPIKE)
    with built.start() as run:
        answer = built["main"].run("q", run)
    assert answer.text == "ok (2)"
    assert calls(run) == [
        ("0", "retriever", "lib"),
        ("0.0", "llm", "lib.llm"),
        ("0.1", "tool", "lib.tool"),
        ("0.2", "retriever", "lib.of"),
        ("0.2.0", "retriever", "lib.of.of[0]"),
        ("0.2.1", "retriever", "lib.of.of[1]"),
        ("1", "tool", "main.tools[0]"),
        ("2", "llm", "main.llm"),
    ]
    by_path = {record.call.path: record for record in run.records}
    assert by_path["0.2"].call.arguments["query"] == "a3b"
    assert by_path["0.1"].items[0].value.text == "3"
    assert "".join(item.text for item in by_path["0.0"].items) == "a+b"
    assert all(record.error is None for record in run.records)
    assert built.run("q").usage == run.usage
    assert (run.usage.model_calls, run.usage.tool_calls, run.usage.output_tokens) == (2, 2, 5)


def test_every_run_of_one_assembly_has_the_same_paths(assembly: Make) -> None:
    built = assembly(SPIKE)
    seen: list[Any] = []

    def go() -> None:
        with built.start() as run:
            built["main"].run("q", run)
        seen.append(calls(run))

    threads = [threading.Thread(target=go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert all(one == seen[0] for one in seen)


def test_middleware_stands_around_every_call_first_outermost(assembly: Make) -> None:
    built = assembly(
        "main: {use: pattern.ask, llm: {use: echo, reply: x}}\nmiddleware: [{use: mark, mark: a}, {use: mark, mark: b}]"
    )
    assert built.run("t").text == "<a<bxb>a> (0)"


def test_middleware_may_be_shared_by_ref(assembly: Make) -> None:
    built = assembly("main: {use: pattern.ask, llm: {use: echo, reply: x}}\nm: {use: middleware.mark, mark: a}\n"
                     "middleware: [{ref: m}]")  # fmt: skip
    assert built.run("t").text == "<axa> (0)"


def test_outside_a_run_calls_go_straight_through(assembly: Make) -> None:
    built = assembly(SPIKE)
    assert [hit.chunk.text for hit in built["lib"].search("q")] == ["a3b", "xa3b"]
    assert active_run() is None


def test_a_stream_leaks_no_context_to_its_consumer(assembly: Make) -> None:
    """Between two deltas the consumer's calls are its own, not the model's."""
    built = assembly(SPIKE)
    with built.start() as run:
        stream = built["main"].params.llm.chat([])
        next(stream)
        built["lib"].params.tool.call({"a": 1, "b": 1})
        list(stream)
        assert active_run() is run
    assert active_run() is None
    assert calls(run) == [("0", "llm", "main.llm"), ("1", "tool", "lib.tool")]


def test_two_streams_may_be_read_in_turns(assembly: Make) -> None:
    built = assembly(SPIKE)
    with built.start() as run:
        one, two = built["main"].params.llm.chat([]), built["lib"].params.llm.chat([])
        assert [d.text for pair in zip(one, two, strict=False) for d in pair][:4] == ["o", "a", "k", "+"]
        list(two), list(one)
        built["lib"].params.tool.call({"a": 1, "b": 1})
    assert [path for path, _, _ in calls(run)] == ["0", "1", "2"]


def test_a_stream_may_end_after_its_run(assembly: Make) -> None:
    built = assembly(SPIKE)
    with built.start() as run:
        stream = built["main"].params.llm.chat([])
        next(stream)
    assert active_run() is None
    list(stream)
    assert active_run() is None
    assert len(run.records) == 1


def test_a_stream_that_is_closed_is_recorded_with_what_came(assembly: Make) -> None:
    built = assembly(SPIKE)
    with built.start() as run:
        stream = built["main"].params.llm.chat([])
        next(stream)
        stream.close()
    assert [item.text for item in run.records[0].items] == ["o"]


def test_an_error_passes_and_is_recorded(assembly: Make) -> None:
    built = assembly(SPIKE)
    with built.start() as run, pytest.raises(ValueError, match="no a"):
        built["lib"].params.tool.call({})
    assert isinstance(run.records[0].error, ValueError)
    assert active_run() is None


def test_cancelling_ends_a_stream_between_two_deltas(assembly: Make) -> None:
    built = assembly(SPIKE)
    with built.start() as run:
        stream = built["main"].params.llm.chat([])
        next(stream)
        run.cancel()
        with pytest.raises(Cancelled):
            next(stream)
        with pytest.raises(Cancelled):
            built["lib"].search("q")
        with pytest.raises(Cancelled):
            report("work", 1)
    assert isinstance(run.records[0].error, Cancelled)


def test_a_listener_hears_calls_deltas_and_progress_with_paths(assembly: Make) -> None:
    built = assembly(SPIKE)
    events: list[Event] = []
    with built.start(listener=events.append) as run:
        report("reading", 1, 2, "a.md")
        built["lib"].search("q")
        run.say("done")
    kinds = [event.kind for event in events]
    assert kinds[0] == "progress"
    assert kinds[-1] == "say"
    assert kinds.count("call") == kinds.count("result") == 6
    assert kinds.count("delta") == 4
    assert events[0].data == {"stage": "reading", "done": 1, "total": 2, "detail": "a.md"}


def test_a_thread_of_its_own_has_no_run(assembly: Make) -> None:
    built = assembly(SPIKE)
    seen: list[Any] = []
    with built.start():
        thread = threading.Thread(target=lambda: seen.append(active_run()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_a_proxy_shows_what_it_stands_for(assembly: Make) -> None:
    built = assembly(SPIKE)
    tool = built["lib"].params.tool
    assert (tool.name, tool.effect, tool.parameters) == ("adder", "read", {"type": "object"})
    with pytest.raises(AttributeError):
        tool.nothing  # noqa: B018


def test_a_model_made_of_models_is_counted_once(assembly: Make) -> None:
    from dougong import Delta, Usage
    from dougong.kinds import LLM
    from dougong.proxies import proxied

    class One:
        def chat(self, messages: Any, tools: Any = (), schema: Any = None, sampling: Any = None) -> Any:
            yield Delta("a", finish="stop", usage=Usage(input_tokens=10, output_tokens=2))

    class Wrapper(One):
        of = proxied(LLM, One(), "inner")

        def chat(self, messages: Any, tools: Any = (), schema: Any = None, sampling: Any = None) -> Any:
            yield from self.of.chat(messages)

    run = Run()
    with run.active():
        list(proxied(LLM, Wrapper(), "outer").chat([]))
    assert (run.usage.model_calls, run.usage.input_tokens, run.usage.output_tokens) == (1, 10, 2)
