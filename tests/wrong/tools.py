"""A right tool, and plausible wrong ones, each with the check that must catch it. Run by test_kit_agents.py."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from dougong import ToolResult
from dougong.testing import ToolConformance


def judged(check: str = "", **attributes: Any) -> Any:
    """Give the class a suite; `check` must fail, no check where it is empty."""

    def declare(cls: type) -> type:
        suite = {
            "name": "tool.calculator",  # what is declared of it is right
            "build": lambda self, **overrides: cls(),
            "examples": ({"text": "斗拱", "times": 2}, {"text": "roof "}),
            "wrong": ({"text": "a", "times": 0},),
            "golden": (({"text": "斗", "times": 3}, "斗斗斗"), ({"text": "a", "times": 0}, "times must be 1 to 9")),
        }
        globals()[f"Test{cls.__name__}"] = type(f"Test{cls.__name__}", (ToolConformance,), {**suite, **attributes})
        return cls

    return declare


@judged()
class Right:
    """Says a text again."""

    name, effect = "repeat-it", "read"
    description = "Say a text again, up to nine times. 重复一段文字。"
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {"text": {"type": "string"}, "times": {"type": "integer", "description": "1 to 9"}},
        "required": ["text"],
        "additionalProperties": False,
    }

    def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        unknown = set(arguments) - {"text", "times"}
        text, times = arguments.get("text"), arguments.get("times", 1)
        if unknown or not isinstance(text, str):
            return ToolResult(f"wrong arguments: text is a string; unknown: {sorted(unknown)}", error=True)
        if not isinstance(times, int) or isinstance(times, bool) or not 1 <= times <= 9:
            return ToolResult("times must be 1 to 9", error=True)
        return self.work(text, times)

    def work(self, text: str, times: int) -> ToolResult:
        return ToolResult(text * times or "(nothing)", {"length": len(text) * times})


@judged("test_name_and_description_are_fit_for_a_model")
class Spaced(Right):
    """A name that interfaces refuse."""

    name = "repeat it!"


@judged("test_name_and_description_are_fit_for_a_model")
class Wordless(Right):
    """Nothing to go by."""

    description = ""


@judged("test_parameters_are_a_json_schema_of_an_object")
class Signature(Right):
    """Parameters as Python has them."""

    parameters = {"text": "str", "times": "int"}


@judged("test_parameters_are_a_json_schema_of_an_object")
class Phantom(Right):
    """Requires what it does not have."""

    parameters = {**Right.parameters, "required": ["texts"]}


@judged("test_what_a_model_sees_stays_as_it_is")
class Counter(Right):
    """Counts in its description how often it may still be called."""

    left = 9

    @property
    def description(self) -> str:  # type: ignore[override]
        return f"Say a text again; {self.left} calls are left."

    def work(self, text: str, times: int) -> ToolResult:
        self.left -= 1
        return super().work(text, times)


@judged("test_examples_are_answered")
class Text(Right):
    """Gives a string."""

    def work(self, text: str, times: int) -> Any:
        return text * times


@judged("test_a_result_is_what_a_journal_gives_back")
class Tuples(Right):
    """Data that JSON does not have."""

    def work(self, text: str, times: int) -> ToolResult:
        return ToolResult(text * times or "-", (text, times))


@judged("test_arguments_are_not_changed")
class Pops(Right):
    """Takes its arguments out of the caller's mapping."""

    def call(self, arguments: Any) -> ToolResult:
        if isinstance(arguments, dict) and isinstance(arguments.get("times"), int):
            times = arguments.pop("times")
            return super().call({**arguments, "times": times})
        return super().call(arguments)


@judged("test_calls_leave_nothing_behind")
class Remembers(Right):
    """The second time it says that it has said so before."""

    def __init__(self) -> None:
        self.known: set[str] = set()

    def work(self, text: str, times: int) -> ToolResult:
        seen = text in self.known
        self.known.add(text)
        return ToolResult("as before" if seen else text * times or "-")


@judged("test_calls_at_the_same_time_do_not_mix")
class Shared(Right):
    """Keeps what a call works on in the object."""

    def work(self, text: str, times: int) -> ToolResult:
        self.text, self.times = text, times
        time.sleep(0.002)
        return ToolResult(self.text * self.times or "-")


@judged("test_wrong_arguments_are_told_not_raised")
class Raises(Right):
    """An exception where a word would do."""

    def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        if arguments.get("times") == 0:
            raise ValueError("times must be 1 to 9")
        return super().call(arguments)


@judged("test_wrong_arguments_are_told_not_raised")
class Mild(Right):
    """An error that is none."""

    def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        result = super().call(arguments)
        return ToolResult(result.text)


@judged("test_a_missing_argument_is_named")
class Curt(Right):
    """Does not say what is missing."""

    def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        return super().call(arguments) if "text" in arguments else ToolResult("invalid input", error=True)


@judged("test_a_missing_argument_is_named")
class KeyErrors(Right):
    """Looks up what may not be there."""

    def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        return super().call({**arguments, "text": arguments["text"]})


@judged("test_an_argument_of_the_wrong_type_is_named")
class Coerces(Right):
    """Makes a text of anything."""

    def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        return super().call({**arguments, "text": str(arguments["text"])} if "text" in arguments else arguments)


@judged("test_an_unknown_argument_is_refused")
class Lenient(Right):
    """Passes over what it does not know."""

    def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        return super().call({name: arguments[name] for name in ("text", "times") if name in arguments})


@judged("test_no_text_makes_it_raise")
class Encodes(Right):
    """Cannot take half a pair of surrogates."""

    def work(self, text: str, times: int) -> ToolResult:
        return ToolResult(text * times or "-", {"bytes": len(text.encode())})


@judged("test_it_keeps_its_own_promises")
class Strips(Right):
    """Says something a little different."""

    def work(self, text: str, times: int) -> ToolResult:
        return super().work(text, max(1, times - 1))
