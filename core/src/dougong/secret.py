"""A string that must not be seen."""

from __future__ import annotations

import json
from typing import ClassVar


class Secret:
    """A string that prints as ``***``. `reveal` gives it to who must send it; `scrub` takes it out of a text."""

    __slots__ = ("_value",)
    _known: ClassVar[tuple[str, ...]] = ()

    def __init__(self, value: str) -> None:
        self._value = value
        if len(value) >= 4 and value not in Secret._known:  # shorter ones stand in too many words to be told apart
            # Longest first, since one may be part of another; a new tuple, since other threads are reading this one.
            Secret._known = tuple(sorted((*Secret._known, value), key=len, reverse=True))

    @staticmethod
    def scrub(text: str) -> str:
        """`text` without any secret that this process has seen, plain, or escaped as in JSON."""
        for value in Secret._known:
            if value in text:
                text = text.replace(value, "***")
            escaped = json.dumps(value)[1:-1]
            if escaped != value and escaped in text:
                text = text.replace(escaped, "***")
        return text

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not copied to disk")
