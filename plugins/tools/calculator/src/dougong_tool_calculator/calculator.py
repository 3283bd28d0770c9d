"""The calculator as a tool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from dougong import ToolResult

from dougong_tool_calculator import Params
from dougong_tool_calculator.arithmetic import Arithmetic, shown


class Calculator:
    """Calculates one expression. What it cannot calculate is a result with ``error=True`` that says why."""

    name = "calculator"
    effect: Literal["read", "write"] = "read"

    def __init__(self, params: Params) -> None:
        self._params, self._arithmetic = params, Arithmetic(params.max_digits)
        self.description = params.description
        self.parameters: Mapping[str, Any] = {
            "type": "object",
            "properties": {"expression": {"type": "string", "description": "12.5 * (3 + 4) / 2"}},
            "required": ["expression"],
            "additionalProperties": False,
        }

    def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """The value as text; `data` is ``{"value", "exact"}``, `exact` false where digits were left out."""
        expression = arguments.get("expression")
        if set(arguments) != {"expression"} or not isinstance(expression, str) or not expression.strip():
            return ToolResult('wrong arguments: give {"expression": "..."} and nothing else', error=True)
        if len(expression) > self._params.max_length:
            message = f"the expression is longer than {self._params.max_length} characters; calculate it in parts"
            return ToolResult(message, error=True)
        try:
            text, exact = shown(self._arithmetic.value(expression), self._params.digits)
        except ValueError as error:
            return ToolResult(f"{error}", error=True)
        return ToolResult(text, {"value": text, "exact": exact})
