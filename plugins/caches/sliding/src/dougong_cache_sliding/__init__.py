"""Key-value cache of constant size: recent tokens and attention sinks."""

import attrs
from attrs.validators import ge
from dougong import Technique, hookimpl


@attrs.frozen
class Params:
    """
    window: recent tokens that a query sees, its own among them.
    sinks: tokens from the beginning of each sequence that are kept for ever; 0 for a plain window.
    """

    window: int = attrs.field(default=1020, validator=ge(1))
    sinks: int = attrs.field(default=4, validator=ge(0))


@hookimpl
def dougong_caches() -> list[Technique]:
    return [
        Technique(
            "sliding",
            Params,
            "dougong_cache_sliding.sliding:Sliding",
            summary="A window of recent tokens and attention sinks: constant memory over any length.",
            source="Xiao et al. 2024 (StreamingLLM), section 3.2",
        )
    ]
