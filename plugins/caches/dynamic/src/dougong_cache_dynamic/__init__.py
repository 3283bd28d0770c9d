"""Key-value cache that grows with the sequence."""

import attrs
from dougong import Technique, hookimpl


@attrs.frozen
class Params:
    """Nothing to set."""


@hookimpl
def dougong_caches() -> list[Technique]:
    return [
        Technique(
            "dynamic",
            Params,
            "dougong_cache_dynamic.dynamic:Dynamic",
            summary="Keys and values of all tokens, growing with the sequence; exact.",
            source="transformers, DynamicCache",
        )
    ]
