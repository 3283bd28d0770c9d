"""llm.scripted: replies written beforehand, given in order. No model; for tests, examples and dry runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from dougong import Technique, hookimpl

KEYS = ("text", "tool_calls", "finish", "data", "usage", "when", "error")


def _check_replies(instance: Params, attribute: Any, replies: list[Any]) -> None:
    if not replies:
        raise ValueError("must be a list of at least one reply; write a string or a mapping with 'text'")
    for number, reply in enumerate(replies, 1):
        if isinstance(reply, str):
            continue
        if not isinstance(reply, Mapping):
            raise ValueError(f"must be strings or mappings; reply {number} is {reply!r}")
        if unknown := [key for key in reply if key not in KEYS]:
            raise ValueError(f"must be mappings of {', '.join(KEYS)}; reply {number} has {unknown[0]!r}")
        if not isinstance(reply.get("when", ""), str):
            raise ValueError(f"must have words in quotes as 'when'; reply {number} has {reply['when']!r}")
        for call in reply.get("tool_calls", ()):
            if not isinstance(call, Mapping) or "name" not in call or set(call) - {"id", "name", "arguments"}:
                raise ValueError(f"must be tool calls of name, arguments, id; reply {number} has {call!r}")


@attrs.frozen
class Params:
    """Replies, and what happens when they run out.

    replies: each a string (the text), or a mapping of ``text``; ``tool_calls``, a list of ``{name, arguments, id}``;
        ``finish`` (``stop``, or ``tool_calls`` where there are some); ``data`` (extras on the last delta); ``usage``
        (``{input_tokens, output_tokens}``, else estimated); ``when``, words that the request must contain for this
        reply to be taken; ``error``, a message to fail with after ``text`` was sent.
    strict: a call for which no reply is left fails; otherwise the last fitting reply is given again.
    piece: characters a delta, so that streaming is exercised.
    """

    replies: list[Any] = attrs.field(validator=_check_replies)
    strict: bool = True
    piece: int = attrs.field(default=8, validator=attrs.validators.ge(1))


@hookimpl
def dougong_llms() -> list[Technique]:
    return [
        Technique(
            "scripted",
            Params,
            "dougong_llm_scripted.script:Scripted",
            summary="Replies written beforehand, given in order: for tests and dry runs.",
            source="dougong; the idea as ScriptedModel (openai-agents), FunctionModel (pydantic-ai), DummyLM (dspy)",
        )
    ]
