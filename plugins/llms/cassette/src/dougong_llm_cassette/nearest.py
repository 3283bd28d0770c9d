"""Which recorded request is the nearest to one that is not recorded, and where the two first differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import Any

_READ = 400  # characters of a text that are compared for likeness: enough to rank, and quick


def leaves(data: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of JSON data with its path, ``messages[1].content``."""
    if isinstance(data, dict) and data:
        for key, item in data.items():
            if key != "$":
                yield from leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(data, list) and data:
        for index, item in enumerate(data):
            yield from leaves(item, f"{path}[{index}]")
    else:
        yield path, data


def nearest(asked: Any, recorded: Iterable[tuple[int, dict[str, Any]]]) -> tuple[int, dict[str, Any]] | None:
    """The entry whose request is most like `asked`; None of none."""
    wanted = dict(leaves(asked))
    return max(recorded, key=lambda item: _likeness(wanted, dict(leaves(item[1]["request"]))), default=None)


def difference(recorded: Any, asked: Any) -> str:
    """Where two requests first differ, and what stands there in each."""
    old, new = dict(leaves(recorded)), dict(leaves(asked))
    for path in (*new, *(path for path in old if path not in new)):
        if path not in old:
            return f"{path}: asked {_short(new[path])}, not recorded"
        if path not in new:
            return f"{path}: recorded {_short(old[path])}, not asked"
        if old[path] != new[path]:
            return _between(path, old[path], new[path])
    return "nothing that is shown"


def _likeness(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Share of equal values, like texts counted in part; between 0 and 1."""
    equal = 0.0
    for path, value in one.items():
        if path in other:
            if value == other[path]:
                equal += 1
            elif isinstance(value, str) and isinstance(other[path], str):
                equal += 0.9 * SequenceMatcher(None, value[-_READ:], other[path][-_READ:], autojunk=False).quick_ratio()
    return equal / max(len(one.keys() | other.keys()), 1)


def _between(path: str, old: Any, new: Any) -> str:
    if not (isinstance(old, str) and isinstance(new, str)):
        return f"{path}: recorded {_short(old)}, asked {_short(new)}"
    at = next((i for i, (a, b) in enumerate(zip(old, new)) if a != b), min(len(old), len(new)))
    start = max(0, at - 15)
    place = f"{path}, character {at}" if start else path
    return f"{place}: recorded {_short(old[start:])}, asked {_short(new[start:])}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
