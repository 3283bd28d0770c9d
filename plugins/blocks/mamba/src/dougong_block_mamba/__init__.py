"""Mamba: selective state spaces."""

import attrs
from attrs.validators import ge, optional
from dougong import Block, Builder, Technique, hookimpl, slot


@attrs.frozen
class Params:
    """
    state: features of the state of each channel (N).
    expand: channels of the inner sequence, as a multiple of the network's width (E).
    conv: positions that the convolution sees, the present one included.
    dt_rank: rank of the map that makes Δ; a sixteenth of the network's width, rounded up, if not set.
    conv_bias: a bias in the convolution.
    bias: biases in the maps that go in and out.
    """

    state: int = attrs.field(default=16, validator=ge(1))
    expand: int = attrs.field(default=2, validator=ge(1))
    conv: int = attrs.field(default=4, validator=ge(1))
    dt_rank: int | None = attrs.field(default=None, validator=optional(ge(1)))
    conv_bias: bool = True
    bias: bool = False


@attrs.frozen
class LayerParams:
    """
    mixer: mixes positions.
    norm: over what enters it.
    """

    mixer: Builder[Block] = slot("mamba")
    norm: Builder[Block] = slot("rmsnorm")


@hookimpl
def dougong_blocks() -> list[Technique]:
    return [
        Technique(
            "mamba",
            Params,
            "dougong_block_mamba.mamba:Mamba",
            summary="Selective state space: a scan for training, a step for decoding, a state of constant size.",
            source="Gu and Dao 2023, Mamba, sections 3.2 to 3.4",
        ),
        Technique(
            "mamba-layer",
            LayerParams,
            "dougong_block_mamba.mamba:MambaLayer",
            summary="A layer of one mixer, with its norm and its residual, and no feed-forward part.",
            source="Gu and Dao 2023, Mamba, section 3.4 and figure 3",
        ),
    ]
