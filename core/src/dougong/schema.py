"""JSON Schema out of a params class, for editors and other programs."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from dougong.kinds import kind_of
from dougong.params import fields_of, holds_slot, slot_protocol


def schema(cls: type, use: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of ``{use: ..., ...}`` for a params class; slots refer to ``#/$defs/<kind>``."""
    known = fields_of(cls)
    required = [name for name, field in known.items() if field.default is attrs.NOTHING]
    return {
        "type": "object",
        "properties": {"use": {"const": use}, **{name: _property(field) for name, field in known.items()}},
        "required": ["use", *required],
        "additionalProperties": False,
    }


def _property(field: attrs.Attribute[Any]) -> dict[str, Any]:
    found = _value(field.type, True)
    default = field.default
    if isinstance(default, (bool, int, float, str)) and not (isinstance(default, float) and not math.isfinite(default)):
        found["default"] = default
    return found


def _value(annotation: Any, holes: bool) -> dict[str, Any]:
    """What may be written for `annotation`: for a value, with `holes`, a ``${...}`` too."""
    found = type_schema(annotation, holes)
    return (
        found
        if not holes or holds_slot(annotation) or not found
        else {"anyOf": [found, {"type": "string", "pattern": r"\$\{"}]}
    )


def type_schema(annotation: Any, holes: bool = False) -> dict[str, Any]:
    """JSON Schema of one type's values; with `holes`, ``${...}`` may stand inside them."""
    protocol = slot_protocol(annotation)
    if protocol is not None:
        return {"$ref": f"#/$defs/{kind_of(protocol)}"}
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return {"anyOf": [type_schema(item, holes) for item in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple and Ellipsis not in arguments:
        items = [_value(item, holes) for item in arguments]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if origin in (list, tuple) or annotation in (list, tuple):
        return {"type": "array", **({"items": _value(arguments[0], holes)} if arguments else {})}
    if origin in (dict, Mapping) or annotation in (dict, Mapping):
        return {"type": "object", **({"additionalProperties": _value(arguments[1], holes)} if arguments else {})}
    if isinstance(annotation, type) and attrs.has(annotation):
        inner = fields_of(annotation)
        return {
            "type": "object",
            "properties": {name: _property(field) for name, field in inner.items()},
            "additionalProperties": False,
        }
    names = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string", type(None): "null"}
    return {"type": names[annotation]} if annotation in names else {}
