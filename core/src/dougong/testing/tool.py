"""What holds for every tool."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import pytest

from dougong.codec import from_data, to_data
from dougong.run import Run
from dougong.testing.conformance import Conformance
from dougong.testing.runs import HOSTILE, copied, lived, through, together
from dougong.types import ToolResult

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""What the interfaces of chat models take as a tool's name."""
_WRONG: Mapping[str, Sequence[Any]] = {
    "string": (None, 7, ["text"], {"text": "text"}),
    "integer": (None, "seven", 1.5, [7]),
    "number": (None, "seven", [7]),
    "boolean": (None, "maybe", [True]),
    "array": (None, 7, {"a": 1}),
    "object": (None, 7, ["a"]),
}


class ToolConformance(Conformance):
    """A tool keeps its promises of `dougong.kinds.Tool`.

    A model sends it what it likes: whatever comes, `call` gives a `ToolResult` and never raises. The checks do call
    it, also with wrong arguments and hostile texts: let a tool that writes do so in a folder of the test's.

    Attributes:
        examples: arguments that it takes; at least one.
        golden: arguments and exactly the text that it answers, an error's included; or ``(arguments, "data")`` and the
            data of its result.
        wrong: further arguments, right by the schema, that it must answer with an error.
        deterministic: the same arguments have the same result. Set it to false for a clock, say.
    """

    examples: Sequence[Mapping[str, Any]] = ()
    wrong: Sequence[Mapping[str, Any]] = ()
    deterministic: bool = True
    kind: ClassVar[str] = "tool"

    def observe(self, built: Any) -> Any:
        if not self.deterministic or built.effect == "write":
            return None
        return [to_data(self.call(built, arguments)) for arguments in (*self.examples, *self.wrong, {"unheard-of": 1})]

    def answer(self, built: Any, given: Any) -> Any:
        if isinstance(given, tuple):
            arguments, name = given
            return getattr(self.call(built, arguments), name)
        return self.call(built, given).text

    def call(self, tool: Any, arguments: Mapping[str, Any]) -> ToolResult:
        try:
            result = tool.call(arguments)
        except Exception as error:
            raise AssertionError(
                f"call({_short(arguments)}) raised {type(error).__name__}: {error}; a failure that a model can mend is "
                "a ToolResult with error=True"
            ) from error
        assert isinstance(result, ToolResult), f"call must give a ToolResult, not {type(result).__name__}"
        assert isinstance(result.text, str)
        result.text.encode("utf-8", "surrogatepass" if _broken(arguments) else "strict")
        return result

    def told(self, tool: Any, arguments: Mapping[str, Any], names: str = "") -> None:
        result = self.call(tool, arguments)
        assert result.error, f"{_short(arguments)} must be answered with error=True, not {result.text[:100]!r}"
        assert result.text.strip(), "an error without words: the model cannot mend what it is not told"
        assert names in result.text, f"the error {result.text[:200]!r} must name {names!r}, so that the model mends it"

    # ------------------------------------------------------------ what a model sees

    def test_name_and_description_are_fit_for_a_model(self) -> None:
        tool = self.build()
        assert NAME.fullmatch(tool.name), f"{tool.name!r} is no name that models take: letters, digits, _ and -, 64"
        assert isinstance(tool.description, str)
        assert len(tool.description.split()) >= 2, "describe in words what it does: that is all that the model knows"
        assert tool.effect in ("read", "write"), "effect must be 'read' or 'write'"

    def test_parameters_are_a_json_schema_of_an_object(self) -> None:
        tool = self.build()
        schema = tool.parameters
        assert isinstance(schema, Mapping)
        assert schema.get("type") == "object", 'parameters must be {"type": "object", "properties": ...}'
        json.dumps(to_data(schema))
        properties = schema.get("properties", {})
        assert all(isinstance(item, Mapping) and item for item in properties.values()), "say what each property is"
        strange = set(schema.get("required", ())) - set(properties)
        assert not strange, f"required, but no property: {sorted(strange)}"
        try:
            import jsonschema  # type: ignore[import-untyped]
        except ImportError:
            return
        jsonschema.Draft202012Validator.check_schema(to_data(schema))
        for arguments in self.examples:
            jsonschema.validate(arguments, to_data(schema))

    def test_what_a_model_sees_stays_as_it_is(self) -> None:
        tool = self.build()
        before = to_data([tool.name, tool.description, tool.parameters, tool.effect])
        for arguments in self.examples:
            self.call(tool, arguments)
        self.call(tool, {"unheard-of": 1})
        assert to_data([tool.name, tool.description, tool.parameters, tool.effect]) == before

    # ------------------------------------------------------------ right arguments

    def test_examples_are_answered(self) -> None:
        assert self.examples, "set `examples`: arguments that the tool takes"
        tool = self.build()
        for arguments in self.examples:
            result = self.call(tool, arguments)
            assert not result.error, f"{_short(arguments)} is refused: {result.text}"
            assert result.text.strip(), "a result without words: the model learns nothing"

    def test_a_result_is_what_a_journal_gives_back(self) -> None:
        tool = self.build()
        for arguments in self.examples:
            result = self.call(tool, arguments)
            assert from_data(json.loads(json.dumps(to_data(result)))) == result, (
                "data must be plain: no tuples, no sets"
            )

    def test_arguments_are_not_changed(self) -> None:
        tool = self.build()
        for arguments in (*self.examples, *self.wrong):
            given = copied(dict(arguments))
            self.call(tool, given)
            assert given == dict(arguments), "the arguments are the caller's: copy what you change"
            frozen = self.call(tool, MappingProxyType(copied(dict(arguments))))
            assert frozen.error is self.call(tool, arguments).error, "any mapping will do"

    def test_calls_at_the_same_time_do_not_mix(self) -> None:
        tool = self.build()
        if not self.deterministic or tool.effect == "write":
            pytest.skip("its results change")
        calls = [*self.examples, *self.wrong] * 4
        alone = [self.call(tool, arguments) for arguments in calls]
        for _ in range(3):
            at_once = together(lambda index: self.call(tool, calls[index]), len(calls))
            assert at_once == alone, "calls at the same time get each other's results: keep a call's state in locals"

    # ------------------------------------------------------------ wrong arguments

    def test_wrong_arguments_are_told_not_raised(self) -> None:
        tool = self.build()
        for arguments in self.wrong:
            self.told(tool, arguments)

    def test_a_missing_argument_is_named(self) -> None:
        tool = self.build()
        for arguments in self.examples:
            for name in tool.parameters.get("required", ()):
                self.told(tool, {key: value for key, value in arguments.items() if key != name}, name)

    def test_an_argument_of_the_wrong_type_is_named(self) -> None:
        tool = self.build()
        for arguments in self.examples:
            for name, schema in tool.parameters.get("properties", {}).items():
                for value in _WRONG.get(schema.get("type", ""), ()):
                    self.told(tool, {**arguments, name: value}, name)

    def test_an_unknown_argument_is_refused(self) -> None:
        tool = self.build()
        if tool.parameters.get("additionalProperties"):
            pytest.skip("it takes any argument")
        assert tool.parameters.get("additionalProperties") is False, (
            'say so in the schema: "additionalProperties": False'
        )
        for arguments in self.examples:
            self.told(tool, {**arguments, "malformed_json": '{"a": '})

    def test_no_text_makes_it_raise(self) -> None:
        tool = self.build()
        for arguments, name in self._texts(tool):
            for text in ("", " \n", *HOSTILE, "9" * 5000, "../../etc/passwd", "'; DROP TABLE x; --", "(" * 3000):
                self.call(tool, {**arguments, name: text})

    def _texts(self, tool: Any) -> Iterator[tuple[Mapping[str, Any], str]]:
        for arguments in self.examples[:1]:
            for name, schema in tool.parameters.get("properties", {}).items():
                if schema.get("type") == "string":
                    yield arguments, name

    def test_no_number_makes_it_raise(self) -> None:
        tool = self.build()
        for arguments in self.examples[:1]:
            for name, schema in tool.parameters.get("properties", {}).items():
                if schema.get("type") in ("integer", "number"):
                    for number in (0, -1, 10**30, -(10**30)):
                        self.call(tool, {**arguments, name: number})

    # ------------------------------------------------------------ runs

    def test_a_run_records_and_replays_it(self) -> None:
        tool = through("tool", self.build())

        def work(run: Run) -> Any:
            results = [tool.call(arguments) for arguments in (*self.examples, *self.wrong)]
            assert [record.call.kind for record in run.records] == ["tool"] * len(results)
            assert {record.call.effect for record in run.records} <= {tool.effect}
            return results

        live = lived(self.folder, work)
        assert lived(self.folder, work, replay=True) == live


def _short(arguments: Mapping[str, Any]) -> str:
    text = repr(dict(arguments))
    return text if len(text) <= 120 else f"{text[:117]}..."


def _broken(arguments: Mapping[str, Any]) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in str(list(arguments.values())) + "".join(map(str, arguments.values())))
