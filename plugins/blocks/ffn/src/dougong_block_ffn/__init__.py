"""Position-wise feed-forward network."""

from typing import Literal

import attrs
from dougong import Technique, hookimpl


@attrs.frozen
class Params:
    """
    inner: width of the inner layer (d_ff), in features.
    activation: by transformers' names; with `gated`, ``silu`` is SwiGLU, ``gelu`` GEGLU, ``relu`` ReGLU.
    gated: multiply the activation by a second linear map of the input.
    bias: add biases to the linear maps.
    """

    inner: int = attrs.field(validator=attrs.validators.ge(1))
    activation: Literal["relu", "relu2", "gelu", "gelu_new", "gelu_pytorch_tanh", "silu"] = "silu"
    gated: bool = True
    bias: bool = False


@hookimpl
def dougong_blocks() -> list[Technique]:
    return [
        Technique(
            "ffn",
            Params,
            "dougong_block_ffn.ffn:FFN",
            summary="Two linear maps and an activation, plain or gated (SwiGLU).",
            source="Vaswani et al. 2017, section 3.3; Shazeer 2020, GLU Variants Improve Transformer, equation 6",
        )
    ]
