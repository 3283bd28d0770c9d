"""Encoder-decoder."""

from typing import Any

import attrs
from attrs.validators import and_, ge, gt, lt, optional
from dougong import Block, Builder, Technique, hookimpl


def _in_vocab(instance: Any, _: Any, token: int | None) -> None:
    if token is not None and not 0 <= token < instance.vocab:
        raise ValueError(f"must be a token id below vocab ({instance.vocab}); null for none")


@attrs.frozen
class Params:
    """
    vocab: tokens in the vocabulary, which both sides share.
    width: features of the hidden states (d_model).
    layers: number of the decoder's layers.
    encoder: makes a layer of the encoder, called with a config and the layer's index from 0.
    decoder: makes a layer of the decoder; it has a part that attends to the encoder.
    encoder_layers: number of the encoder's; `layers` if not set.
    norm: after the last layer of each side; null for none (``post`` layers end in one).
    positions: added to the embeddings of each side, ``positions-learned`` or ``positions-sinusoidal``; null where
        attention has them.
    embed_norm: over the embeddings of each side; null for none.
    dropout: share of the embeddings dropped in training, in [0, 1).
    max_positions: longest sequence that each side is meant for, in tokens.
    tie_embeddings: one matrix for the embeddings of both sides and the output.
    initializer_range: standard deviation of the weights at the start.
    bos, eos, pad: token ids of the begin, the end, and padding.
    start: the token that the decoder begins with; `bos` if not set.
    """

    vocab: int = attrs.field(validator=ge(1))
    width: int = attrs.field(validator=ge(1))
    layers: int = attrs.field(validator=ge(1))
    encoder: Builder[Block]
    decoder: Builder[Block]
    encoder_layers: int | None = attrs.field(default=None, validator=optional(ge(1)))
    norm: Builder[Block] | None = None
    positions: Builder[Block] | None = None
    embed_norm: Builder[Block] | None = None
    dropout: float = attrs.field(default=0.0, validator=and_(ge(0), lt(1)))
    max_positions: int = attrs.field(default=1024, validator=ge(1))
    tie_embeddings: bool = True
    initializer_range: float = attrs.field(default=0.02, validator=gt(0))
    bos: int | None = attrs.field(default=None, validator=_in_vocab)
    eos: int | None = attrs.field(default=None, validator=_in_vocab)
    pad: int | None = attrs.field(default=None, validator=_in_vocab)
    start: int | None = attrs.field(default=None, validator=_in_vocab)


@hookimpl
def dougong_networks() -> list[Technique]:
    return [
        Technique(
            "encoder-decoder",
            Params,
            "dougong_network_encoder_decoder.model:EncoderDecoder",
            summary="Sequence-to-sequence model out of any blocks, as a transformers PreTrainedModel.",
            source="Vaswani et al. 2017, section 3; Lewis et al. 2019 (BART)",
        )
    ]
