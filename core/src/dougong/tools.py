"""``@tool``: a typed function as a tool."""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, overload

from dougong.chat import ToolResult
from dougong.config import Node, from_python
from dougong.errors import Place
from dougong.messages import t
from dougong.params import BROKEN, Converter
from dougong.schema import type_schema


class FunctionTool:
    """A tool made of a function: its name, docstring and annotations are what a model sees.

    A string is handed on as it is, a `ToolResult` too, anything else as JSON. Wrong arguments and exceptions become
    results with ``error=True``: a model can mend them.
    """

    effect: Literal["read", "write"]

    def __init__(self, function: Callable[..., Any], effect: Literal["read", "write"]) -> None:
        self._function, self._hints = function, typing.get_type_hints(function)
        self._signature = inspect.signature(function).parameters
        self.name, self.effect = function.__name__, effect
        self.description = inspect.getdoc(function) or ""
        self.parameters: Mapping[str, Any] = {
            "type": "object",
            "properties": {name: self._property(name) for name in self._signature},
            "required": [name for name, p in self._signature.items() if p.default is inspect.Parameter.empty],
            "additionalProperties": False,
        }

    def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        wrong: list[str] = []
        values = self._values(arguments, wrong)
        if wrong:
            return ToolResult(t("wrong arguments: {problems}", problems="; ".join(wrong)), error=True)
        try:
            value = self._function(**values)
        except Exception as error:
            return ToolResult(f"{type(error).__name__}: {error}", error=True)
        if isinstance(value, ToolResult):
            return value
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        return ToolResult(text, value)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """The function itself: to decorate it takes nothing away."""
        return self._function(*arguments, **keywords)

    def _property(self, name: str) -> dict[str, Any]:
        found = type_schema(self._hints.get(name, Any))
        default = self._signature[name].default
        return found if default is inspect.Parameter.empty else {**found, "default": default}

    def _values(self, arguments: Mapping[str, Any], wrong: list[str]) -> dict[str, Any]:
        def problem(path: str, place: Place, message: str, hint: str) -> None:
            wrong.append(f"{path}: {message}")

        def as_it_is(node: Node, path: str, raw: bool) -> Node:
            return node

        def no_slot(node: Node, annotation: Any, path: str) -> Any:
            return BROKEN

        place, converter = Place(self.name), Converter(as_it_is, no_slot, problem)
        values = {}
        for name, value in arguments.items():
            if name not in self._signature:
                wrong.append(f"{name}: {t('unknown parameter')}")
            else:
                values[name] = converter.convert(from_python(value, place), self._hints.get(name, Any), name)
        wrong += [f"{name}: {t('missing parameter')}" for name in self.parameters["required"] if name not in arguments]
        return values


@overload
def tool(function: Callable[..., Any], /) -> FunctionTool: ...
@overload
def tool(*, effect: Literal["read", "write"]) -> Callable[[Callable[..., Any]], FunctionTool]: ...
def tool(
    function: Callable[..., Any] | None = None, /, *, effect: Literal["read", "write"] = "read"
) -> FunctionTool | Callable[[Callable[..., Any]], FunctionTool]:
    """Make a `Tool` of a typed function: ``@tool`` or ``@tool(effect="write")``."""
    if function is not None:
        return FunctionTool(function, effect)
    return lambda function: FunctionTool(function, effect)
