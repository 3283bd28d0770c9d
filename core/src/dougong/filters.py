"""The metadata filter that every retriever takes: ``where={"lang": "zh", "page": {"gte": 3}}``."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def test(have: Any, want: Any) -> bool:
        try:
            return compare(have, want)
        except TypeError:  # 3 < "a" is no match, not an error: metadata differs from document to document
            return False

    return test


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": _ordered(operator.gt),
    "gte": _ordered(operator.ge),
    "lt": _ordered(operator.lt),
    "lte": _ordered(operator.le),
    "in": lambda have, want: have in want,
    "prefix": lambda have, want: isinstance(have, str) and have.startswith(want),
}


def where(filter: Mapping[str, Any] | None) -> Callable[[Mapping[str, Any]], bool]:
    """Compile a filter to a predicate on metadata.

    A value means equality; a mapping of operators (``eq ne gt gte lt lte in prefix``) means all of them. All fields
    must match. A missing field matches only ``ne``. A list in the metadata matches where one of its items does.

    Raises ValueError naming an unknown operator.
    """
    tests: list[tuple[str, Callable[[Any, Any], bool], Any]] = []
    for field, condition in (filter or {}).items():
        if not isinstance(condition, Mapping):
            condition = {"eq": condition}
        for name, want in condition.items():
            if name not in _OPERATORS:
                raise ValueError(f"where.{field}: unknown operator {name!r}; use one of {', '.join(_OPERATORS)}")
            tests.append((field, _OPERATORS[name], want))

    def matches(meta: Mapping[str, Any]) -> bool:
        for field, test, want in tests:
            have = meta.get(field)
            if isinstance(have, (list, tuple)):
                if not any(test(item, want) for item in have):
                    return False
            elif have is None:
                if test is not operator.ne:
                    return False
            elif not test(have, want):
                return False
        return True

    return matches
