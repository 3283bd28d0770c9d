"""Little programs as patterns, run with a journal: in the tests' process, or in one of its own that kills itself.

``python journal_child.py ROOT`` runs ROOT/program.json with the journal ROOT/run.jsonl. It kills itself (SIGKILL)
at the append of number DIE_AT: before it, with half of the line written, or after it, as DIE_HOW says. What is done
in the world goes to ROOT/world, a line each, which outlives the process; so do the questions that it asks.

A program is a list of steps: ``["llm", x, n, stop]`` reads a stream of n pieces and closes it after `stop`;
``["mid", x, n]`` calls a tool in the middle of one; ``["turns", x]`` reads two streams in turns; ``["read", x]``,
``["write", x]``, ``["fail", x]`` call tools; ``["search", x, program]`` runs a program inside a retriever;
``["par", programs]``, ``["child", name, program]``, ``["value"]``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
from dougong import Answer, Chunk, Delta, Hit, Span, ToolResult, Usage
from dougong.frame import current
from dougong.journal import Journal
from dougong.kinds import LLM, Retriever, Tool
from dougong.proxies import proxied
from dougong.run import Run, active_run


def here() -> str:
    """The key of the call that the technique is in."""
    frame = current.get()
    assert frame is not None
    return frame.path


class World:
    """What was really done, as ``(kind, key)``."""

    def __init__(self, file: Path | None = None) -> None:
        self.done: list[tuple[str, str]] = []
        self.file = file

    def note(self, kind: str, key: str) -> None:
        self.done.append((kind, key))
        if self.file is not None:
            with self.file.open("a") as file:
                file.write(f"{kind} {key}\n")


class Model:
    def __init__(self, world: World) -> None:
        self.world = world

    def chat(self, messages: Any, tools: Any = (), schema: Any = None, sampling: Any = None) -> Iterator[Delta]:
        self.world.note("llm", here())
        text, count = messages
        for index in range(count):
            yield Delta(f"{text}{index} ")
        yield Delta(finish="stop", usage=Usage(1, count, money=0.1))


class Act:
    name = description = "act"

    def __init__(self, world: World, effect: str) -> None:
        self.parameters = {"type": "object"}
        self.world, self.effect = world, effect

    def call(self, arguments: Any) -> ToolResult:
        self.world.note(self.effect, here())
        if arguments.get("fail"):
            raise ValueError(f"no {arguments['x']}")
        return ToolResult(f"<{arguments['x']}>")


class Search:
    """A retriever that runs a program: `query` is JSON."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def search(self, query: str, k: int = 10, where: Any = None) -> list[Hit]:
        self.machine.world.note("search", here())
        run = active_run()
        assert run is not None
        found = json.dumps(self.machine.steps(json.loads(query), run))
        return [Hit(Chunk(found, "d", found, Span(0, len(found))), 1.0)]


class Machine:
    """A pattern that carries out a program; its answer tells all that it saw."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.llm = proxied(LLM, Model(world), "llm")
        self.read = proxied(Tool, Act(world, "read"), "read")
        self.write = proxied(Tool, Act(world, "write"), "write")
        self.search = proxied(Retriever, Search(self), "search")

    def run(self, program: list[Any], run: Run) -> Answer:
        return Answer(json.dumps(self.steps(program, run)))

    def steps(self, program: list[Any], run: Run) -> list[Any]:
        seen: list[Any] = []
        for step in program:
            seen.append(self.step(step, run, str(seen[-1]) if seen else ""))
        return seen

    def step(self, step: list[Any], run: Run, before: str) -> Any:
        kind, *rest = step
        x = f"{rest[0]}{len(before)}" if rest else ""  # what was seen goes into the next request
        if kind == "llm":
            return self.listen(x, rest[1], rest[2])
        if kind == "mid":
            return [
                delta.text + (self.read.call({"x": delta.text}).text if index == 1 else "")
                for index, delta in enumerate(self.llm.chat((x, rest[1])))
            ]
        if kind == "turns":
            one, two = self.llm.chat((x, 2)), self.llm.chat((x, 3))
            return [a.text + b.text for a, b in zip(one, two, strict=False)]
        if kind in ("read", "write"):
            return (self.read if kind == "read" else self.write).call({"x": x}).text
        if kind == "fail":
            try:
                return self.read.call({"x": x, "fail": True}).text
            except ValueError as error:
                return repr(error)
        if kind == "search":
            return self.search.search(json.dumps(rest[1]))[0].chunk.text
        if kind == "par":
            return run.parallel([lambda p=branch: self.steps(p, run) for branch in rest[0]])
        if kind == "child":
            with run.child(rest[0]) as child:
                return self.steps(rest[1], child)
        return run.outside("value", lambda: self.value(here()))

    def value(self, place: str) -> list[Any]:
        self.world.note("value", place)
        return [place, None, 1.5]

    def listen(self, x: str, count: int, stop: int) -> str:
        text = ""
        for index, delta in enumerate(self.llm.chat((x, count)), 1):
            text += delta.text
            if index == stop:
                break
        return text


class Counts:
    """Middleware that counts what passes, as a budget does, and takes a value around each call."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.pieces = 0

    def around(self, call: Any, proceed: Callable[..., Any]) -> Iterator[Any]:
        run = active_run()
        assert run is not None
        self.calls.append(call.path)
        run.outside("before", lambda: 0)
        for item in proceed(call):
            self.pieces += 1
            yield item


def go(
    program: list[Any],
    path: Path,
    *,
    world: World | None = None,
    ask: Callable[[str, Any], str] | None = None,
    listener: Callable[[Any, Run], None] | None = None,
    replay: bool = False,
) -> tuple[Answer, World, Counts]:
    """Run `program` with the journal `path`, resuming what it holds."""
    world, counts = world or World(), Counts()
    journal = Journal(path, {"program": "x"}, fsync=False)
    try:
        run = Run(
            [counts],
            (lambda event: listener(event, run)) if listener else None,
            journal=journal,
            replay=replay,
            ask=ask,
        )
        with run.active():
            answer = Machine(world).run(program, run)
            return run.end(attrs.evolve(answer, usage=run.usage)), world, counts
    finally:
        journal.close()


def die_at(last: int, how: str) -> None:
    """Kill this process at the journal's append of number `last`."""
    appends = 0
    append = Journal._append

    def watched(journal: Journal, data: bytes) -> None:
        nonlocal appends
        appends += 1
        if appends == last and how == "half":
            append(journal, data[: len(data) // 2])
        if appends == last and how != "after":
            os.kill(os.getpid(), signal.SIGKILL)
        append(journal, data)
        if appends == last:
            os.kill(os.getpid(), signal.SIGKILL)

    Journal._append = watched  # type: ignore[method-assign]


if __name__ == "__main__":
    root = Path(sys.argv[1])
    die_at(int(os.environ.get("DIE_AT", "0")), os.environ.get("DIE_HOW", "after"))
    log = World(root / "world")

    def answer_yes(question: str, choices: Any) -> str:
        log.note("asked", "?")
        return os.environ.get("SAY", "yes")

    answer, _, counts = go(
        json.loads((root / "program.json").read_text()), root / "run.jsonl", world=log, ask=answer_yes
    )
    print(json.dumps([answer.text, str(answer.usage), sorted(counts.calls), counts.pieces]))
