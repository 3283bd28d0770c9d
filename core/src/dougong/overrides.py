"""Values that replace those of a config before it is checked: ``--set main.k=5``."""

from __future__ import annotations

import re
from typing import Any

import attrs

from dougong.config import MAX_DEPTH, Node, compose, from_python
from dougong.errors import ConfigError, DougongError, Place
from dougong.messages import t

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


def override(root: Node, path: str, value: Any, place: Place) -> Node:
    """A tree in which `path` (``main.llm.model``, ``library.index.of[1]``) holds `value`, a Python value or a Node.

    Mappings that are missing on the way are made. Raises ConfigError where the path leads through something else.
    """
    steps: list[str | int] = []
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None or len(steps) > MAX_DEPTH:
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
    place = Place(f"--set {path}")  # without the value: it may be a secret
    if not equals or not path:
        raise ConfigError(t("'{option}' is not path=value", option=option), place=place, hint="--set main.k=5")
    try:
        node = compose(text, place.file)
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
