"""Stops a model that repeats itself: warn, forbid, finish."""

from __future__ import annotations

import json

from dougong import ToolCall, ToolResult


class Guard:
    """Counts, for one run, how often the same call (tool and arguments) gave the same result.

    A result that differs starts the count anew, so that polling is no repetition. `finished` turns true when a call
    that is forbidden is asked for a second time: a warning alone does not stop a model.
    """

    def __init__(self, repeats: int) -> None:
        self._repeats = repeats
        self._seen: dict[str, tuple[ToolResult, int]] = {}
        self._forbidden: set[str] = set()
        self.finished = False

    def forbids(self, call: ToolCall) -> bool:
        """Whether `call` is not to be made; to ask again makes the guard `finished`."""
        key = _key(call)
        _, count = self._seen.get(key, (None, 0))
        if count < self._repeats:
            return False
        self.finished = self.finished or key in self._forbidden
        self._forbidden.add(key)
        return True

    def repeated(self, call: ToolCall, result: ToolResult) -> bool:
        """Take note of `result`; whether the call before gave the same."""
        key = _key(call)
        last, count = self._seen.get(key, (None, 0))
        same = last is not None and (last.text, last.error) == (result.text, result.error)
        self._seen[key] = (result, count + 1 if same else 1)
        return same


def _key(call: ToolCall) -> str:
    return json.dumps([call.name, call.arguments], sort_keys=True, ensure_ascii=False, default=str)
