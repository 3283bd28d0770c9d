"""One question to the model that has a form: asked, read, asked once more with what was wrong, or given up by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from dougong import LLM, CallError, Exhausted, Message, Part

from dougong_pattern_agentic_rag.plan import Unusable, json_object

T = TypeVar("T")


def messages(system: str, data: Sequence[Part], question: str) -> list[Message]:
    """The prompt, then all that was found or made on the way as data, then the person's own words."""
    return [Message("system", system), Message("user", (*data, Part(question)))]


def decided(
    llm: LLM,
    request: Sequence[Message],
    schema: Mapping[str, Any],
    read: Callable[[dict[str, Any]], T],
    retry: str,
) -> T:
    """What `read` makes of the reply. A reply that it refuses goes back once, the reason as data.

    Raises Unusable for the second such reply, and what the model raises.
    """
    asked = list(request)
    for attempt in (1, 2):
        reply, finish = "", ""
        try:
            for delta in llm.chat(asked, schema=schema):
                reply, finish = reply + delta.text, delta.finish or finish
            if finish == "content_filter":
                raise Unusable("the content filter withheld it")
            return read(json_object(reply))
        except Unusable as error:
            reason = str(error)
        except CallError as error:
            # An endpoint that holds its model to the schema says so itself.
            if isinstance(error, Exhausted) or getattr(error, "kind", "") != "schema":
                raise
            reason = error.message
        if attempt == 1:
            asked += [Message("assistant", reply), Message("user", (Part(reason, "data", "error"), Part(retry)))]
    raise Unusable(reason)
