"""middleware.rate-limit: no more calls and tokens a minute than a provider allows."""

from __future__ import annotations

from typing import Any

import attrs
from dougong import Technique, hookimpl


def _some_limit(instance: Rule, attribute: Any, value: int | None) -> None:
    if value is None and instance.calls is None:
        raise ValueError("must be set, or calls; a rule limits at least one of them")
    if value is not None and value < 1:
        raise ValueError("must be at least 1; leave it out for no limit")


@attrs.frozen
class Rule:
    """name: a pattern of config paths (``main.llm``, ``*``); calls, tokens: at most so many in any `seconds`."""

    name: str = "*"
    calls: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))
    tokens: int | None = attrs.field(default=None, validator=_some_limit)
    seconds: float = attrs.field(default=60.0, validator=attrs.validators.gt(0))


@attrs.frozen
class Params:
    """What is limited.

    rules: the first whose name fits a call limits it; a rule is shared by all calls that it fits, in all runs and
        assemblies of the process that have the same rule.
    kinds: of calls that are limited: ``llm``, ``tool``, ``retriever``. Only models take tokens.
    max_output: tokens that a reply is taken to have until it is there, where the request sets no maximum.
    """

    rules: list[Rule] = attrs.field(validator=attrs.validators.min_len(1))
    kinds: list[str] = attrs.field(
        factory=lambda: ["llm"],
        validator=attrs.validators.deep_iterable(attrs.validators.in_(("llm", "tool", "retriever"))),
    )
    max_output: int = attrs.field(default=1024, validator=attrs.validators.ge(1))


@hookimpl
def dougong_middleware() -> list[Technique]:
    return [
        Technique(
            "rate-limit",
            Params,
            "dougong_middleware_rate_limit.rate_limit:RateLimit",
            summary="Calls and tokens per minute, shared by all runs of the process, first come first served.",
            source="Sliding-window log; dougong",
        )
    ]
