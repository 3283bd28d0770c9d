"""Loads a plugin when one of its techniques is first used. The only file that touches pluggy's manager."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
import sys
import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import attrs
import pluggy

from dougong import hookspecs
from dougong.discovery import GROUP, Entry, discover
from dougong.errors import Place, PluginError
from dougong.kinds import KINDS, kind_of
from dougong.messages import t
from dougong.params import fields_of, holds_slot
from dougong.technique import Technique

_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@attrs.frozen
class Loaded:
    """A technique that is ready to be validated and built, and who declared it."""

    kind: str
    technique: Technique
    entry: Entry

    @property
    def name(self) -> str:
        return f"{self.kind}.{self.technique.name}"

    @property
    def protocol(self) -> type:
        return self.technique.protocol or KINDS[self.kind]


class Registry:
    """Techniques by kind and name.

    Args:
        entries: what is installed; by default everything on the path.
        files: local plugin files, each ``path/to/file.py`` with hook implementations in it.
    """

    def __init__(self, entries: Iterable[Entry] | None = None, files: Iterable[Path] = ()) -> None:
        self.entries = list(discover() if entries is None else entries)
        self._lock = threading.RLock()
        self._loaded: dict[tuple[str, str], Loaded] = {}
        self._failed: dict[tuple[str, str], BaseException] = {}
        self._declared: list[tuple[str, Any]] = []
        self._manager = pluggy.PluginManager("dougong")
        self._manager.add_hookspecs(hookspecs)
        for kind, hook in hookspecs.DECLARING.items():
            getattr(self._manager.hook, hook).call_historic(result_callback=partial(self._buffer, kind))
        for file in files:
            self._load_file(file)

    # ------------------------------------------------------------ finding

    def names(self, kind: str) -> list[str]:
        """Short names of a kind's techniques of our API version, each once."""
        return sorted({entry.technique for entry in self.entries if entry.group == GROUP and entry.kind == kind})

    def find(self, use: str, kind: str | None = None) -> Loaded:
        """The technique that ``use: ...`` names, loaded.

        `use` is ``name`` where `kind` is known, else ``kind.name``; ``distribution:name`` picks one of two that clash.
        Raises PluginError: not installed, of another API version, declared twice, or broken.
        """
        distribution, _, full = use.rpartition(":")
        if kind is None or "." in full:
            named, _, short = full.partition(".")
        else:
            named, short = kind, full
        if named not in KINDS or not short:
            raise self._unplaced(full)
        found = [
            entry
            for entry in self.entries
            if entry.name == f"{named}.{short}" and distribution in ("", entry.distribution)
        ]
        fitting = [entry for entry in found if entry.group == GROUP]
        if len(fitting) > 1:
            owners = ", ".join(entry.origin for entry in fitting)
            raise PluginError(
                t("two distributions declare {name}: {owners}", name=f"{named}.{short}", owners=owners),
                hint=t("choose one with 'use: {choice}:{name}', or uninstall one",
                       choice=fitting[0].distribution, name=full),
            )  # fmt: skip
        if fitting:
            return self._load(fitting[0])
        if found:
            raise PluginError(
                t("{name} is made for plugin API {have}; this dougong has {ours}",
                  name=f"{named}.{short}", have=found[0].group, ours=GROUP),
                hint=t("install a version of {distribution} that fits", distribution=found[0].distribution),
                distribution=found[0].origin,
            )  # fmt: skip
        raise self._missing(named, short)

    def _unplaced(self, full: str) -> PluginError:
        if "." in full and full.partition(".")[0] not in KINDS:
            return PluginError(
                t("'{name}' is not a technique: no kind is called '{kind}'", name=full, kind=full.partition(".")[0]),
                hint=t("'use' names a technique, never an import path; kinds are {kinds}", kinds=", ".join(KINDS)),
            )
        candidates = sorted({e.name for e in self.entries if e.technique == full and e.group == GROUP})
        hint = t("write '{name}'", name="' or '".join(candidates)) if candidates else t("write 'kind.name'")
        return PluginError(t("'{name}' has no kind here", name=full), hint=hint)

    def _missing(self, kind: str, short: str) -> PluginError:
        from dougong.known import cure  # reads the index

        hint = cure(kind, short, self.names(kind))
        return PluginError(t("no {kind} '{name}' is installed", kind=kind, name=short), hint=hint)

    # ------------------------------------------------------------ loading

    def _load(self, entry: Entry) -> Loaded:
        key = (entry.distribution, entry.name)
        with self._lock:
            if key not in self._loaded:
                module_key = (entry.distribution, entry.module)
                if module_key in self._failed:
                    raise _broken(entry, self._failed[module_key])
                try:
                    module = importlib.import_module(entry.module)
                    techniques = self._register(module, entry.module)
                    self._check_manifest(entry, techniques)
                except KeyboardInterrupt:
                    raise
                except BaseException as reason:  # a plugin may even call sys.exit while it is imported
                    self._forget(entry.module)
                    self._failed[module_key] = reason
                    raise _broken(entry, reason) from reason
                self._commit(entry, techniques)
            return self._loaded[key]

    def _load_file(self, file: Path) -> None:
        name = "dougong_local_" + re.sub(r"\W", "_", file.stem)
        entry = Entry(GROUP, "", name, str(file), "")
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None or not file.is_file():
            raise PluginError(t("there is no such Python file"), place=Place(str(file)), hint=t("check the path"))
        try:
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
            techniques = self._register(module, name)
        except KeyboardInterrupt:
            raise
        except BaseException as reason:
            self._forget(name)
            sys.modules.pop(name, None)
            raise _broken(entry, reason) from reason
        # A file given on purpose stands before what is installed under the same name.
        mine = {f"{kind}.{technique.name}" for kind, technique in techniques}
        self.entries = [e for e in self.entries if e.name not in mine]
        self.entries += [entry._replace(name=name) for name in sorted(mine)]
        self._commit(entry, techniques)

    def _buffer(self, kind: str, declared: Any) -> None:
        self._declared.append((kind, declared))

    def _register(self, module: ModuleType, name: str) -> list[tuple[str, Technique]]:
        """Register with pluggy; what the plugin declares, checked, not yet visible to anyone."""
        self._declared.clear()
        if self._manager.has_plugin(name):  # two distributions of one module
            self._manager.unregister(name=name)
        self._manager.register(module, name=name)
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError:
            hooks = [hook for hook in vars(module) if hook.startswith("dougong_")]
            known = [name for name in vars(hookspecs) if name.startswith("dougong_")]
            wrong = next((hook for hook in hooks if hook not in known), "")
            close = difflib.get_close_matches(wrong, known, 1)
            raise TypeError(
                t("there is no hook '{hook}'", hook=wrong)
                + (" (" + t("did you mean '{name}'?", name=close[0]) + ")" if close else "")
            ) from None
        techniques = [(kind, item) for kind, items in self._declared for item in _as_list(items)]
        for kind, technique in techniques:
            _check(kind, technique)
        return techniques

    def _check_manifest(self, entry: Entry, techniques: list[tuple[str, Technique]]) -> None:
        declared = sorted(f"{kind}.{technique.name}" for kind, technique in techniques)
        promised = sorted(
            e.name
            for e in self.entries
            if (e.group, e.distribution, e.module) == (entry.group, entry.distribution, entry.module)
        )
        if declared != promised:
            raise TypeError(
                t("its entry points name {promised} but its hooks declare {declared}",
                  promised=", ".join(promised), declared=", ".join(declared) or t("nothing"))
            )  # fmt: skip

    def _commit(self, entry: Entry, techniques: list[tuple[str, Technique]]) -> None:
        for kind, technique in techniques:
            name = f"{kind}.{technique.name}"
            self._loaded[entry.distribution, name] = Loaded(kind, technique, entry._replace(name=name))

    def _forget(self, name: str) -> None:
        if self._manager.has_plugin(name):
            self._manager.unregister(name=name)

    # ------------------------------------------------------------ build hooks

    def before_build(self, path: str, technique: str, params: Any) -> None:
        self._manager.hook.dougong_before_build(path=path, technique=technique, params=params)

    def after_build(self, path: str, technique: str, instance: Any) -> None:
        self._manager.hook.dougong_after_build(path=path, technique=technique, instance=instance)


