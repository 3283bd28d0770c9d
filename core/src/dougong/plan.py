"""What the resolver makes of a config: plans of techniques, as values and as data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from dougong.config import Node, base_folder
from dougong.errors import Place
from dougong.registry import Loaded
from dougong.types import Secret


@attrs.frozen(eq=False)
class Ref:
    """A slot filled by what the document calls `name`."""

    name: str
    path: str
    place: Place
    protocol: type


@attrs.frozen(eq=False)
class Plan:
    """A technique that is checked and can be built.

    Attributes:
        values: its params; in a slot's place a `Plan`, `Ref`, `Given` or `Fresh`.
        node: as written, for the lock and for `show`.
    """

    path: str
    node: Node
    loaded: Loaded
    values: Mapping[str, Any]


@attrs.frozen(eq=False)
class Given:
    """An object handed over from Python for a slot of `protocol`."""

    value: Any
    path: str
    protocol: type


@attrs.frozen(eq=False)
class Fresh:
    """A ``Builder`` slot: `part` is built anew at each call."""

    part: Plan | Given


@attrs.frozen(eq=False)
class Document:
    """A checked config: top-level names, and the middleware, outermost first."""

    plans: Mapping[str, Plan]
    middleware: tuple[Plan | Ref | Given, ...]

    def at(self, path: str) -> Any:
        """What stands at `path` (``library.chunker``, ``main.of[1]``), refs followed on the way. Raises KeyError."""
        part: Any = self.plans
        try:
            for step in re.findall(r"[^.\[\]]+", path):
                part = self.plans[part.name] if isinstance(part, Ref) else part
                part = part.values if isinstance(part, Plan) else part
                part = part[int(step) if isinstance(part, (list, tuple)) else step]
        except (LookupError, TypeError, ValueError):
            raise KeyError(path) from None
        return part


# ---------------------------------------------------------------- a plan as data


def described(plan: Plan, document: Document | None = None) -> dict[str, Any]:
    """A plan as ``{use: full.name, ...}`` with every default; refs are followed where `document` is given.

    Secrets show as ``***``; paths as they would be written beside the config.
    """
    return {
        "use": plan.loaded.name,
        **{name: _data(value, plan, document) for name, value in plan.values.items()},
    }


def _data(value: Any, plan: Plan, document: Document | None) -> Any:
    if isinstance(value, Fresh):
        return _data(value.part, plan, document)
    if isinstance(value, Plan):
        return described(value, document)
    if isinstance(value, Ref):
        return {"ref": value.name} if document is None else described(document.plans[value.name], document)
    if isinstance(value, Given):
        from dougong.origin import origin  # which describes plans

        built = origin(value.value)
        cls = type(value.value)
        return dict(built.params) if built else {"object": f"{cls.__module__}.{cls.__qualname__}"}
    if isinstance(value, Mapping):
        return {key: _data(item, plan, document) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_data(item, plan, document) for item in value]
    if isinstance(value, Path):
        folder, full = base_folder(plan.node.place).absolute(), value.absolute()
        return (full.relative_to(folder) if full.is_relative_to(folder) else full).as_posix()
    if isinstance(value, Secret):
        return "***"
    return _data(attrs.asdict(value, recurse=False), plan, document) if attrs.has(type(value)) else value


def walk(plan: Plan, document: Document | None = None) -> Iterator[Plan]:
    """A plan and the plans it needs; refs are followed where `document` is given."""
    yield plan
    for part in _flat(list(plan.values.values())):
        if isinstance(part, Ref) and document is not None:
            part = document.plans[part.name]
        if isinstance(part, Plan):
            yield from walk(part, document)


def _flat(value: Any) -> Iterator[Any]:
    """What stands in a param, out of its lists, mappings and builders."""
    if isinstance(value, Fresh):
        yield value.part
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _flat(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _flat(item)
    else:
        yield value
