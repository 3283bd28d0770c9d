"""llm.fallback: a list of chat models; the next one is asked where one fails in a named way."""

from __future__ import annotations

import attrs
from dougong import LLM, Technique, hookimpl

from dougong_llm_fallback.errors import AllFailed as AllFailed

ON = ["timeout", "rate-limit", "server", "network", "cut-stream"]


@attrs.frozen
class Params:
    """Who is asked, and which failures pass a request on.

    of: chat models, in the order in which they are asked.
    on: failures that pass the request on: kinds as errors name them in their ``kind`` (``timeout``, ``rate-limit``,
        ``server``, ``network``, ``cut-stream``, ``auth``, ``bad-request``, ``content-filter``, ``schema``), or names of
        error classes, those they inherit from included (``CallError`` is every failure of a call).
    """

    of: list[LLM] = attrs.field(validator=attrs.validators.min_len(1))
    on: list[str] = attrs.field(factory=lambda: list(ON), validator=attrs.validators.min_len(1))


@hookimpl
def dougong_llms() -> list[Technique]:
    return [
        Technique(
            "fallback",
            Params,
            "dougong_llm_fallback.fallback:Fallback",
            summary="A list of chat models, tried in order when one fails in a named way.",
            source="dougong; the idea as FallbackModel (pydantic-ai) and with_fallbacks (LangChain)",
        )
    ]