def _as_list(items: Any) -> list[Any]:
    if not isinstance(items, (list, tuple)):
        raise TypeError(t("a declaring hook returned {got}, not a list of Technique", got=type(items).__name__))
    return list(items)


def _check(kind: str, technique: Any) -> None:
    """Raise TypeError where a declaration cannot be right."""
    if not isinstance(technique, Technique):
        raise TypeError(t("a declaring hook returned {got}, not a list of Technique", got=repr(technique)[:60]))
    if not attrs.has(technique.params):
        raise TypeError(t("the params of {name} are not an attrs class", name=technique.name))
    if not _FACTORY.fullmatch(technique.factory):
        raise TypeError(t("the factory of {name} is not written 'module:name'", name=technique.name))
    for field in fields_of(technique.params).values():  # raises NameError for a type that is not there at run time
        if field.name == "use" or getattr(field.default, "takes_self", False):
            raise TypeError(t("parameter '{field}' of {name} cannot be set by a config", field=field.name,
                              name=technique.name))  # fmt: skip
        members = get_args(field.type) if get_origin(field.type) in (Union, UnionType) else ()
        if holds_slot(field.type) and len([member for member in members if member is not NoneType]) > 1:
            raise TypeError(t("parameter '{field}' of {name} is a slot and something else", field=field.name,
                              name=technique.name))  # fmt: skip
    if technique.protocol is not None and kind_of(technique.protocol) != kind:
        raise TypeError(t("the protocol of {name} does not narrow kind {kind}", name=technique.name, kind=kind))


def _broken(entry: Entry, reason: BaseException) -> PluginError:
    what = f"{type(reason).__name__}: {reason}" if not isinstance(reason, TypeError) else str(reason)
    return PluginError(
        t("the plugin is broken: {reason}", reason=what),
        hint=t("upgrade or uninstall it, or tell its author"),
        technique=entry.name,
        distribution=entry.origin,
    )
