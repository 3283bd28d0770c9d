"""Transformer layer."""

from typing import Literal

import attrs
from attrs.validators import and_, ge, lt
from dougong import Block, Builder, Technique, hookimpl, slot


@attrs.frozen
class Params:
    """
    attention: mixes positions.
    ffn: works on each position.
    cross: attends to an encoder's states, between the two; null where there is no encoder.
    norm: made once a sublayer.
    placement: ``pre`` normalises what enters a sublayer, ``post`` the sum that leaves it.
    dropout: share of each sublayer's output dropped in training, in [0, 1).
    """

    attention: Builder[Block]
    ffn: Builder[Block]
    cross: Builder[Block] | None = None
    norm: Builder[Block] = slot("rmsnorm")
    placement: Literal["pre", "post"] = "pre"
    dropout: float = attrs.field(default=0.0, validator=and_(ge(0), lt(1)))


@hookimpl
def dougong_blocks() -> list[Technique]:
    return [
        Technique(
            "transformer",
            Params,
            "dougong_block_transformer.transformer:TransformerLayer",
            summary="Attention, cross-attention and feed-forward sublayers with residuals and norms.",
            source="Vaswani et al. 2017, section 3.1 (post); Xiong et al. 2020, On Layer Normalization, table 1 (pre)",
        )
    ]
