"""Key-value cache of a fixed size, allocated once."""

import attrs
from attrs.validators import ge
from dougong import Technique, hookimpl


@attrs.frozen
class Params:
    """
    tokens: what it has room for, prompt, padding and reply together.
    """

    tokens: int = attrs.field(default=2048, validator=ge(1))


@hookimpl
def dougong_caches() -> list[Technique]:
    return [
        Technique(
            "static",
            Params,
            "dougong_cache_static.static:Static",
            summary="Keys and values of all tokens, room for them allocated once; exact, compilable.",
            source="transformers, StaticCache",
        )
    ]
