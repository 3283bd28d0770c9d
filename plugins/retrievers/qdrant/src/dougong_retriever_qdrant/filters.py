"""Metadata as Qdrant can compare it, and filters over it that mean what `dougong.where` means.

Qdrant tells 1 from 1.0 and from True, matches no float, and has its own idea of what is not there. So each value is
stored as a keyword of field and value, equal where Python's values are equal; numbers are kept beside, for ranges.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from qdrant_client import models

_EXACT = 2**53  # integers beyond are not told apart by a float
_RANGES = ("gt", "gte", "lt", "lte")


def payload(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What is stored of a chunk's metadata: ``is`` keywords, ``number`` values by field, ``odd`` fields."""
    words: list[str] = []
    numbers: dict[str, list[float]] = {}
    odd = False
    for field, value in meta.items():
        if value is None:
            continue
        items = list(value) if isinstance(value, (list, tuple)) else [value]
        found = [_word(field, item) for item in items]
        odd = odd or None in found
        words += dict.fromkeys(word for word in found if word is not None)
        if not items:
            words.append(_mark("empty", field))
        if len(set(found)) > 1:
            words.append(_mark("several", field))
        real = [float(item) for item in items if isinstance(item, (bool, int, float)) and abs(item) < _EXACT]
        odd = odd or len(real) < sum(isinstance(item, (int, float)) for item in items)
        if real:
            numbers[_name(field)] = real
    return {"is": words, "number": numbers, "odd": odd}


def translate(where: Mapping[str, Any]) -> models.Filter:
    """A filter that every chunk passes that meets `where`. Of others, those alone that have odd values, or where the
    condition is one that Qdrant has not: an order of strings, a prefix."""
    must: list[Any] = []
    for field, condition in where.items():
        if not isinstance(condition, Mapping):
            condition = {"eq": condition}
        for name, want in condition.items():
            if (test := _condition(field, name, want)) is not None:
                must.append(test)
    odd = models.FieldCondition(key="odd", match=models.MatchValue(value=True))
    return models.Filter(should=[models.Filter(must=must), odd]) if must else models.Filter()


def _condition(field: str, name: str, want: Any) -> Any:
    if name == "eq" and (word := _word(field, want)):
        return _is([word])
    if name == "in" and isinstance(want, (list, tuple, set, frozenset)):
        words = [_word(field, item) for item in want]
        return _is([word for word in words if word]) if None not in words else None
    if name == "ne" and (word := _word(field, want)):
        different = models.Filter(should=[_is([_mark("several", field)]), models.Filter(must_not=[_is([word])])])
        return models.Filter(must=[different], must_not=[_is([_mark("empty", field)])])
    if name in _RANGES and isinstance(want, (bool, int, float)) and abs(want) < _EXACT:
        key = f"number.{_name(field)}[]"
        return models.FieldCondition(key=key, range=models.Range(**{name: float(want)}))
    return None


def _is(words: list[str]) -> Any:
    return models.FieldCondition(key="is", match=models.MatchAny(any=words))


def _word(field: str, value: Any) -> str | None:
    """A keyword that is the same for equal values; None for what has none: NaN, what is no JSON scalar."""
    if isinstance(value, (bool, int, float)) and not math.isnan(value):
        value = int(value) if not math.isinf(value) and value == int(value) else value
    elif value is not None and not isinstance(value, str):
        return None
    return json.dumps([field, value])


def _mark(what: str, field: str) -> str:
    return json.dumps({what: field})


def _name(field: str) -> str:
    """`field` as a key that needs no quoting in a path."""
    return "f" + field.encode("utf-8", "surrogatepass").hex()
