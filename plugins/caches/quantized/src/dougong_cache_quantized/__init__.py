"""Key-value cache in few bits: keys by channel, values by token."""

from typing import Literal

import attrs
from attrs.validators import ge, in_
from dougong import Technique, hookimpl

FORMATS = ("int8", "int4", "fp8")


@attrs.frozen
class Params:
    """
    format: ``int8`` or ``int4``, each group with a scale and a smallest value; ``fp8`` (e4m3), with a scale.
    group: numbers that share a scale: so many tokens of one channel of the keys, so many channels of one token of the
        values (the greatest common divisor with the features of a head).
    residual: tokens, the most recent ones, that are kept as they are. Up to ``group - 1`` more wait until their group
        is full.
    """

    format: Literal["int8", "int4", "fp8"] = attrs.field(default="int8", validator=in_(FORMATS))
    group: int = attrs.field(default=64, validator=ge(2))
    residual: int = attrs.field(default=64, validator=ge(0))


@hookimpl
def dougong_caches() -> list[Technique]:
    return [
        Technique(
            "quantized",
            Params,
            "dougong_cache_quantized.quantized:Quantized",
            summary="Keys and values in INT8, INT4 or FP8, each token quantised once.",
            source="Liu et al. 2024 (KIVI), section 3; e4m3: Micikevicius et al. 2022",
        )
    ]
