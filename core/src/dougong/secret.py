"""A string that must not be seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar


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
        for form in Secret._forms():
            if form in text:
                text = text.replace(form, "***")
        return text

    @staticmethod
    def _forms() -> Iterator[str]:
        for value in Secret._known:
            yield value
            if (escaped := json.dumps(value)[1:-1]) != value:
                yield escaped

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


def without(text: str, value: Any) -> str:
    """`text` without the secrets in `value`, a mapping or list of params; also those too short for `Secret.scrub`."""
    if isinstance(value, Secret):
        return text.replace(value.reveal(), "***") if value.reveal() else text
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        text = without(text, item)
    return text


class Scrubber:
    """`Secret.scrub` for a text that comes in pieces: what may be the beginning of a secret is held back."""

    def __init__(self) -> None:
        self._held = ""

    def piece(self, text: str, *, last: bool = False) -> str:
        """What can be handed on after `text`; all there is, if it is the `last`."""
        text = Secret.scrub(self._held + text)
        held = 0 if last else max((_begun(text, form) for form in Secret._forms()), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def _begun(text: str, form: str) -> int:
    """Length of the longest end of `text` that `form` begins with."""
    return next((n for n in range(min(len(form) - 1, len(text)), 0, -1) if text.endswith(form[:n])), 0)
