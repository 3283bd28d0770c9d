"""Techniques made in a test: registries that hold them, and one built as `dougong.make` builds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

from dougong.assemble import Assembly, installed
from dougong.config import from_python
from dougong.discovery import Entry
from dougong.errors import Place
from dougong.hookspecs import DECLARING, hookimpl
from dougong.registry import Registry
from dougong.technique import Technique

_numbers = count()
PLACE = Place("conformance")


def registry_of(files: Iterable[str | Path] = (), techniques: Mapping[str, list[Technique]] | None = None) -> Registry:
    """A fresh registry of what is installed, of plugin files, and of `techniques` by kind.

    Raises PluginError as `Registry` does, ValueError for a kind that there is not.
    """
    registry = Registry(files=[Path(file) for file in files])
    if techniques:
        module = ModuleType(f"dougong_in_memory_{next(_numbers)}")
        for kind, declared in techniques.items():
            if kind not in DECLARING:
                raise ValueError(f"there is no kind {kind!r}; kinds are {', '.join(DECLARING)}")
            setattr(module, DECLARING[kind], hookimpl(_declaring(declared), specname=DECLARING[kind]))
        mine = registry._register(module, module.__name__)
        names = {f"{kind}.{technique.name}" for kind, technique in mine}
        entry = Entry("dougong.v1", "", module.__name__, "in-memory", "")
        registry.entries = [e for e in registry.entries if e.name not in names]
        registry.entries += [entry._replace(name=name) for name in sorted(names)]
        registry._commit(entry, mine)
    return registry


def _declaring(techniques: list[Technique]) -> Callable[[], list[Technique]]:
    return lambda: techniques


def assembly_of(name: str, params: Mapping[str, Any], registry: Registry | None = None) -> Assembly:
    """An assembly with one technique, called ``made``. Raises ConfigError."""
    tree = from_python({"made": {"use": name, **params}}, PLACE)
    return Assembly(tree, installed() if registry is None else registry)
