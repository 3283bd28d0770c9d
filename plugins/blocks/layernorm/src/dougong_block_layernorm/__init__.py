"""Layer normalisation."""

import attrs
from dougong import Technique, hookimpl


@attrs.frozen
class Params:
    """
    eps: added to the variance, so that a constant vector stays finite.
    bias: a learned shift besides the learned gain.
    """

    eps: float = attrs.field(default=1e-5, validator=attrs.validators.gt(0))
    bias: bool = True


@hookimpl
def dougong_blocks() -> list[Technique]:
    return [
        Technique(
            "layernorm",
            Params,
            "dougong_block_layernorm.layernorm:LayerNorm",
            summary="Subtracts the mean, divides by the standard deviation, then scales and shifts.",
            source="Ba, Kiros and Hinton 2016, Layer Normalization, section 3",
        )
    ]
