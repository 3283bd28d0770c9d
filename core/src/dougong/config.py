"""YAML 1.2 or JSON to a tree that remembers where each value was written. Composed, never constructed: no tags, no
merge keys, no duplicate keys, no objects."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from dougong.errors import ConfigError, DougongError, Place
from dougong.messages import t
from dougong.technique import Use

MAX_BYTES = 256 * 1024
MAX_NODES = 2_000
MAX_DEPTH = 64


@attrs.frozen
class Node:
    """A value and where it was written.

    Attributes:
        value: a scalar; ``list[Node]``; ``dict[str, Node]``; or a Python object handed to `dougong.make`.
        keys: for a mapping, where each key stands.
    """

    value: Any
    place: Place
    keys: Mapping[str, Place] = attrs.field(factory=dict)

    @property
    def written(self) -> str:
        """The value's kind in words, for error messages."""
        if isinstance(self.value, dict):
            return t("a mapping")
        if isinstance(self.value, list):
            return t("a list")
        if self.value is None:
            return t("nothing")
        if isinstance(self.value, bool):
            return t("the truth value {value}", value=str(self.value).lower())
        if isinstance(self.value, (int, float)):
            return t("the number {value}", value=self.value)
        if isinstance(self.value, str):
            return t("the string {value}", value=repr(self.value if len(self.value) < 60 else self.value[:57] + "..."))
        return t("an object of type {type}", type=type(self.value).__name__)


