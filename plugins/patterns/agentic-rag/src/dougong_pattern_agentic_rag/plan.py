"""What a model decides, as schema and as value: routes, graphs of sub-questions, grades, verdicts."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs
from dougong import Hit
from dougong_analyzer import simplified

KINDS = ("none", "single", "multi", "tool", "unclear")
SLOT = re.compile(r"#(\d+)")


class Unusable(ValueError):
    """A reply that is no decision; the message says why, in words of ours."""


@attrs.frozen
class Route:
    """Which way: one of KINDS; the source or tool by name; for ``unclear``, the question to the person."""

    kind: str
    source: str = ""
    tool: str = ""
    ask: str = ""


@attrs.define(eq=False)
class Step:
    """A sub-question and how far it came; or the `whole` question, whose "#1" is the person's own and no slot.

    `needs` are the steps whose answers the slots take.

    `sources` are those still to be tried, the current one first; `tried` the searches made, ``(source, query)``;
    `rejected` the passages that were graded, so that none is graded twice.
    """

    id: int
    question: str
    sources: list[str]
    whole: bool = False
    filled: str = ""
    query: str = ""
    rewrites: int = 0
    tried: list[tuple[str, str]] = attrs.field(factory=list)
    rejected: set[tuple[str, str]] = attrs.field(factory=set)
    hits: list[Hit] = attrs.field(factory=list)
    answer: str = ""
    quote: tuple[Hit, int, int] | None = None

    @property
    def needs(self) -> set[int]:
        return set() if self.whole else {int(number) for number in SLOT.findall(self.question)}

    def fill(self, answers: Mapping[int, str]) -> bool:
        """Put answers into the slots; False where one is missing."""
        needs = self.needs
        if not all(answers.get(number) for number in needs):
            return False
        filled = SLOT.sub(lambda match: answers[int(match[1])], self.question) if needs else self.question
        self.filled = self.query = filled
        return True


def normal(query: str) -> str:
    """What a query is known by: width, case, script, punctuation and space aside."""
    return re.sub(r"[\W_]+", " ", simplified(unicodedata.normalize("NFKC", query)).casefold()).strip()


def levels(steps: Sequence[Step], done: Collection[int]) -> list[list[Step]]:
    """The steps in the order in which they can be asked, each level after those that it needs (Kahn's algorithm).

    Raises Unusable for a slot that nothing fills and for a cycle.
    """
    known, left, found = set(done), list(steps), list[list[Step]]()
    for step in steps:
        if lost := step.needs - known - {other.id for other in steps}:
            raise Unusable(f"step {step.id} refers to #{min(lost)}, which there is not")
    while left:
        ready = [step for step in left if step.needs <= known]
        if not ready:
            raise Unusable(f"steps {', '.join(str(step.id) for step in left)} need each other in a circle")
        found.append(ready)
        known |= {step.id for step in ready}
        left = [step for step in left if step not in ready]
    return found


# ---------------------------------------------------------------- schemas


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_STRING, _NUMBER, _BOOL = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
ROUTE = _object(kind={"type": "string", "enum": list(KINDS)}, source=_STRING, tool=_STRING, ask=_STRING)
STEPS = _object(steps={"type": "array", "items": _object(id=_NUMBER, question=_STRING, source=_STRING)})
QUESTION = _object(question=_STRING)
QUERY = _object(query=_STRING)
GRADES = _object(grades={"type": "array", "items": _object(passage=_NUMBER, relevant=_BOOL)})
HOP = _object(answer=_STRING, passage=_NUMBER, quote=_STRING)
SUFFICIENT = _object(sufficient=_BOOL, missing=_STRING)
CLAIMS = _object(claims={"type": "array", "items": _object(claim=_NUMBER, supported=_BOOL)})

# ---------------------------------------------------------------- readers


def json_object(reply: str) -> dict[str, Any]:
    """The JSON object in `reply`; words or a fence around it are passed over. Raises Unusable."""
    try:
        data = json.loads(reply[reply.index("{") : reply.rindex("}") + 1])
    except (ValueError, RecursionError):
        raise Unusable("it is no JSON object") from None
    if not isinstance(data, dict):
        raise Unusable("it is no JSON object")
    return data


def text(data: Mapping[str, Any], key: str, *, empty: bool = True) -> str:
    value = data.get(key, "" if empty else None)
    value = "" if value is None and empty else value
    if not isinstance(value, str) or (not empty and not value.strip()):
        raise Unusable(f"{key!r} must be a text")
    return value.strip()


def truth(data: Mapping[str, Any], key: str) -> bool:
    value = data.get(key)
    if not isinstance(value, bool):
        raise Unusable(f"{key!r} must be true or false")
    return value


def route(data: Mapping[str, Any], sources: Collection[str], tools: Collection[str]) -> Route:
    kind, source, tool, ask = (text(data, key) for key in ("kind", "source", "tool", "ask"))
    if kind not in KINDS:
        raise Unusable(f"'kind' must be one of {', '.join(KINDS)}")
    if kind == "tool" and tool not in tools:
        raise Unusable(f"'tool' must be one of: {', '.join(tools) or 'there are none'}")
    if kind in ("single", "multi"):
        _source(source, sources)
    if kind == "unclear" and not ask:
        raise Unusable("'ask' must be the question to the person")
    return Route(kind, source, tool, ask)


def _source(name: str, sources: Collection[str]) -> None:
    if not sources:
        raise Unusable("there are no sources; choose a tool")
    if name and name not in sources:
        raise Unusable(f"'source' must be one of: {', '.join(sources)}")


def steps(
    data: Mapping[str, Any], sources: Sequence[str], done: Mapping[int, bool], count: int, hops: int, *, empty: bool
) -> list[list[Step]]:
    """The levels of a plan of at most `count` new steps and `hops` levels; `done` says of each earlier step whether it
    has an answer. Raises Unusable."""
    rows = data.get("steps")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise Unusable("'steps' must be a list of objects")
    if not rows and not empty:
        raise Unusable("'steps' is empty")
    found: list[Step] = []
    for row in rows:
        number = row.get("id")
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise Unusable("'id' must be a whole number from 1")
        if number in done or number in {step.id for step in found}:
            raise Unusable(f"there is a step {number} already")
        source = text(row, "source")
        _source(source, sources)
        found.append(Step(number, text(row, "question", empty=False), ordered(sources, source)))
    if len(found) > count:
        raise Unusable(f"{len(found)} sub-questions are more than the {count} allowed")
    plan = levels(found, [number for number, answered in done.items() if answered])
    if len(plan) > hops:
        raise Unusable(f"a chain of {len(plan)} is longer than the {hops} allowed")
    return plan


def ordered(sources: Sequence[str], first: str) -> list[str]:
    """All sources, `first` leading."""
    return sorted(sources, key=lambda name: name != first)


def grades(data: Mapping[str, Any], count: int) -> list[int]:
    """The numbers, from 1, of the passages that are relevant. Every passage must be graded. Raises Unusable."""
    return _verdicts(data, "grades", "passage", "relevant", count)


def supported(data: Mapping[str, Any], count: int) -> list[int]:
    """The numbers, from 1, of the claims that are supported. Every claim must be judged. Raises Unusable."""
    return _verdicts(data, "claims", "claim", "supported", count)


def _verdicts(data: Mapping[str, Any], name: str, number: str, verdict: str, count: int) -> list[int]:
    rows = data.get(name)
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise Unusable(f"{name!r} must be a list of objects")
    found = {row.get(number): truth(row, verdict) for row in rows}
    if set(found) != set(range(1, count + 1)):
        raise Unusable(f"{name!r} must judge each of 1 to {count} once")
    return [n for n in range(1, count + 1) if found[n]]
