"""The list, and when the next in it is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
from dougong import LLM, Cancelled, Delta, Exhausted, Message, Sampling, Tool
from dougong.errors import Diverged

from dougong_llm_fallback import AllFailed, Params
from dougong_llm_fallback.errors import reason


class Fallback:
    """Asks each model in turn until one begins to answer.

    A failure passes the request on only before the model's first delta was handed on: what was said cannot be unsaid.
    The first delta's ``data["fallback"]`` tells which model answered and why those before it did not.
    """

    def __init__(self, params: Params) -> None:
        self._of, self._on = params.of, frozenset(params.on)

    def chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        schema: Mapping[str, Any] | None = None,
        sampling: Sampling = Sampling(),
    ) -> Iterator[Delta]:
        """The reply of the first model that gives one.

        Raises AllFailed; and at once, with a note of the failures before it, a failure that `on` does not name.
        """
        failed: list[tuple[str, Exception]] = []
        for number, llm in enumerate(self._of):
            begun = False
            try:
                for delta in llm.chat(messages, tools, schema, sampling):
                    yield delta if begun else self._told(delta, _name(number, llm), failed)
                    begun = True
                return
            except Exception as error:
                if begun or not self._passes_on(error):
                    for name, before in failed:
                        error.add_note(f"before it, {name} failed: {reason(before)}")
                    raise
                failed.append((_name(number, llm), error))
        raise AllFailed(failed) from failed[-1][1]

    def _passes_on(self, error: Exception) -> bool:
        if isinstance(error, (Cancelled, Diverged, Exhausted)):  # no model's failure, whatever `on` says
            return False
        names = {cls.__name__ for cls in type(error).__mro__}
        return getattr(error, "kind", None) in self._on or not names.isdisjoint(self._on)

    @staticmethod
    def _told(delta: Delta, name: str, failed: Sequence[tuple[str, Exception]]) -> Delta:
        told = {"answered": name, "failed": {name: reason(error) for name, error in failed}}
        return attrs.evolve(delta, data={**delta.data, "fallback": told})


def _name(number: int, llm: LLM) -> str:
    model = getattr(llm, "model", "")
    return f"of[{number}] ({model})" if model and isinstance(model, str) else f"of[{number}]"
