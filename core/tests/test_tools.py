"""``@tool``: a function's name, docstring and annotations are the tool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from dougong import tool
from dougong.kinds import Tool, protocol_members
from dougong.types import ToolResult


@tool
def weather(city: str, days: int = 3, unit: Literal["C", "F"] = "C") -> dict[str, Any]:
    """The weather of the next days.

    Forecasts only.
    """
    return {"city": city, "days": days, "unit": unit}


def test_the_schema_is_the_signature() -> None:
    assert (weather.name, weather.effect) == ("weather", "read")
    assert weather.description == "The weather of the next days.\n\nForecasts only."
    schema = weather.parameters
    assert schema["required"] == ["city"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["city"]["type"] == "string"
    assert schema["properties"]["days"] == {"type": "integer", "default": 3}
    assert schema["properties"]["unit"]["enum"] == ["C", "F"]
    json.dumps(schema)


def test_a_function_tool_meets_the_protocol() -> None:
    assert all(hasattr(weather, name) for name in protocol_members(Tool))


def test_a_value_is_given_as_json_and_as_data() -> None:
    result = weather.call({"city": "北京"})
    assert result == ToolResult('{"city": "北京", "days": 3, "unit": "C"}', {"city": "北京", "days": 3, "unit": "C"})


def test_a_string_and_a_result_are_handed_on() -> None:
    @tool
    def text() -> str:
        return "as it is"

    @tool
    def whole() -> ToolResult:
        return ToolResult("x", error=True)

    assert text.call({}).text == "as it is"
    assert whole.call({}) == ToolResult("x", error=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, ["city", "missing"]),
        ({"city": 3}, ["city"]),
        ({"city": "x", "days": "many", "when": 1}, ["days", "when", "unknown"]),
        ({"city": "x", "days": True}, ["days"]),
        ({"city": "x", "unit": "K"}, ["unit"]),
    ],
)
def test_wrong_arguments_are_a_result_that_names_each(arguments: dict[str, Any], words: list[str]) -> None:
    result = weather.call(arguments)
    assert result.error
    assert all(word in result.text for word in words)


def test_an_exception_is_a_result_that_says_so() -> None:
    @tool
    def fails(path: Path) -> str:
        raise FileNotFoundError(f"no {path.name}")

    result = fails.call({"path": "a/b.md"})
    assert (result.text, result.error) == ("FileNotFoundError: no b.md", True)


def test_an_interruption_is_no_result() -> None:
    @tool
    def stops() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stops.call({})


def test_the_function_is_still_a_function() -> None:
    assert weather("Paris", days=1) == {"city": "Paris", "days": 1, "unit": "C"}


def test_a_write_says_that_it_is_one() -> None:
    @tool(effect="write")
    def send(to: str) -> str:
        return to

    assert send.effect == "write"
