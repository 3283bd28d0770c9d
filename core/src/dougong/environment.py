"""What a config needs of the environment: distributions, environment variables, files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs

from dougong import known
from dougong.config import MAX_DEPTH, Node, from_python, upon
from dougong.discovery import GROUP
from dougong.distributions import canonical, installed
from dougong.errors import ConfigError, Place, PluginError
from dougong.kinds import KINDS
from dougong.messages import t
from dougong.plan import Document, Plan, walk
from dougong.registry import Registry
from dougong.resolve import resolve

_VARIABLE = re.compile(r"\$\$\{|\$\{env:([^{}:]*)(?::-([^{}]*))?\}")
_SLIP = 0.7  # likeness of names from which on one is held for a slip of the other; a swap in four letters is 0.75
_STAND_INS = ("1", "http://localhost:1/v1", "true", "a")  # numbers and text, addresses, switches, names


@attrs.define
class Need:
    """A distribution that a config names by its techniques.

    Attributes:
        version: that is installed; empty where none is.
        why: ``known`` for a distribution that is installed or in the index, ``named`` where the config spells it out
            (``use: distribution:name``), ``guessed`` where the name is made of the technique's.
        near: for a guess, a technique that it may be a slip of.
        techniques: full names, each with the config path and place where it is first named.
    """

    distribution: str
    version: str
    why: str
    near: str = ""
    techniques: dict[str, tuple[str, Place]] = attrs.field(factory=dict)


# ---------------------------------------------------------------- distributions


def needs(tree: Node, registry: Registry) -> dict[str, Need]:
    """The distributions that a config's techniques come from, by canonical name, core included.

    The config need not check, nor its techniques be installed: short names are understood where the technique around
    them is installed or known. Local plugin files need nothing.
    """
    finder = _Finder(registry)
    for name, node in tree.value.items():
        finder.value(node, ["middleware"] if name == "middleware" else None, name)
    return dict(sorted(finder.found.items()))


class _Finder:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._spelt = False
        self.found = {"dougong": Need("dougong", metadata.version("dougong"), "known")}

    def value(self, node: Node, shape: Any, path: str) -> None:
        """Look through `node`; `shape` says of which kind techniques in it are (`Known.slots`), None where unknown."""
        if path.count(".") + path.count("[") > MAX_DEPTH:  # a default that leads back to itself
            return
        if isinstance(node.value, dict) and isinstance(shape, (str, type(None))) and "use" in node.value:
            self._technique(node, shape, path)
        elif isinstance(node.value, dict):
            for key, item in node.value.items():
                inner = shape.get(key) if isinstance(shape, dict) else shape[0] if isinstance(shape, list) else None
                self.value(item, inner, f"{path}.{key}")
        elif isinstance(node.value, list):
            for index, item in enumerate(node.value):
                self.value(item, shape[0] if isinstance(shape, list) else None, f"{path}[{index}]")

    def _technique(self, node: Node, kind: str | None, path: str) -> None:
        use = node.value["use"].value
        distribution, _, full = expand(use).rpartition(":") if isinstance(use, str) else ("", "", "")
        named, short = full.split(".", 1) if "." in full else (kind, full)
        slots: Mapping[str, Any] = {}
        defaults: Mapping[str, Any] = {}
        if named in KINDS and short and "${" not in full:
            slots, defaults = self._declared(named, short, distribution, (path, node.value["use"].place))
        for key, item in node.value.items():
            if key != "use":
                if key in defaults:
                    item = upon(from_python(defaults[key], item.place), item)
                self.value(item, slots.get(key), f"{path}.{key}")
        for key, default in defaults.items():
            if key not in node.value:  # its author knows the name
                spelt, self._spelt = self._spelt, True
                self.value(from_python(default, node.place), slots.get(key), f"{path}.{key}")
                self._spelt = spelt

    def _declared(
        self, kind: str, short: str, distribution: str, where: tuple[str, Place]
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Note who declares a technique; its slots and their defaults as far as they are known."""
        name = f"{kind}.{short}"
        row = known.index().get(name)
        for entry in self._registry.entries:
            if (entry.group, entry.name) == (GROUP, name) and distribution in ("", entry.distribution):
                if entry.version:
                    self._note(name, where, Need(entry.distribution, entry.version, "known"))
                try:
                    params = self._registry.find(f"{entry.distribution}:{name}").technique.params
                except PluginError:  # broken: `check` says so
                    break
                return known.slots(params), known.defaults(params)
        else:
            if distribution or row is None:
                sure = distribution or self._spelt
                near = "" if sure else known.close(kind, short, self._registry.names(kind), _SLIP)
                why = "named" if distribution else "guessed"
                self._note(name, where, Need(distribution or f"dougong-{kind}-{short}", "", why, near))
            else:
                self._note(name, where, Need(row.distribution, "", "known"))
        return (row.slots, row.defaults) if row else ({}, {})

    def _note(self, technique: str, where: tuple[str, Place], need: Need) -> None:
        need.version = need.version or installed(need.distribution)
        self.found.setdefault(canonical(need.distribution), need).techniques.setdefault(technique, where)


