"""RWKV, versions 4 and 7: time mixing in the place of attention, channel mixing in that of the feed-forward part."""

import attrs
from attrs.validators import ge, optional
from dougong import Technique, hookimpl


@attrs.frozen
class TimeParams4:
    """inner: channels that are mixed over time; the network's width if not set."""

    inner: int | None = attrs.field(default=None, validator=optional(ge(1)))


@attrs.frozen
class ChannelParams:
    """inner: features between the two maps; four times the network's width if not set."""

    inner: int | None = attrs.field(default=None, validator=optional(ge(1)))


@attrs.frozen
class TimeParams7:
    """
    head_size: channels a head, a divisor of the network's width (N); its state is an N x N matrix.
    w_rank, a_rank, v_rank, g_rank: inner sizes of the two-map networks that make the decay, the in-context learning
        rate, the share of the first layer's value, and the gate; if not set, what the authors suggest for the width.
    """

    head_size: int = attrs.field(default=64, validator=ge(1))
    w_rank: int | None = attrs.field(default=None, validator=optional(ge(1)))
    a_rank: int | None = attrs.field(default=None, validator=optional(ge(1)))
    v_rank: int | None = attrs.field(default=None, validator=optional(ge(1)))
    g_rank: int | None = attrs.field(default=None, validator=optional(ge(1)))


@hookimpl
def dougong_blocks() -> list[Technique]:
    return [
        Technique(
            "rwkv4",
            TimeParams4,
            "dougong_block_rwkv.rwkv4:TimeMix",
            summary="RWKV-4 time mixing: an average of values whose weights fade by channel.",
            source="Peng et al. 2023, RWKV: Reinventing RNNs for the Transformer Era, section 3",
        ),
        Technique(
            "rwkv4-channel",
            ChannelParams,
            "dougong_block_rwkv.rwkv4:ChannelMix",
            summary="RWKV-4 channel mixing: a squared ReLU network of this and the last position, gated.",
            source="Peng et al. 2023, RWKV: Reinventing RNNs for the Transformer Era, section 3",
        ),
        Technique(
            "rwkv7",
            TimeParams7,
            "dougong_block_rwkv.rwkv7:TimeMix",
            summary="RWKV-7 time mixing: a matrix a head, updated by a generalised delta rule.",
            source="Peng et al. 2025, RWKV-7 Goose with Expressive Dynamic State Evolution, section 4",
        ),
        Technique(
            "rwkv7-channel",
            ChannelParams,
            "dougong_block_rwkv.rwkv7:ChannelMix",
            summary="RWKV-7 channel mixing: a squared ReLU network of this and the last position.",
            source="Peng et al. 2025, RWKV-7 Goose with Expressive Dynamic State Evolution, section 4",
        ),
    ]
