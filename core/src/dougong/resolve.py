"""The resolver: a config tree to a plan of techniques. Imports the light modules of the plugins named, no factory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import attrs

from dougong.config import Node, from_python, scalar
from dougong.errors import ConfigError, DougongError, Place, PluginError
from dougong.kinds import Builder, Middleware, kind_of, protocol_members
from dougong.messages import t
from dougong.params import BROKEN, Converter, fields_of, slot_protocol
from dougong.registry import Loaded, Registry
from dougong.technique import Use
from dougong.types import Secret

_NAME = re.compile(r"[^\W\d][\w-]*")
_HOLE = re.compile(r"\$\$\{|\$\{([^{}]*)\}")
_MAX_TEXT = 64 * 1024


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
        values: its params; in a slot's place a `Plan`, `Ref` or `Given`, or a `Fresh` of one.
        node: as written, for the lock and for `show`.
    """

    path: str
    node: Node
    loaded: Loaded
    values: Mapping[str, Any]


@attrs.frozen(eq=False)
class Given:
    """An object handed over from Python."""

    value: Any


@attrs.frozen(eq=False)
class Fresh:
    """A ``Builder`` slot: `part` is built anew at each call, a `Ref` once."""

    part: Plan | Ref | Given


@attrs.frozen(eq=False)
class Document:
    """A checked config: top-level names, and the middleware, outermost first."""

    plans: Mapping[str, Plan]
    middleware: tuple[Plan | Ref | Given, ...]


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
        if self._problems:
            self._problems.sort(key=lambda p: (p.place.file, p.place.line, p.place.column) if p.place else ("", 0, 0))
            raise ConfigError(self._problems)
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
            return self._problem(path, use.place, t("'use' names a technique, got {what}", what=use.written), "")
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
            message = t("the slot takes {protocol}, and {name} is only {have}",
                        protocol=protocol.__name__, name=loaded.name, have=loaded.protocol.__name__)  # fmt: skip
        self._problem(path, place, message, t("installed: {names}", names=", ".join(self._registry.names(str(wanted)))))
        return False

    def _fill(self, node: Node, annotation: Any, path: str) -> Any:
        protocol = slot_protocol(annotation)
        assert protocol is not None
        if get_origin(annotation) is Builder:
            part = self._fill(node, protocol, path) if not callable(node.value) else Given(node.value)
            return part if part is BROKEN else Fresh(part)
        if isinstance(node.value, dict) and "ref" in node.value:
            return self._ref(node, protocol, path)
        if node.value is None or isinstance(node.value, (dict, list, str, bool, int, float)):
            return self._plan(node, protocol, path)
        lacking = sorted(name for name in protocol_members(protocol) if not hasattr(node.value, name))
        if lacking:
            message = t("{what} is no {protocol}: it lacks {names}",
                        what=node.written, protocol=protocol.__name__, names=", ".join(lacking))  # fmt: skip
            return self._problem(path, node.place, message, "")
        return Given(node.value)

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
            return attrs.evolve(node, value=self._hole(whole[1], node, path, raw))
        parts: list[str] = []
        end = 0
        for match in _HOLE.finditer(text):
            value = "${" if match[1] is None else self._hole(match[1], node, path, True)
            if value is BROKEN:
                return attrs.evolve(node, value=BROKEN)
            if not isinstance(value, (str, int, float, Path)):
                what = attrs.evolve(node, value=value).written
                message = t("{what} cannot stand inside a string", what=what)
                return attrs.evolve(node, value=self._problem(path, node.place, message, ""))
            parts += text[end : match.start()], str(value)
            end = match.end()
        joined = "".join([*parts, text[end:]])
        if len(joined) > _MAX_TEXT:
            message = t("longer than {count} characters once filled in", count=_MAX_TEXT)
            return attrs.evolve(node, value=self._problem(path, node.place, message, ""))
        return attrs.evolve(node, value=joined)

    def _hole(self, inside: str, node: Node, path: str, raw: bool) -> Any:
        if not inside.startswith("env:"):
            return self._lookup(inside, node, path)
        name, colon, default = inside[4:].partition(":-")
        value = os.environ.get(name) or (default if colon else None)
        if value is None:
            message = t("environment variable {name} is not set", name=name)
            return self._problem(path, node.place, message, t("set it, or write ${{env:{name}:-DEFAULT}}", name=name))
        return value if raw else scalar(value)

    def _lookup(self, target: str, node: Node, path: str) -> Any:
        """The validated value of another technique's param."""
        if target not in self._known:
            if target in self._asked:
                around = " -> ".join([*self._asked[self._asked.index(target) :], target])
                return self._problem(path, node.place, t("a cycle of values: {names}", names=around), "")
            self._asked.append(target)
            try:
                self._known[target] = self._find_value(target, node, path)
            finally:
                self._asked.pop()
        return self._known[target]

    def _find_value(self, target: str, node: Node, path: str) -> Any:
        steps = re.findall(r"[^.\[\]]+", target)
        here: Node | None = self._tree.value.get(steps[0]) if steps else None
        annotation: Any = None
        silent = Converter(self._expand, self._fill, lambda *problem: BROKEN)  # its own place reports the mistake
        for step in steps[1:]:
            if here is not None and isinstance(here.value, dict) and "ref" in here.value:
                here, annotation = self._tree.value.get(here.value["ref"].value), None
            if here is None:
                break
            if isinstance(here.value, dict) and "use" in here.value:
                protocol = slot_protocol(annotation)
                try:
                    loaded = self._registry.find(str(here.value["use"].value), kind_of(protocol) if protocol else None)
                except PluginError:
                    return BROKEN
                field = fields_of(loaded.technique.params).get(step)
                if field is None:
                    here = None
                    break
                annotation = field.type
                default: Any = field.default
                if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
                    default = default.factory()
                if step in here.value:
                    here = here.value[step]
                elif default is attrs.NOTHING:
                    return BROKEN
                else:
                    here = from_python(default, here.place)
            else:
                annotation = get_args(annotation)[-1] if get_args(annotation) else Any
                here = _child(here, step)
        if here is None or len(steps) < 2:
            message = t("there is no value '{name}'", name=target)
            return self._problem(path, node.place, message, t("write ${{name.param}} or ${{env:NAME}}"))
        if slot_protocol(annotation) is not None or isinstance(here.value, Use):
            return self._problem(path, node.place, t("'{name}' is a technique", name=target), t("write {{ref: NAME}}"))
        return silent.convert(here, annotation, target)

    def _problem(self, path: str, place: Place, message: str, hint: str) -> Any:
        owner = self._owner[-1] if self._owner else None
        self._problems.append(
            DougongError(
                message,
                hint=hint,
                path=path,
                place=place,
                technique=owner.name if owner else "",
                distribution=owner.entry.origin if owner else "",
            )
        )
        return BROKEN


def _child(node: Node, step: str) -> Node | None:
    if isinstance(node.value, dict):
        return node.value.get(step)
    if isinstance(node.value, list) and step.isdigit() and int(step) < len(node.value):
        item: Node = node.value[int(step)]
        return item
    return None


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
        from dougong.assemble import origin  # the other way round it is the builder that needs plans

        built = origin(value.value)
        cls = type(value.value)
        return dict(built.params) if built else {"object": f"{cls.__module__}.{cls.__qualname__}"}
    if isinstance(value, Mapping):
        return {key: _data(item, plan, document) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_data(item, plan, document) for item in value]
    if isinstance(value, Path):
        folder = Path(plan.node.place.file).parent
        return (value.relative_to(folder) if value.is_relative_to(folder) else value).as_posix()
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
