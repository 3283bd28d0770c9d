"""middleware.otel: traces and metrics of every call, by OpenTelemetry."""

from __future__ import annotations

import attrs
from dougong import Technique, hookimpl


@attrs.frozen
class Params:
    """What is told. Where it goes is the business of the SDK that the program sets up; without one, nowhere.

    provider: ``gen_ai.provider.name`` of models (``openai``, ``deepseek``...).
    content: also messages, replies, arguments and results. They may hold personal data; off by default.
    """

    provider: str = attrs.field(default="dougong", validator=attrs.validators.min_len(1))
    content: bool = False


@hookimpl
def dougong_middleware() -> list[Technique]:
    return [
        Technique(
            "otel",
            Params,
            "dougong_middleware_otel.otel:OTel",
            summary="Traces and metrics of every call by OpenTelemetry's conventions for generative AI.",
            source="OpenTelemetry semantic conventions for generative AI systems, 1.41",
        )
    ]
