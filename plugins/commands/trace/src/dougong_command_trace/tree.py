"""A journal's lines as a tree of calls."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
from dougong import Answer, Citation, Delta, Hit, StoreError, Usage
from dougong.codec import from_data
from dougong.errors import Place
from dougong.journal import read
from dougong.types import Result

_PART = re.compile(r"(?P<step>\d+(~\d+)?)(?P<mark>\^|!\d+|\[\d+\]|/.*)?")


@attrs.define
class Node:
    """A call, or a place that holds calls.

    Attributes:
        path: as `dougong.Call` explains it.
        kind: ``llm tool retriever``; ``parallel branch child middleware`` hold calls; ``value`` came from outside.
        begun: how often the call was begun; more than once after a crash.
        ms: milliseconds of the call; None while it has no end.
        items: what it gave.
        error: what it failed with, ``ValueError: no``; empty where it did not.
    """

    path: str
    kind: str
    name: str = ""
    write: bool = False
    arguments: Mapping[str, Any] = attrs.field(factory=dict)
    begun: int = 0
    ms: float | None = None
    items: list[Any] = attrs.field(factory=list)
    error: str = ""
    cut: bool = False
    children: list[Node] = attrs.field(factory=list)

    @property
    def text(self) -> str:
        """What a model said."""
        return "".join(item.text for item in self.items if isinstance(item, Delta))

    @property
    def value(self) -> Any:
        """What a tool or retriever gave back; None if nothing."""
        return next((item.value for item in self.items if isinstance(item, Result)), None)

    @property
    def hits(self) -> list[Hit]:
        value = self.value
        return [hit for hit in value if isinstance(hit, Hit)] if isinstance(value, list) else []

    @property
    def usage(self) -> Usage:
        """What this call alone cost."""
        total = Usage(model_calls=self.kind == "llm", tool_calls=self.kind == "tool")
        for item in self.items:
            if isinstance(item, Delta) and item.usage is not None:
                total += item.usage
        return total

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.walk()


@attrs.define
class Trace:
    """A run: the journal's first line, its calls in the order of their steps, and its answer or what ended it."""

    path: Path
    header: dict[str, Any] = attrs.field(factory=dict)
    root: Node = attrs.field(factory=lambda: Node("", "run"))
    answer: Answer | None = None
    failed: str = ""
    seconds: float = 0.0

    @classmethod
    def read(cls, path: Path) -> Trace:
        """Raises StoreError where there is no such journal, or it is damaged or newer."""
        trace, places = cls(path), {"": Node("", "run")}
        trace.root = places[""]
        for line in read(path):
            trace._take(line, places)
        if not trace.header:
            raise StoreError("the journal is empty", place=Place(str(path)), hint="name the journal of a run")
        for node in places.values():
            node.children.sort(key=_order)
        return trace

    @property
    def calls(self) -> list[Node]:
        return [node for node in self.root.walk() if node.kind in ("llm", "tool", "retriever")]

    @property
    def usage(self) -> Usage:
        """What all calls of the journal cost, those included that a resumed run made again after a cut."""
        total = Usage()
        for call in self.calls:
            total += call.usage
        return total

    @property
    def money(self) -> dict[str, float]:
        """By currency."""
        sums: dict[str, float] = {}
        for usage in (call.usage for call in self.calls):
            if usage.money:
                sums[usage.currency] = sums.get(usage.currency, 0.0) + usage.money
        return sums

    def _take(self, line: dict[str, Any], places: dict[str, Node]) -> None:
        event = line.get("e")
        if event is None:
            self.header = line
            return
        self.seconds = max(self.seconds, line["t"] - self.header["created"])
        self.failed = _error(line) if event == "failed" else ""  # what comes after it is a resumed run's
        if event == "end":
            self.answer = from_data(line["answer"])
        if event in ("end", "failed"):
            return
        node = _place(line["at"], places)
        if event == "intent":
            node.kind, node.name, node.write = line["kind"], line["name"], line["effect"] == "write"
            node.arguments, node.begun = from_data(line["arguments"]), node.begun + 1
        elif event == "value":
            node.kind, node.name = "value", line["what"]
            node.items = [Result(from_data(line["value"]))]
        elif event == "result":
            node.items, node.ms, node.cut = from_data(line["items"]), line["ms"], "cut" in line
            node.error = _error(line)


def _error(line: dict[str, Any]) -> str:
    error = line.get("error")
    return f"{error['type']}: {error['message']}" if error else ""


def _place(path: str, places: dict[str, Node]) -> Node:
    """The node at `path`, made with all that it stands in."""
    outer, at = places[""], ""
    for part in path.split("."):
        match = _PART.fullmatch(part)
        step, mark = (match["step"], match["mark"] or "") if match else (part, "")
        base = f"{at}.{step}" if at else step
        if mark.startswith("["):
            outer = _child(outer, base, "parallel", "", places)
            outer = _child(outer, base + mark, "branch", mark[1:-1], places)
        elif mark.startswith("/"):
            outer = _child(outer, base + mark, "child", mark[1:], places)
        elif mark == "^":
            outer = _child(outer, base + mark, "middleware", "", places)
        else:
            outer = _child(outer, base + mark, "call", "", places)
        at = outer.path
    return outer


def _child(outer: Node, path: str, kind: str, name: str, places: dict[str, Node]) -> Node:
    if path not in places:
        places[path] = Node(path, kind, name)
        outer.children.append(places[path])
    return places[path]


def _order(node: Node) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", re.sub(r"/.*", "", node.path.rpartition(".")[2]))]


def place(source: Hit | Citation) -> str:
    """``docs/a.md:12`` of a hit or a citation."""
    if isinstance(source, Citation):
        name, line = source.source or source.document, source.line
    else:
        name = str(source.chunk.meta.get("source") or source.chunk.document)
        line = int(source.chunk.meta.get("line") or 0)
    return f"{name}:{line}" if line else name
