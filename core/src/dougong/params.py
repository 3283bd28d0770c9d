"""Config values to the fields of an attrs class: strict, every mistake reported.

Types are taken as written: an int may stand for a float; a bool is never an int; a string is never a number.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from dougong.config import Node, base_folder, from_python, scalar, under, upon
from dougong.errors import Place
from dougong.kinds import Builder, kind_of
from dougong.messages import t
from dougong.technique import Use
from dougong.types import Secret

BROKEN: Any = type("Broken", (), {"__repr__": lambda self: "BROKEN"})()
"""Stands for a value whose mistake was already reported."""

_WHOLE = re.compile(r"\$\{[^{}]*\}")

Problem = Callable[[str, Place, str, str], None]
"""Takes ``(path, place, message, hint)``."""


def broken(values: Mapping[str, Any]) -> bool:
    """Whether a mistake stands among `values`. By identity: values may be arrays, which do not compare to one bool."""
    return any(value is BROKEN for value in values.values())


def fields_of(cls: type) -> dict[str, attrs.Attribute[Any]]:
    """The fields that a config may set, by name, their annotations resolved."""
    attrs.resolve_types(cls)
    return {field.alias or field.name: field for field in attrs.fields(cls) if field.init}


def slot_protocol(annotation: Any) -> type | None:
    """The protocol that `annotation` is a slot of (``Retriever``, ``Builder[Block]``); None for a value."""
    if get_origin(annotation) is Builder:
        annotation = get_args(annotation)[0]
    return annotation if kind_of(annotation) else None


def holds_slot(annotation: Any) -> bool:
    """Whether `annotation` is a slot, or a list or mapping of them."""
    return slot_protocol(annotation) is not None or any(holds_slot(item) for item in get_args(annotation))


def unwrapped(annotation: Any) -> tuple[Any, bool]:
    """``X`` of ``X | None``, and whether None is allowed."""
    members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else ()
    if types.NoneType in members and len(members) == 2:
        return members[members[0] is types.NoneType], True
    return annotation, types.NoneType in members


def child(node: Node, step: str) -> Node | None:
    """An item of a mapping or list, or a field of an attrs value."""
    if isinstance(node.value, dict):
        return node.value.get(step)
    if isinstance(node.value, list) and step.isdigit() and int(step) < len(node.value):
        item: Node = node.value[int(step)]
        return item
    if attrs.has(type(node.value)) and step in fields_of(type(node.value)):
        return Node(getattr(node.value, step), node.place)
    return None


def _textual(annotation: Any) -> bool:
    """Whether an environment value for it stays the string that it is: a folder may be called ``2024``."""
    if get_origin(annotation) is Literal:
        return all(isinstance(choice, str) for choice in get_args(annotation))
    return annotation in (str, Path)


def _home(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~ of a user who does not exist: then it is a name
        return Path(text)


class Converter:
    """Nodes to Python values.

    Args:
        expand: replaces ``${...}`` in a string node, ``(node, path, raw)``; raw leaves environment values strings.
            None where that was done: what a variable or another parameter holds is not looked into again.
        fill: fills a slot, ``(node, annotation, path)``; gives BROKEN after reporting what is wrong.
        problem: takes each mistake.
    """

    def __init__(
        self, expand: Callable[[Node, str, bool], Node] | None, fill: Callable[[Node, Any, str], Any], problem: Problem
    ) -> None:
        self._expand, self._fill, self._problem = expand, fill, problem

    def fields(self, node: Node, cls: type, path: str, aside: str = "use") -> dict[str, Any]:
        """Every field of `cls` from a mapping node, key `aside` left out, defaults filled in, validators called.

        What is wrong is reported, and BROKEN in its place.
        """
        known = fields_of(cls)
        values: dict[str, Any] = {}
        for key in node.value:
            if key != aside and key not in known:
                close = difflib.get_close_matches(key, known, 1, 0.5)
                hint = t("did you mean '{name}'?", name=close[0]) if close else _parameters(known)
                self._problem(f"{path}.{key}", node.keys[key], t("unknown parameter"), hint)
        for name, field in known.items():
            item = node.value.get(name)
            inner = f"{path}.{name}"
            if item is None:
                values[name] = self._default(field, node, inner)
                continue
            if isinstance(field.default, Use):
                item = upon(from_python(field.default, item.place), item)
            values[name] = self.convert(item, field.type, inner)
        self._validate(known, node, values, path)
        return values

    def convert(self, node: Node, annotation: Any, path: str) -> Any:
        """The value of `node` as `annotation` wants it, or BROKEN."""
        annotation, optional = unwrapped(annotation)
        if optional and node.value is None:
            return None
        if slot_protocol(annotation) is not None:
            return self._fill(node, annotation, path)
        if annotation is Secret:
            return self._secret(node, path)
        if self._expand is not None and isinstance(node.value, str) and "${" in node.value:
            node = self._expand(node, path, _textual(annotation))
            if node.value is BROKEN or (optional and node.value is None):
                return node.value
            return Converter(None, self._fill, self._problem).convert(node, annotation, path)
        origin, arguments = get_origin(annotation), get_args(annotation)
        if isinstance(node.value, Secret):
            message, hint = t("a secret may only go into a secret parameter"), t("read another variable here")
            return self._fail(node, path, message, hint, got=False)
        if origin in (Union, types.UnionType):
            return self._one_of(node, arguments, path)
        if origin in (list, tuple) or annotation in (list, tuple):
            return self._sequence(node, origin or annotation, arguments, path)
        if origin in (dict, Mapping) or annotation in (dict, Mapping):
            return self._mapping(node, arguments[1] if arguments else Any, path)
        if annotation is Any or annotation is object:
            return self._plain(node, path)
        if attrs.has(annotation) and isinstance(node.value, dict):
            values = self.fields(node, annotation, path, "")
            return BROKEN if broken(values) else annotation(**values)
        return self._scalar(node, annotation, path)

    # ------------------------------------------------------------ by type

    def _scalar(self, node: Node, annotation: Any, path: str) -> Any:
        value = node.value
        if get_origin(annotation) is Literal:
            choices = get_args(annotation)
            if any(value == choice and type(value) is type(choice) for choice in choices):
                return value
            close = difflib.get_close_matches(str(value), [str(choice) for choice in choices], 1, 0.5)
            hint = t("did you mean '{name}'?", name=close[0]) if close else ""
            wanted = ", ".join(str(choice) for choice in choices)
            return self._fail(node, path, t("expected one of {choices}", choices=wanted), hint)
        if annotation is float and type(value) is int:
            return float(value)
        if annotation is Path and isinstance(value, str) and "\0" not in value:
            return under(base_folder(node.place), _home(value))
        # Of plain types exactly, since a bool is an int; of others any subclass, as a PosixPath is a Path.
        if type(value) is annotation if annotation in (bool, int, float, str) else isinstance(value, annotation):
            return value
        hint = ""
        if annotation is str and isinstance(value, (int, float)):
            hint = t("quote it")
        elif annotation in (int, float) and isinstance(value, str) and not isinstance(scalar(value), str):
            hint = t("write it without quotes")
        wanted = t(_NAMES.get(annotation, annotation.__name__))
        return self._fail(node, path, t("expected {wanted}", wanted=wanted), hint)

    def _one_of(self, node: Node, annotations: tuple[Any, ...], path: str) -> Any:
        """The first member of a union of values that fits without conversion, else the first that converts."""
        silent = Converter(self._expand, self._fill, lambda *problem: None)
        for annotation in annotations:
            value = silent.convert(node, annotation, path)
            if value is not BROKEN:
                return value
        names = " / ".join(t(_NAMES.get(a, getattr(a, "__name__", str(a)))) for a in annotations)
        return self._fail(node, path, t("expected {wanted}", wanted=names))

    def _sequence(self, node: Node, cls: type, arguments: tuple[Any, ...], path: str) -> Any:
        if not isinstance(node.value, list):
            return self._fail(node, path, t("expected {wanted}", wanted=t("a list")), t("write it as [a, b]"))
        if cls is tuple and arguments and arguments[-1] is not Ellipsis:
            if len(arguments) != len(node.value):
                return self._fail(node, path, t("expected {count} items", count=len(arguments)))
            inner = arguments
        else:
            inner = (arguments[0] if arguments else Any,) * len(node.value)
        items = [
            self.convert(item, annotation, f"{path}[{index}]")
            for index, (item, annotation) in enumerate(zip(node.value, inner, strict=True))
        ]
        return BROKEN if any(item is BROKEN for item in items) else cls(items)

    def _mapping(self, node: Node, annotation: Any, path: str) -> Any:
        if not isinstance(node.value, dict):
            return self._fail(node, path, t("expected {wanted}", wanted=t("a mapping")), t("write it as {{a: b}}"))
        items = {key: self.convert(item, annotation, f"{path}.{key}") for key, item in node.value.items()}
        return BROKEN if broken(items) else items

    def _plain(self, node: Node, path: str) -> Any:
        """Data of any shape."""
        if isinstance(node.value, dict):
            return self._mapping(node, Any, path)
        if isinstance(node.value, list):
            return self._sequence(node, list, (Any,), path)
        return node.value

    def _secret(self, node: Node, path: str) -> Any:
        if isinstance(node.value, Secret):
            return node.value
        if self._expand is not None and isinstance(node.value, str) and _WHOLE.fullmatch(node.value):
            value = self._expand(node, path, True).value
            if isinstance(value, Secret) or value is BROKEN:
                return value
            if node.value.startswith("${env:") and ":-" not in node.value:
                return Secret(value)
        # The value itself is not repeated: it may be the secret.
        message = t("a secret is read from the environment, not written into a config")
        return self._fail(attrs.evolve(node, value=None), path, message, "${env:NAME}", got=False)

    # ------------------------------------------------------------ defaults and validators

    def _default(self, field: attrs.Attribute[Any], node: Node, path: str) -> Any:
        default: Any = field.default
        if default is attrs.NOTHING:
            protocol = slot_protocol(field.type)
            if protocol is None:
                self._problem(path, node.place, t("missing parameter"), t("it has no default; write it"))
            else:
                kind = kind_of(protocol)
                self._problem(path, node.place, t("empty slot"), t("it takes a {kind}: {{use: ...}}", kind=kind))
            return BROKEN
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
            default = default.factory()
        if isinstance(default, Use) or (
            isinstance(default, (list, tuple)) and any(isinstance(i, Use) for i in default)
        ):
            return self.convert(from_python(default, node.place), field.type, path)
        return under(base_folder(node.place), default) if isinstance(default, Path) else default

    def _validate(
        self, known: Mapping[str, attrs.Attribute[Any]], node: Node, values: dict[str, Any], path: str
    ) -> None:
        """Call validators field by field. A slot is not filled yet, so its validators wait for the build."""
        instance = types.SimpleNamespace(**{k: v for k, v in values.items() if v is not BROKEN})
        for name, field in known.items():
            if field.validator is None or values[name] is BROKEN or holds_slot(field.type):
                continue
            try:
                field.validator(instance, field, values[name])
            except Exception as wrong:
                if isinstance(wrong, AttributeError) and broken(values):
                    continue  # it reads a field whose mistake was reported
                item = node.value.get(name)
                message, _, hint = str(wrong.args[0] if wrong.args else wrong).partition("; ")
                if not isinstance(wrong, (ValueError, TypeError)):
                    message, hint = t("its validator fails: {reason}", reason=repr(wrong)), t("tell its author")
                self._problem(f"{path}.{name}", item.place if item else node.place, message, hint)
                values[name] = BROKEN
                del instance.__dict__[name]  # fields that are judged by this one wait until it is right

    def _fail(self, node: Node, path: str, message: str, hint: str = "", *, got: bool = True) -> Any:
        if got:
            message += t(", got {what}", what=node.written)
        self._problem(path, node.place, message, hint)
        return BROKEN


_NAMES: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    Path: "a path",
}


def _parameters(known: Mapping[str, Any]) -> str:
    if not known:
        return t("it has no parameters")
    return t("parameters are {names}", names=", ".join(known))
