"""How a call failed, as plain data, and as an error again."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any

from dougong import errors
from dougong.codec import from_data, to_data
from dougong.errors import CallError, DougongError


def error_data(error: BaseException) -> dict[str, Any]:
    """What is needed to raise `error` again: its class, and what of it is plain data."""
    base = next((cls.__name__ for cls in type(error).__mro__ if cls.__module__ == errors.__name__), "")
    return {
        "type": type(error).__qualname__,
        "module": type(error).__module__,
        "base": base,
        "message": to_data(error.message if isinstance(error, DougongError) else str(error)),
        "args": to_data(error.args) if _has_form(error.args) else None,
        "fields": {name: to_data(value) for name, value in vars(error).items() if _has_form(value)},
    }


def error_from(data: dict[str, Any]) -> Exception:
    """The error that a call ended with. One of a class that is neither Python's nor dougong's is a CallError."""
    fields = from_data(data["fields"])
    if data["base"]:
        core: type[DougongError] = getattr(errors, data["base"])
        cls = next((c for c in _family(core) if (c.__module__, c.__qualname__) == (data["module"], data["type"])), core)
        error = cls.__new__(cls)  # its own __init__ may ask for what is not known here
        DougongError.__init__(error, data["message"])
        vars(error).update(fields)
        return error
    python = getattr(builtins, data["type"], None) if data["module"] == "builtins" else None
    if isinstance(python, type) and issubclass(python, Exception) and data["args"] is not None:
        try:
            return python(*from_data(data["args"]))
        except TypeError:
            pass  # one of a shape of its own
    return CallError(f"{data['type']}: {data['message']}")


def _family(cls: type[DougongError]) -> Iterator[type[DougongError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from _family(child)


def _has_form(value: Any) -> bool:
    try:
        to_data(value)
    except CallError:
        return False
    return True