def pins(config: Path) -> dict[str, str]:
    """Versions that the lock file beside `config` asks for; none where there is no lock file.

    Raises ConfigError where it is damaged.
    """
    from dougong.lock import lock_path

    path = lock_path(config)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))["distributions"]
        return {canonical(name): str(version) for name, version in data.items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        message = t("cannot read the lock file: {reason}", reason=error.strerror or error)
    except (ValueError, KeyError, TypeError, AttributeError):
        message = t("the lock file is damaged")
    raise ConfigError(message, place=Place(str(path)), hint=f"dougong lock {config}")


# ---------------------------------------------------------------- variables and files


def expand(text: str) -> str:
    """`text` with ``${env:NAME}`` filled in; other holes and unset variables stay as they are."""

    def value(match: re.Match[str]) -> str:
        return (os.environ.get(match[1]) if match[1] else "") or (match[0] if match[2] is None else match[2])

    return _VARIABLE.sub(value, text)


def variables(tree: Node) -> dict[str, bool]:
    """Names of the environment variables that a config reads, and whether it needs them to be set."""
    found: dict[str, bool] = {}
    for name, needed, _ in _variables(tree):
        found[name] = found.get(name, False) or needed
    return dict(sorted(found.items()))


def unset(tree: Node) -> list[str]:
    """Environment variables that a config needs and that are not set."""
    return [name for name, needed in variables(tree).items() if needed and not os.environ.get(name)]


def _variables(node: Node) -> Iterator[tuple[str, bool, Place]]:
    if isinstance(node.value, str):
        for match in _VARIABLE.finditer(node.value):
            if match[1]:
                yield match[1], match[2] is None, node.place
    elif isinstance(node.value, (dict, list)):
        for item in node.value.values() if isinstance(node.value, dict) else node.value:
            yield from _variables(item)


def stand_ins(tree: Node, registry: Registry) -> dict[str, str]:
    """Values for the variables that are unset, such that all else of a config can be checked.

    Of `_STAND_INS`, for each variable the first that is not complained of where it stands.
    """
    tried = dict.fromkeys(unset(tree), 0)
    while True:
        values = {name: _STAND_INS[index] for name, index in tried.items()}
        try:
            with filled(values):
                resolve(tree, registry)
            return values
        except ConfigError as error:
            wrong = {problem.place for problem in error.problems}
        again = {name for name, _, place in _variables(tree) if place in wrong and name in tried}
        again = {name for name in again if tried[name] < len(_STAND_INS) - 1}
        if not again:
            return values
        tried.update({name: tried[name] + 1 for name in again})


@contextmanager
def filled(values: Mapping[str, str]) -> Iterator[None]:
    """The environment with `values` in it."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def paths(document: Document) -> Iterator[tuple[str, Path, bool]]:
    """The files and folders in a config's params: config path, path, whether it is written there (else a default)."""
    parts = [*document.plans.values(), *(part for part in document.middleware if isinstance(part, Plan))]
    for part in parts:
        for plan in walk(part):
            for key, value in plan.values.items():
                for path in _paths(value):
                    yield f"{plan.path}.{key}", path, key in plan.node.value


def _paths(value: Any) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _paths(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _paths(item)
    elif attrs.has(type(value)) and not isinstance(value, Plan):
        yield from _paths(attrs.asdict(value, recurse=False))