def read(path: Path) -> Node:
    """The tree of a config file. Raises ConfigError with file and line."""
    name = Place(str(path))
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            t("cannot read the config: {reason}", reason=error.strerror or error), place=name, hint=t("check the path")
        ) from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(
            t("the config is larger than {size} KB", size=MAX_BYTES // 1024),
            place=name,
            hint=t("keep data in files of their own"),
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            t("the config is not UTF-8"), place=Place(str(path), line), hint=t("save it as UTF-8")
        ) from None
    if path.suffix == ".json":
        text = text.replace("\t", " ")  # JSON may be indented by tabs, which YAML forbids; strings hold none
    return parse(text, str(path))


def parse(text: str, file: str) -> Node:
    """The tree of a YAML text; `file` names it in errors. The root is a mapping."""
    root = _parse(text, file)
    if root is None or root.value is None:
        raise ConfigError(t("the config is empty"), place=Place(file, 1), hint=t("it maps names to techniques, as in "
                          "'main: {{use: pattern.rag, ...}}'"))  # fmt: skip
    if not isinstance(root.value, dict):
        raise ConfigError(
            t("the config is {what}", what=root.written),
            place=root.place,
            hint=t("it maps names to techniques, as in 'main: {{use: pattern.rag, ...}}'"),
        )
    return root


def from_python(value: Any, place: Place) -> Node:
    """Python values as a tree: mappings, lists and scalars become nodes, other objects leaves."""
    if isinstance(value, Use):
        value = {"use": value.name, **value.params}
    if isinstance(value, Mapping):
        items = {str(key): from_python(item, place) for key, item in value.items()}
        return Node(items, place, dict.fromkeys(items, place))
    if isinstance(value, (list, tuple)):
        return Node([from_python(item, place) for item in value], place)
    return Node(value, place)


# ---------------------------------------------------------------- YAML


def _parse(text: str, file: str) -> Node | None:
    place = Place(file, 1)
    try:
        events = YAML(typ="safe", pure=True).parse(text)
        return _Composer(file).document(events)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark is not None:
            place = Place(file, mark.line + 1, mark.column + 1)
        problem = " ".join(str(error.problem or error.context).split())
        hint = t("indent with spaces, not tabs") if "\\t" in problem else t("check indentation, quotes and brackets")
        raise ConfigError(t("not valid YAML: {problem}", problem=problem), place=place, hint=hint) from None
    except YAMLError as error:  # the reader's: a character that YAML does not allow
        lines = text.count("\n", 0, getattr(error, "position", 0)) + 1
        raise ConfigError(
            t("not valid YAML: {problem}", problem=t("a control character")),
            place=Place(file, lines),
            hint=t("remove it"),
        ) from None
    except (RecursionError, ValueError) as error:
        raise ConfigError(t("not valid YAML: {problem}", problem=error), place=place) from None


class _Composer:
    """Events to nodes. Aliases copy: nodes are never changed, so the copy is the node itself, counted again."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._count = 0

    def document(self, events: Iterator[Any]) -> Node | None:
        root = None
        for event in events:
            if type(event).__name__ == "DocumentStartEvent":
                if root is not None:
                    raise self._error(event, t("a second document begins"), t("a config is one document"))
                root = self._node(next(events), events, 0)
        return root

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        before = self._count
        self._grow(event, 1)
        if depth > MAX_DEPTH:
            raise self._error(event, t("nested deeper than {depth}", depth=MAX_DEPTH), t("flatten it with 'ref'"))
        kind = type(event).__name__
        if kind == "AliasEvent":
            node, size = self._anchors.get(event.anchor, (None, 0))
            if node is None:
                raise self._error(event, t("alias '*{name}' has no anchor before it", name=event.anchor), "")
            self._grow(event, size - 1)
            return node
        if event.tag is not None:
            raise self._error(event, t("tags such as '{tag}' are not allowed", tag=event.tag), t("remove the tag"))
        place = self._place(event)
        if kind == "ScalarEvent":
            node = Node(scalar(event.value) if event.implicit[0] else event.value, place)
        elif kind == "SequenceStartEvent":
            items = []
            while type(item := next(events)).__name__ != "SequenceEndEvent":
                items.append(self._node(item, events, depth + 1))
            node = Node(items, place)
        else:
            node = self._mapping(place, events, depth)
        if event.anchor:
            self._anchors[event.anchor] = (node, self._count - before)
        return node

    def _mapping(self, place: Place, events: Iterator[Any], depth: int) -> Node:
        items: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        while type(event := next(events)).__name__ != "MappingEndEvent":
            key = self._node(event, events, depth + 1).value
            if key == "<<":
                raise self._error(event, t("merge keys ('<<') are not allowed"), t("write the keys out"))
            if not isinstance(key, str):
                raise self._error(event, t("a key is not a name"), t("keys are names; quote it if you mean a string"))
            if key in keys:
                raise self._error(
                    event,
                    t("'{key}' is written twice; first in line {line}", key=key, line=keys[key].line),
                    t("remove one"),
                )
            keys[key] = self._place(event)
            items[key] = self._node(next(events), events, depth + 1)
        return Node(items, place, keys)

    def _grow(self, event: Any, size: int) -> None:
        self._count += size
        if self._count > MAX_NODES:
            raise self._error(
                event, t("more than {count} values once aliases are expanded", count=MAX_NODES), t("make it smaller")
            )

    def _place(self, event: Any) -> Place:
        return Place(self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _error(self, event: Any, message: str, hint: str) -> ConfigError:
        return ConfigError(message, place=self._place(event), hint=hint)


_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS |= dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)
_WORDS |= {sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")}
_WORDS |= dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan"))


def scalar(text: str) -> Any:
    """A plain scalar by YAML 1.2's core schema: ``1e-3`` is a number, ``no`` a string."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        if len(text) > 4_000:
            raise ValueError(t("a number of {count} digits", count=len(text)))
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


# ---------------------------------------------------------------- --set

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


def override(root: Node, path: str, value: Any, place: Place) -> Node:
    """A tree in which `path` (``main.llm.model``, ``library.index.of[1]``) holds `value`, a Python value or a Node.

    Mappings that are missing on the way are made. Raises ConfigError where the path leads through something else.
    """
    steps: list[str | int] = []
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise ConfigError(
                t("'{path}' is not a path", path=path), place=place, hint=t("write name.param or name[0]")
            )
        steps.append(match[1] if match[1] is not None else int(match[2]))
        position = match.end()
    new = value if isinstance(value, Node) else from_python(value, place)
    return _put(root, steps, new, place, path)


def _put(node: Node, steps: list[str | int], new: Node, place: Place, path: str) -> Node:
    if not steps:
        return new
    step, rest = steps[0], steps[1:]
    if isinstance(step, int):
        if not isinstance(node.value, list) or step >= len(node.value):
            have = len(node.value) if isinstance(node.value, list) else 0
            raise ConfigError(
                t("there is no item [{index}] there", index=step),
                path=path,
                place=place,
                hint=t("the list has {count} items, counted from 0", count=have),
            )
        items = list(node.value)
        items[step] = _put(items[step], rest, new, place, path)
        return attrs.evolve(node, value=items)
    mapping = {} if node.value is None else node.value
    if not isinstance(mapping, dict):
        raise ConfigError(
            t("'{step}' cannot be set inside {what}", step=step, what=node.written),
            path=path,
            place=place,
            hint=t("set the whole value instead"),
        )
    inner = _put(mapping.get(step, Node(None, place)), rest, new, place, path)
    return Node({**mapping, step: inner}, node.place, {**node.keys, step: node.keys.get(step, place)})


def parse_set(option: str) -> tuple[str, Node]:
    """``path=value`` of a ``--set`` option; the value is read as YAML."""
    path, equals, text = option.partition("=")
    place = Place(f"--set {option}")
    if not equals or not path:
        raise ConfigError(t("'{option}' is not path=value", option=option), place=place, hint="--set main.k=5")
    try:
        node = _parse(text, place.file)
    except DougongError as error:
        raise ConfigError(error.message, place=place, path=path, hint=error.hint) from None
    return path, _replaced(node or Node(None, place), place)


def _replaced(node: Node, place: Place) -> Node:
    """The node with every place turned into the option's: lines mean nothing on a command line."""
    value = node.value
    if isinstance(value, dict):
        value = {key: _replaced(item, place) for key, item in value.items()}
        return Node(value, place, dict.fromkeys(value, place))
    if isinstance(value, list):
        value = [_replaced(item, place) for item in value]
    return Node(value, place)


def base_folder(place: Place) -> Path:
    """What relative paths start from: the config's folder; for ``--set`` and Python, the current one."""
    return Path(place.file).parent if place.line and os.path.exists(place.file) else Path()
