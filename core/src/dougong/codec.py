"""dougong's values as JSON and back. What a run hands on is always what a replay would hand on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePath
from types import UnionType
from typing import Any, get_origin

import attrs

from dougong import types
from dougong.errors import CallError, Place, StoreError
from dougong.messages import t
from dougong.secret import Secret

DIGITS = 4000
"""Digits of an integer beyond which Python does not read it back."""


@attrs.frozen
class ToolSpec:
    """A tool as its model sees it: what the tools of a call are once they were written down."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    effect: str = "read"

    def call(self, arguments: Mapping[str, Any]) -> types.ToolResult:
        raise CallError(t("the tool {name} is only a record of one", name=self.name))


_TYPES: dict[str, type] = {name: cls for name, cls in vars(types).items() if isinstance(cls, type) and attrs.has(cls)}
_TYPES |= {"Place": Place, "ToolSpec": ToolSpec}


def to_data(value: Any) -> Any:
    """Plain JSON data. A dougong value becomes ``{"$": "Hit", ...}`` with its defaults left out; tuples become lists.

    Secrets are scrubbed here, not on the way to disk: else a replay would hand on other texts than the run did.
    Raises CallError for what has no JSON form: a journal that cannot be read back is none.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return Secret.scrub(str.__str__(value))
    if isinstance(value, (int, float)):
        return _number(value)
    if isinstance(value, (list, tuple)):
        return [to_data(item) for item in value]
    if isinstance(value, Mapping):
        data = {Secret.scrub(str(key)): to_data(item) for key, item in value.items()}
        if len(data) < len(value):
            raise CallError(t("two keys of a mapping are the same in JSON"), hint=t("name them apart"))
        return {"$": "", "value": data} if any(key.startswith("$") for key in data) else data
    cls = type(value)
    if _TYPES.get(cls.__name__) is cls:
        data = {"$": cls.__name__}
        for name, _, default in _FIELDS[cls.__name__]:
            item = getattr(value, name)
            written = to_data(item)  # first: not all that has no JSON form can be compared
            if item != default:
                data[name] = written
        return data
    if isinstance(value, PurePath):
        return Secret.scrub(value.as_posix())
    if hasattr(value, "parameters") and hasattr(value, "call"):
        effect = str(getattr(value, "effect", "read"))
        return to_data(ToolSpec(value.name, value.description, value.parameters, effect))
    if hasattr(value, "item") and hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0:  # a NumPy scalar
        return to_data(value.item())
    message = t("a value of type {type} has no JSON form", type=cls.__name__)
    raise CallError(message, hint=t("give plain data or dougong's types"))


def from_data(data: Any) -> Any:
    """The value that `to_data` turned into `data`. Raises StoreError for what no dougong of this version wrote."""
    if isinstance(data, list):
        return [from_data(item) for item in data]
    if not isinstance(data, dict):
        return data
    name = data.get("$")
    if name is None:
        return {key: from_data(item) for key, item in data.items()}
    try:
        if name == "":
            return {key: from_data(item) for key, item in data["value"].items()}
        cls = _TYPES[name]
        values = {key: from_data(item) for key, item in data.items() if key != "$"}
        for key, depth, _ in _FIELDS[name]:
            if depth and isinstance(values.get(key), list):
                values[key] = _tuples(values[key], depth)
        return cls(**values)
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(t("cannot read a {type} back", type=name), hint=t("upgrade dougong")) from error


def _number(value: int | float) -> int | float:
    if isinstance(value, float):
        return float.__float__(value)
    if value.bit_length() > DIGITS * 3:
        raise CallError(t("an integer has too many digits"), hint=t("give it as text"))
    return int.__int__(value)


def digest(data: Any) -> str:
    """Hex SHA-256 of JSON data, keys sorted."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _tuples(value: Any, depth: int) -> Any:
    return tuple(_tuples(item, depth - 1) for item in value) if depth and isinstance(value, list) else value


def _depth(annotation: Any) -> int:
    """How deep tuples nest in what a field holds: 1 for ``str | tuple[Part, ...]``."""
    if get_origin(annotation) is tuple:
        return 1 + max(map(_depth, annotation.__args__))
    return max(map(_depth, annotation.__args__)) if isinstance(annotation, UnionType) else 0


def _plain(default: Any) -> Any:
    return default.factory() if hasattr(default, "factory") else default


def _fields_of(cls: Any) -> tuple[tuple[str, int, Any], ...]:
    """Name, depth of tuples, and default of each field."""
    attrs.resolve_types(cls)
    return tuple((field.name, _depth(field.type), _plain(field.default)) for field in attrs.fields(cls))


_FIELDS = {name: _fields_of(cls) for name, cls in _TYPES.items()}
