"""What a step costs: an instant model that calls a tool 50 times, against smolagents, LangGraph and pydantic-ai.

Every contender does the same work in the same process, taking turns: 50 turns of one call of the same function, then
the answer. The peers are best installed apart (``pip install smolagents langgraph langgraph-checkpoint-sqlite
pydantic-ai-slim opentelemetry-sdk openinference-instrumentation-smolagents``); one that is not importable is skipped.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from _bench import row, side_by_side, skipped
from dougong import Delta, Run, ToolCall, Usage, make, tool
from dougong.journal import Journal

STEPS = 50
ROUNDS = 9
Contender = Callable[[], Any]


def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: the first number.
        b: the second number.
    """
    return a + b


# ---------------------------------------------------------------- ours


class Instant:
    """A model that has its next call ready."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def chat(self, messages: Any, tools: Any = (), schema: Any = None, sampling: Any = None) -> Iterator[Delta]:
        done = len(messages) // 2 - 1  # system, user, then an assistant and a tool message a step
        if done < self._steps:
            yield Delta(tool_calls=(ToolCall(f"call_{done}", "add", {"a": done, "b": 1}),))
            yield Delta(finish="tool_calls", usage=Usage(10, 10))
        else:
            yield Delta("done", finish="stop", usage=Usage(10, 1))


def ours(steps: int, folder: Path | None, *, fsync: bool = False, effect: Any = "read") -> Contender:
    pattern = make("pattern.tool-use", llm=Instant(steps), tools=[tool(effect=effect)(add)], steps=steps + 1)
    numbers = iter(range(10**9))

    def once() -> None:
        journal = Journal(folder / f"{steps}-{effect}-{next(numbers)}.jsonl", fsync=fsync) if folder else None
        run = Run(journal=journal)
        with run.active():
            answer = run.end(pattern.run("Add the numbers.", run))
        if journal:
            journal.close()
        assert answer.text == "done"
        assert answer.usage.tool_calls == steps

    return once


# ---------------------------------------------------------------- peers


def of_smolagents(steps: int) -> dict[str, Contender]:
    from openinference.instrumentation.smolagents import SmolagentsInstrumentor
    from smolagents import ChatMessage, ChatMessageToolCall, Model, ToolCallingAgent
    from smolagents import tool as smol_tool
    from smolagents.models import ChatMessageToolCallFunction, MessageRole

    class Scripted(Model):
        def __init__(self) -> None:
            super().__init__(model_id="scripted")
            self.count = 0

        def generate(self, messages: Any, **options: Any) -> ChatMessage:
            n, self.count = self.count, self.count + 1
            name, arguments = ("add", {"a": n, "b": 1}) if n < steps else ("final_answer", {"answer": "done"})
            function = ChatMessageToolCallFunction(name=name, arguments=arguments)
            call = ChatMessageToolCall(id=f"call_{n}", type="function", function=function)
            return ChatMessage(role=MessageRole.ASSISTANT, content="", tool_calls=[call])

    def once(traced: bool) -> None:
        agent = ToolCallingAgent([smol_tool(add)], Scripted(), max_steps=steps + 2, verbosity_level=0)
        instrumentor, provider, exporter = SmolagentsInstrumentor(), *spans()
        if traced:
            instrumentor.instrument(tracer_provider=provider)
        try:
            assert agent.run("Add the numbers.") == "done"
        finally:
            if traced:
                instrumentor.uninstrument()
        assert bool(exporter.get_finished_spans()) == traced

    return {"smolagents, in-memory tracing": lambda: once(True), "smolagents, bare": lambda: once(False)}


def of_langgraph(steps: int, folder: Path) -> dict[str, Contender]:
    import sqlite3

    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration, ChatResult
    from langchain_core.tools import tool as lang_tool
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.prebuilt import create_react_agent

    class Scripted(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "scripted"

        def bind_tools(self, tools: Any, **options: Any) -> Any:
            return self

        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **options: Any) -> ChatResult:
            done = len(messages) // 2
            call = {"name": "add", "args": {"a": done, "b": 1}, "id": f"call_{done}"}
            message = AIMessage("", tool_calls=[call]) if done < steps else AIMessage("done")
            return ChatResult(generations=[ChatGeneration(message=message)])

    numbers = iter(range(10**9))

    def once(saver: Any) -> None:
        with warnings.catch_warnings(action="ignore"):  # it is to move to another package
            agent = create_react_agent(Scripted(), [lang_tool(add)], checkpointer=saver)
        config = {"recursion_limit": 4 * steps, "configurable": {"thread_id": str(next(numbers))}}
        state = agent.invoke({"messages": [("user", "Add the numbers.")]}, config)
        assert state["messages"][-1].content == "done"
        assert len(state["messages"]) == 2 * steps + 2

    def stored() -> None:
        with contextlib.closing(
            sqlite3.connect(folder / f"{next(numbers)}.sqlite", check_same_thread=False)
        ) as connection:
            once(SqliteSaver(connection))

    return {
        "LangGraph, SqliteSaver": stored,
        "LangGraph, InMemorySaver": lambda: once(InMemorySaver()),
        "LangGraph, bare": lambda: once(None),
    }


def of_pydantic_ai(steps: int) -> dict[str, Contender]:
    from pydantic_ai import Agent, UsageLimits
    from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
    from pydantic_ai.models.function import FunctionModel
    from pydantic_ai.models.instrumented import InstrumentationSettings

    def scripted(messages: Any, info: Any) -> ModelResponse:
        done = len(messages) // 2
        if done < steps:
            return ModelResponse([ToolCallPart("add", {"a": done, "b": 1}, f"call_{done}")])
        return ModelResponse([TextPart("done")])

    def once(traced: bool) -> None:
        provider, exporter = spans()
        agent = Agent(FunctionModel(scripted), tools=[add])
        agent.instrument = InstrumentationSettings(tracer_provider=provider) if traced else False
        limits = UsageLimits(request_limit=None)
        assert agent.run_sync("Add the numbers.", usage_limits=limits).output == "done"
        assert bool(exporter.get_finished_spans()) == traced

    return {"pydantic-ai, in-memory tracing": lambda: once(True), "pydantic-ai, bare": lambda: once(False)}


def spans() -> tuple[Any, Any]:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


# ---------------------------------------------------------------- figures


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        contenders = {
            "ours, journal": ours(STEPS, folder),
            "ours, journal and fsync each step": ours(STEPS, folder, fsync=True, effect="write"),
            "ours, no journal": ours(STEPS, None),
            "10": ours(10, folder),
            "200": ours(200, folder),
        }
        for make_peer in (
            lambda: of_smolagents(STEPS),
            lambda: of_langgraph(STEPS, folder),
            lambda: of_pydantic_ai(STEPS),
        ):
            try:
                peers = make_peer()
                for contender in peers.values():
                    contender()
                contenders.update(peers)
            except ImportError as error:
                skipped("steps", f"a peer is not installed: {error}")
        for contender in contenders.values():
            contender()
        with contextlib.redirect_stderr(io.StringIO()):
            seconds = side_by_side(contenders, ROUNDS)
    steps = {"10": 10, "200": 200}
    each = {name: value / steps.get(name, STEPS) * 1e6 for name, value in seconds.items()}
    for name in each:
        if name not in steps:
            row(f"a step, {STEPS} in a run: {name}", each[name], "us")
    traced = {n: v for n, v in each.items() if n.endswith(("in-memory tracing", "InMemorySaver"))}
    if traced:
        fastest = min(traced, key=lambda name: traced[name])
        ratio = each["ours, journal"] / traced[fastest]
        row("a step, journal on, fsync off", each["ours, journal"], "us", against=f"{fastest}, the fastest traced",
            ratio=ratio, bar="<= 0.5", holds=ratio <= 0.5)  # fmt: skip
    if "LangGraph, SqliteSaver" in each:
        ratio = each["ours, journal and fsync each step"] / each["LangGraph, SqliteSaver"]
        row("a step, journal on, fsync before each call", each["ours, journal and fsync each step"], "us",
            against="LangGraph, SqliteSaver", ratio=ratio, bar="<= 0.5", holds=ratio <= 0.5)  # fmt: skip
    ratio = each["200"] / each["10"]
    row("a step of 200, journal on", each["200"], "us", against=f"a step of 10, {each['10']:.0f} us", ratio=ratio,
        bar="flat: <= 1.2", holds=ratio <= 1.2)  # fmt: skip


if __name__ == "__main__":
    main()
