"""middleware.budget: what a run and all its children may use up."""

from __future__ import annotations

from typing import Any

import attrs
from dougong import Technique, Tokenizer, hookimpl

LIMITS = ("steps", "model_calls", "tool_calls", "tokens", "money", "seconds")


def _some_limit(instance: Params, attribute: Any, value: float | None) -> None:
    if value is not None and not value > 0:  # not-a-number included
        raise ValueError("must be more than 0; leave it out for no limit")
    if all(getattr(instance, name) is None for name in LIMITS):
        raise ValueError(f"must be set, or another limit; a budget has at least one of {', '.join(LIMITS)}")


_count = attrs.validators.optional(attrs.validators.ge(1))
_price = attrs.validators.ge(0)


@attrs.frozen
class Price:
    """input, output: money per million tokens."""

    input: float = attrs.field(validator=_price)
    output: float = attrs.field(validator=_price)


@attrs.frozen
class Params:
    """Limits; at least one. Each is shared by a run, its branches and its children.

    steps: model calls that patterns make; those made inside a retriever or inside another model are none.
    model_calls, tool_calls: calls, wherever they are made. tokens: input and output of all models.
    money: in `currency`. seconds: from the run's first call on; time between a crash and a resume does not count.
    prices: of models that state no money of their own, by a pattern of their config path (``main.llm``, ``*``).
    max_output: tokens reserved, and asked for as ``max_tokens``, where a request sets no maximum and tokens or money
        are limited: a maximum that nobody enforces is none.
    tokenizer: counts a request's tokens beforehand; estimated from its characters without one.
    """

    steps: int | None = attrs.field(default=None, validator=_count)
    model_calls: int | None = attrs.field(default=None, validator=_count)
    tool_calls: int | None = attrs.field(default=None, validator=_count)
    tokens: int | None = attrs.field(default=None, validator=_count)
    money: float | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.gt(0)))
    seconds: float | None = attrs.field(default=None, validator=_some_limit)
    prices: dict[str, Price] = attrs.field(factory=dict)
    currency: str = "USD"
    max_output: int = attrs.field(default=4096, validator=attrs.validators.ge(1))
    tokenizer: Tokenizer | None = None


@hookimpl
def dougong_middleware() -> list[Technique]:
    return [
        Technique(
            "budget",
            Params,
            "dougong_middleware_budget.budget:Budget",
            summary="Limits on steps, calls, tokens, money and time, shared by a run and all its children.",
            source="dougong; reserve and refund as in two-phase resource reservation",
        )
    ]
