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

from dougong.errors import ConfigError, Place
from dougong.messages import t
from dougong.technique import Use

MAX_BYTES = 256 * 1024
MAX_NODES = 2_000
MAX_DEPTH = 64
MAX_DIGITS = 100  # of a whole number: beyond it, neither a float nor (at 4,300) Python's own printing takes it


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
    root = compose(text, file)
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


def upon(default: Node, node: Node) -> Node:
    """What fills a slot that has a default: `node`; one that names no technique changes the default's parameters."""
    if not isinstance(node.value, dict) or not isinstance(default.value, dict) or {"use", "ref"} & node.value.keys():
        return node
    known = default.value
    changed = {key: upon(known[key], item) if key in known else item for key, item in node.value.items()}
    places = {**dict.fromkeys(known, node.place), **node.keys}
    return Node({**known, **changed}, node.place, places)


# ---------------------------------------------------------------- YAML


def compose(text: str, file: str) -> Node | None:
    """The tree of a YAML text, whatever its root; None where it holds nothing."""
    place = Place(file, 1)
    composer = _Composer(file)
    try:
        return composer.document(YAML(typ="safe", pure=True).parse(text))
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
    except (ValueError, OverflowError):  # an escape such as "\\UFFFFFFFF"
        raise ConfigError(
            t("not valid YAML: {problem}", problem=t("an escape that names no character")),
            place=composer.place,
            hint=t("remove it"),
        ) from None


class _Composer:
    """Events to nodes. Aliases copy: nodes are never changed, so the copy is the node itself, counted again."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._count = 0
        self.place = Place(file, 1)
        """Of the last event."""

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
                raise self._error(
                    event,
                    t("alias '*{name}' has no anchor before it", name=event.anchor[:60]),
                    t("write the value out"),
                )
            self._grow(event, size - 1)
            return node
        if event.tag is not None:
            raise self._error(event, t("tags such as '{tag}' are not allowed", tag=event.tag[:60]), t("remove the tag"))
        place = self._place(event)
        if kind == "ScalarEvent":
            node = Node(self._scalar(event), place)
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
                    t("'{key}' is written twice; first in line {line}", key=key[:60], line=keys[key].line),
                    t("remove one"),
                )
            keys[key] = self._place(event)
            items[key] = self._node(next(events), events, depth + 1)
        return Node(items, place, keys)

    def _scalar(self, event: Any) -> Any:
        # JSON writes what lies beyond U+FFFF as two escapes; a lone half of a pair cannot be stored anywhere.
        text = event.value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if not event.implicit[0]:
            return text
        if len(text) > MAX_DIGITS and _INT.fullmatch(text):
            raise self._error(
                event, t("a number of {count} digits", count=len(text)), t("quote it if you mean a string")
            )
        return scalar(text)

    def _grow(self, event: Any, size: int) -> None:
        self._count += size
        self.place = self._place(event)
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
    if len(text) <= MAX_DIGITS and _INT.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def base_folder(place: Place) -> Path:
    """What relative paths start from: the config's folder; for ``--set`` and Python, the current one."""
    return Path(place.file).parent if place.line and os.path.exists(place.file) else Path()


def under(folder: Path, path: Path) -> Path:
    """`path` as seen from `folder`, without ``..`` where the shorter name means the same place."""
    full = folder / path
    short = Path(os.path.normpath(full))
    return short if ".." in full.parts and short.resolve() == full.resolve() else full
