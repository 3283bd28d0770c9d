"""dougong's values as JSON and back. What a run hands on is always what a replay would hand on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, get_origin

import attrs

from dougong import types
from dougong.errors import CallError

_TYPES: dict[str, type] = {name: cls for name, cls in vars(types).items() if isinstance(cls, type) and attrs.has(cls)}


def to_data(value: Any) -> Any:
    """Plain JSON data. A dougong value becomes ``{"$": "Hit", ...}`` with its defaults left out; tuples become lists.

    Raises CallError for what has no JSON form: a journal that cannot be read back is none.
    """
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [to_data(item) for item in value]
    if isinstance(value, Mapping):
        data = {str(key): to_data(item) for key, item in value.items()}
        return {"$": "", "value": data} if "$" in data else data
    cls = type(value)
    if _TYPES.get(cls.__name__) is cls:
        fields = ((name, getattr(value, name), default) for name, _, default in _FIELDS[cls.__name__])
        return {"$": cls.__name__, **{name: to_data(item) for name, item, default in fields if item != default}}
    if isinstance(value, PurePath):
        return value.as_posix()
    if hasattr(value, "parameters") and hasattr(value, "call"):  # a tool, as its model sees it
        return {"name": value.name, "description": value.description, "parameters": to_data(value.parameters)}
    if hasattr(value, "item") and hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0:  # a NumPy scalar
        return value.item()
    raise CallError(f"a value of type {cls.__name__} has no JSON form", hint="give plain data or dougong's types")


def from_data(data: Any) -> Any:
    """The value that `to_data` turned into `data`."""
    if isinstance(data, list):
        return [from_data(item) for item in data]
    if not isinstance(data, dict):
        return data
    name = data.get("$")
    if name is None:
        return {key: from_data(item) for key, item in data.items()}
    if name == "":
        return {key: from_data(item) for key, item in data["value"].items()}
    cls = _TYPES[name]
    values = {key: from_data(item) for key, item in data.items() if key != "$"}
    for key, is_tuple, _ in _FIELDS[name]:
        if is_tuple and isinstance(values.get(key), list):
            values[key] = tuple(values[key])
    return cls(**values)


def digest(data: Any) -> str:
    """Hex SHA-256 of JSON data, keys sorted."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _is_tuple(annotation: Any) -> bool:
    return any(get_origin(item) is tuple for item in (annotation, *getattr(annotation, "__args__", ())))


def _plain(default: Any) -> Any:
    return default.factory() if hasattr(default, "factory") else default


def _fields_of(cls: Any) -> tuple[tuple[str, bool, Any], ...]:
    """Name, whether it holds a tuple, and default of each field."""
    attrs.resolve_types(cls)
    return tuple((field.name, _is_tuple(field.type), _plain(field.default)) for field in attrs.fields(cls))


_FIELDS = {name: _fields_of(cls) for name, cls in _TYPES.items()}
