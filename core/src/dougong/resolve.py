"""The resolver: a config tree to a plan of techniques. Imports the light modules of the plugins named, no factory."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import attrs

from dougong.config import MAX_DEPTH, Node, from_python, scalar
from dougong.errors import ConfigError, DougongError, Place, PluginError
from dougong.kinds import Builder, Middleware, kind_of, protocol_members
from dougong.messages import t
from dougong.params import BROKEN, Converter, child, fields_of, holds_slot, slot_protocol, unwrapped
from dougong.plan import Document, Fresh, Given, Plan, Ref
from dougong.registry import Loaded, Registry
from dougong.technique import Use

_NAME = re.compile(r"[^\W\d][\w-]*")
_HOLE = re.compile(r"\$\$\{|\$\{([^{}]*)\}")
_MAX_TEXT = 64 * 1024


def resolve(tree: Node, registry: Registry) -> Document:
    """Check a config. Raises ConfigError with every problem there is, in the order of the file."""
    return _Resolver(tree, registry).document()


class _Resolver:
    def __init__(self, tree: Node, registry: Registry) -> None:
        self._tree, self._registry = tree, registry
        self._problems: list[DougongError] = []
        self._refs: list[tuple[str, Ref]] = []
        self._owner: list[Loaded] = []
        self._known: dict[str, Any] = {}
        self._asked: list[str] = []
        self._converter = Converter(self._expand, self._fill, self._problem)

    def document(self) -> Document:
        plans: dict[str, Plan] = {}
        middleware: list[Any] = []
        for name, node in self._tree.value.items():
            if name == "middleware":
                middleware = self._converter.convert(node, list[Middleware], name)
            elif not _NAME.fullmatch(name):
                hint = t("names are letters, digits, '_' and '-'")
                self._problem(name, self._tree.keys[name], t("'{name}' is not a name", name=name), hint)
            elif (plan := self._plan(node, None, name)) is not BROKEN:
                plans[name] = plan
        self._check_refs(plans)
        if self._problems:  # a value that others copy is looked at more than once
            problems = list({(p.path, p.place, p.message): p for p in self._problems}.values())
            problems.sort(key=lambda p: (p.place.file, p.place.line, p.place.column) if p.place else ("", 0, 0))
            raise ConfigError(problems)
        return Document(plans, tuple(middleware))

    # ------------------------------------------------------------ techniques and slots

    def _plan(self, node: Node, protocol: type | None, path: str) -> Any:
        """The plan of ``{use: ...}``; `protocol` is the slot's, None at the top level."""
        kind = kind_of(protocol) if protocol else None
        if not isinstance(node.value, dict) or "use" not in node.value:
            hint = t("write {{use: NAME, ...}}")
            if kind and (names := self._registry.names(kind)):
                hint += "; " + t("installed: {names}", names=", ".join(names))
            message = t("no technique is named here, got {what}", what=node.written)
            return self._problem(path, node.place, message, hint)
        use = node.value["use"]
        if isinstance(use.value, str) and "${" in use.value:
            use = self._expand(use, f"{path}.use", True)
        if not isinstance(use.value, str):
            if use.value is BROKEN:
                return BROKEN
            message = t("'use' names a technique, got {what}", what=use.written)
            return self._problem(path, use.place, message, t("write {{use: NAME, ...}}"))
        try:
            loaded = self._registry.find(use.value, kind)
        except PluginError as error:
            self._problems.append(
                PluginError(error.message, hint=error.hint, path=path, place=use.place,
                            technique=error.technique, distribution=error.distribution)
            )  # fmt: skip
            return BROKEN
        if protocol is not None and not self._fits(loaded, protocol, path, use.place):
            return BROKEN
        self._owner.append(loaded)
        try:
            return Plan(path, node, loaded, self._converter.fields(node, loaded.technique.params, path))
        finally:
            self._owner.pop()

    def _fits(self, loaded: Loaded, protocol: type, path: str, place: Place) -> bool:
        if protocol in loaded.protocol.__mro__:
            return True
        wanted, have = kind_of(protocol), loaded.kind
        if wanted != have:
            message = t("the slot takes a {kind}, and {name} is a {have}", kind=wanted, name=loaded.name, have=have)
        else:
            names = {"protocol": protocol.__name__, "name": loaded.name, "have": loaded.protocol.__name__}
            message = t("the slot takes {protocol}, and {name} is only {have}", **names)
        fitting = ", ".join(self._registry.names(str(wanted))) or t("nothing")
        self._problem(path, place, message, t("installed: {names}", names=fitting))
        return False

    def _fill(self, node: Node, annotation: Any, path: str) -> Any:
        protocol = slot_protocol(annotation)
        assert protocol is not None
        if get_origin(annotation) is Builder:
            if isinstance(node.value, dict) and "ref" in node.value:
                message = t("a builder makes a fresh part at each call; it cannot take a ref")
                return self._problem(path, node.place, message, t("write the technique here: {{use: NAME, ...}}"))
            given = callable(node.value)
            part = Given(node.value, path, protocol) if given else self._fill(node, protocol, path)
            return part if part is BROKEN else Fresh(part)
        if isinstance(node.value, dict) and "ref" in node.value:
            return self._ref(node, protocol, path)
        if node.value is None or isinstance(node.value, (dict, list, str, bool, int, float)):
            return self._plan(node, protocol, path)
        lacking = sorted(name for name in protocol_members(protocol) if not hasattr(node.value, name))
        if lacking:
            facts = {"what": node.written, "protocol": protocol.__name__, "names": ", ".join(lacking)}
            message = t("{what} is no {protocol}: it lacks {names}", **facts)
            return self._problem(path, node.place, message, t("hand over an object that has them"))
        return Given(node.value, path, protocol)

    def _ref(self, node: Node, protocol: type, path: str) -> Any:
        name = node.value["ref"].value
        if len(node.value) > 1 or not isinstance(name, str):
            return self._problem(path, node.place, t("a ref is a name and nothing else"), t("write {{ref: NAME}}"))
        ref = Ref(name, path, node.value["ref"].place, protocol)
        self._refs.append((path.partition(".")[0].partition("[")[0], ref))
        return ref

    def _check_refs(self, plans: Mapping[str, Plan]) -> None:
        """Every ref names something that fits, and none leads back to itself."""
        edges: dict[str, list[Ref]] = {}
        for owner, ref in self._refs:
            target = plans.get(ref.name)
            if target is not None:
                if self._fits(target.loaded, ref.protocol, ref.path, ref.place):
                    edges.setdefault(owner, []).append(ref)
            elif ref.name not in self._tree.value or ref.name == "middleware":
                names = ", ".join(name for name in self._tree.value if name != "middleware")
                message = t("there is no '{name}' to refer to", name=ref.name)
                self._problem(ref.path, ref.place, message, t("the document has {names}", names=names))
        done: set[str] = set()
        for name in edges:
            self._find_cycle(name, [], edges, done)

    def _find_cycle(self, name: str, trail: list[Ref], edges: Mapping[str, list[Ref]], done: set[str]) -> None:
        for ref in edges.get(name, ()) if name not in done else ():
            names = [step.name for step in trail]
            if ref.name == name or ref.name in names:
                start = names.index(ref.name) if ref.name in names else len(names)
                around = [ref.name, *names[start + 1 :], ref.name]
                message = t("a cycle of refs: {names}", names=" -> ".join(around))
                self._problem(ref.path, ref.place, message, t("one of them must not need the other"))
            else:
                self._find_cycle(ref.name, [*trail, ref], edges, done)
        done.add(name)

    # ------------------------------------------------------------ ${...}

    def _expand(self, node: Node, path: str, raw: bool = False) -> Node:
        """A string node with its holes filled; a string that is one hole keeps the value's type."""
        text: str = node.value
        whole = _HOLE.fullmatch(text)
        if whole is not None and whole[1] is not None:
            return from_python(self._hole(whole[1], node, path, raw), node.place)
        parts: list[str] = []
        end = 0
        for match in _HOLE.finditer(text):
            value = "${" if match[1] is None else self._hole(match[1], node, path, True)
            if value is BROKEN:
                return attrs.evolve(node, value=BROKEN)
            if not isinstance(value, (str, int, float, Path)):
                message = t("{what} cannot stand inside a string", what=attrs.evolve(node, value=value).written)
                hint = t("only strings, numbers and paths can; copy it by '${{name.param}}' alone")
                return attrs.evolve(node, value=self._problem(path, node.place, message, hint))
            parts += text[end : match.start()], _spelt(value)
            end = match.end()
        joined = "".join([*parts, text[end:]])
        if len(joined) > _MAX_TEXT:
            message = t("longer than {count} characters once filled in", count=_MAX_TEXT)
            joined = self._problem(path, node.place, message, t("keep data in files of their own"))
        return attrs.evolve(node, value=joined)

    def _hole(self, inside: str, node: Node, path: str, raw: bool) -> Any:
        if not inside.startswith("env:"):
            return self._lookup(inside, node, path)
        name, colon, default = inside[4:].partition(":-")
        value = os.environ.get(name) or (default if colon else None)
        if value is None:
            message = t("environment variable {name} is not set", name=name)
            hint = t("set it; where it is no secret, ${{env:{name}:-DEFAULT}} gives a default", name=name)
            return self._problem(path, node.place, message, hint)
        return value if raw else scalar(value)

    def _lookup(self, target: str, node: Node, path: str) -> Any:
        """The validated value of another technique's param."""
        if target not in self._known:
            if target in self._asked:
                around = " -> ".join([*self._asked[self._asked.index(target) :], target])
                message = t("a cycle of values: {names}", names=around)
                return self._problem(path, node.place, message, t("write one of them out"))
            if len(self._asked) > MAX_DEPTH:
                message = t("nested deeper than {depth}", depth=MAX_DEPTH)
                return self._problem(path, node.place, message, t("write one of them out"))
            self._asked.append(target)
            try:
                self._known[target] = self._find_value(target, node, path)
            finally:
                self._asked.pop()
        return self._known[target]

    def _find_value(self, target: str, node: Node, path: str) -> Any:
        steps = re.findall(r"[^.\[\]]+", target)
        here: Node | None = self._tree.value.get(steps[0]) if steps else None
        annotation: Any = None  # None where a technique of any kind may stand
        owner: list[Loaded] = []
        written = True
        for step in steps[1:]:
            if here is not None and isinstance(here.value, dict) and "ref" in here.value and _is_slot(annotation):
                name = here.value["ref"].value
                here, annotation = self._tree.value.get(name) if isinstance(name, str) else None, None
            if here is None:
                break
            cls = annotation
            if isinstance(here.value, dict) and "use" in here.value and _is_slot(annotation):
                found = self._technique(here, annotation)
                if found is None:
                    return BROKEN
                owner, cls = [found], found.technique.params
            if not (isinstance(cls, type) and attrs.has(cls) and isinstance(here.value, dict)):
                annotation = get_args(annotation)[-1] if get_args(annotation) else Any
                here = child(here, step)
                continue
            field = fields_of(cls).get(step)
            if field is None:
                here = None
                break
            annotation = unwrapped(field.type)[0]
            if step in here.value:
                here = here.value[step]
            elif field.default is attrs.NOTHING:
                return BROKEN
            else:
                default: Any = field.default
                here = from_python(default.factory() if isinstance(default, attrs.Factory) else default, here.place)  # type: ignore[arg-type]
                written = False
        if here is None or len(steps) < 2:
            message = t("there is no value '{name}'", name=target)
            return self._problem(path, node.place, message, t("write ${{name.param}} or ${{env:NAME}}"))
        if holds_slot(annotation) or isinstance(here.value, Use):
            return self._problem(path, node.place, t("'{name}' is a technique", name=target), t("write {{ref: NAME}}"))
        # Its own place reports a mistake; a default is taken as it is, without holes.
        silent = Converter(self._expand if written else None, self._fill, lambda *problem: BROKEN)
        self._owner += owner
        try:
            return None if here.value is None else silent.convert(here, annotation, target)
        finally:
            del self._owner[len(self._owner) - len(owner) :]

    def _technique(self, node: Node, annotation: Any) -> Loaded | None:
        """The technique of ``{use: ...}``; None where there is none, which its own place reports."""
        before = len(self._problems)
        use = node.value["use"]
        if isinstance(use.value, str) and "${" in use.value:
            use = self._expand(use, "", True)
            del self._problems[before:]
        protocol = slot_protocol(annotation)
        try:
            return self._registry.find(str(use.value), kind_of(protocol) if protocol else None)
        except PluginError:
            return None

    def _problem(self, path: str, place: Place, message: str, hint: str) -> Any:
        owner = self._owner[-1] if self._owner else None
        if owner and not hint:
            hint = t("see 'dougong plugins {name}'", name=owner.name)
        origin = {"technique": owner.name, "distribution": owner.entry.origin} if owner else {}
        self._problems.append(DougongError(message, hint=hint, path=path, place=place, **origin))
        return BROKEN


def _spelt(value: str | int | float | Path) -> str:
    """A value inside a string. A path is made absolute: where the string is read, its start is not known."""
    if isinstance(value, Path):
        return str(value.absolute())
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_slot(annotation: Any) -> bool:
    return annotation is None or slot_protocol(annotation) is not None
