"""One question, several queries."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from dougong import CallError, Exhausted, Hit, Message, Part, Sampling, report
from dougong_analyzer import language
from dougong_retriever_hybrid.fusing import fuse, reciprocal_rank

from dougong_retriever_fusion import Params

log = logging.getLogger("dougong.retriever.fusion")


class Fusion:
    """Hits of the query and its rewrites in every retriever, fused by rank, each chunk once.

    Where the model fails (CallError) or its reply holds no query, the original alone is searched and fused; a warning
    is logged and the run told (``progress`` event ``fusion``). A budget's end (Exhausted) and Cancelled are raised, as
    is what a retriever raises.

    Source: Rackauckas 2024; Cormack et al. 2009 for the sum of ``1 / (60 + rank)``.
    """

    def __init__(self, params: Params) -> None:
        self._params = params

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        p = self._params
        pool = max(p.pool, k)
        asked = [query, *self._rewrites(query)] if query.strip() else [query]
        found = []
        for done, one in enumerate(asked):
            report("fusion", done, len(asked))
            found += [part.search(one, pool, where) for part in p.of]
        return fuse(found, reciprocal_rank(p.rank_constant), [1.0] * len(found))[:k]

    def _rewrites(self, query: str) -> list[str]:
        p = self._params
        prompt = p.prompt_zh if language(query) == "zh" else p.prompt_en
        messages = [
            Message("system", prompt.replace("{count}", str(p.queries))),
            Message("user", (Part(query, "data", "query"),)),
        ]
        schema = {
            "type": "object",
            "properties": {"queries": {"type": "array", "items": {"type": "string"}}},
            "required": ["queries"],
            "additionalProperties": False,
        }
        try:
            sampling = Sampling(temperature=p.temperature)
            reply = "".join(delta.text for delta in p.llm.chat(messages, schema=schema, sampling=sampling))
            return queries(reply, query, p.queries)
        except Exhausted:
            raise
        except CallError as error:
            log.warning("the query alone is searched: the model did not rewrite it (%s)", error)
            report("fusion", 0, 1, f"not rewritten: {error.message}")
            return []


def queries(reply: str, original: str, count: int) -> list[str]:
    """At most `count` queries of a reply, each once, the original left out. Raises CallError where there are none.

    What stands around the JSON object (a fence, a sentence) is passed over.
    """
    start, end = reply.find("{"), reply.rfind("}")
    try:
        items = json.loads(reply[start : end + 1])["queries"]
        texts = [item.strip() for item in items if isinstance(item, str)]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CallError(f"the model's reply is no list of queries: {error}") from error
    seen = {original.strip().casefold(), ""}
    found = [text for text in texts if not (text.casefold() in seen or seen.add(text.casefold()))]  # type: ignore[func-returns-value]
    if not found:
        raise CallError("the model's reply holds no query but the original")
    return found[:count]
