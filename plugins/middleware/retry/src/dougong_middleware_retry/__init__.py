"""middleware.retry: failed calls made again, after a while."""

from __future__ import annotations

from typing import Any

import attrs
from dougong import Technique, hookimpl

ON = ["timeout", "rate-limit", "server", "network", "cut-stream", "TimeoutError", "ConnectionError"]


def _above_base(instance: Params, attribute: Any, value: float) -> None:
    if not value >= instance.base:  # not-a-number included
        raise ValueError("must be at least base; raise it, or lower base")


@attrs.frozen
class Params:
    """How often, after which failures, and how long between.

    attempts: calls in all, the first included.
    on: failures after which a call is made again: kinds as errors name them in ``kind`` (``timeout``, ``rate-limit``,
        ``server``, ``network``, ``cut-stream``...), names of error classes, inherited ones included, or an HTTP status
        (``"503"``).
    names: patterns of the config paths that it applies to (``main.llm``, ``*.judge``).
    base: seconds; before attempt n + 1 it waits anything from 0 to ``base * 2 ** (n - 1)``.
    longest: seconds, the most that it waits. A server that asks for more (``retry_after``) is not asked again.
    writes: also tools that change the world outside: only where a call made twice does no more than one.
    """

    attempts: int = attrs.field(default=3, validator=attrs.validators.ge(1))
    on: list[str] = attrs.field(factory=lambda: list(ON), validator=attrs.validators.min_len(1))
    names: list[str] = attrs.field(factory=lambda: ["*"], validator=attrs.validators.min_len(1))
    base: float = attrs.field(default=1.0, validator=attrs.validators.ge(0))
    longest: float = attrs.field(default=60.0, validator=_above_base)
    writes: bool = False


@hookimpl
def dougong_middleware() -> list[Technique]:
    return [
        Technique(
            "retry",
            Params,
            "dougong_middleware_retry.retry:Retry",
            summary="Failed calls made again: exponential back-off with full jitter, Retry-After honoured.",
            source="Brooker 2015, Exponential Backoff And Jitter (AWS Architecture Blog); RFC 9110, section 10.2.3",
        )
    ]
