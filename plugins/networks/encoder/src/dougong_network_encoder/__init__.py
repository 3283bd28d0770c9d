"""Bidirectional encoder."""

from typing import Any, Literal

import attrs
from attrs.validators import and_, ge, gt, lt
from dougong import Block, Builder, Technique, hookimpl


def _in_vocab(instance: Any, _: Any, token: int | None) -> None:
    if token is not None and not 0 <= token < instance.vocab:
        raise ValueError(f"must be a token id below vocab ({instance.vocab}); null for none")


@attrs.frozen
class Params:
    """
    vocab: tokens in the vocabulary.
    width: features of the hidden states (d_model).
    layers: number of layers.
    layer: makes a layer, called with the model's config and the layer's index from 0.
    norm: after the last layer; null for none (``post`` layers end in one).
    positions: added to the embeddings, ``positions-learned`` or ``positions-sinusoidal``; null where attention has
        them.
    embed_norm: over the embeddings; null for none.
    types: kinds of segments, each with a vector of its own (BERT's two sentences); 0 for none.
    pooler: a linear map and tanh of the first token's state, for what is said of the whole text.
    head_norm: before the map to the vocabulary come a linear map, `head_activation` and this norm; null for the map
        alone.
    head_activation: by transformers' names.
    dropout: share of the embeddings, and of what a classifier reads, dropped in training, in [0, 1).
    max_positions: longest sequence that the model is meant for, in tokens.
    tie_embeddings: use the token embedding as output matrix too.
    initializer_range: standard deviation of the weights at the start.
    bos, eos, pad: token ids of the begin, the end, and padding.
    """

    vocab: int = attrs.field(validator=ge(1))
    width: int = attrs.field(validator=ge(1))
    layers: int = attrs.field(validator=ge(1))
    layer: Builder[Block]
    norm: Builder[Block] | None = None
    positions: Builder[Block] | None = None
    embed_norm: Builder[Block] | None = None
    types: int = attrs.field(default=0, validator=ge(0))
    pooler: bool = False
    head_norm: Builder[Block] | None = None
    head_activation: Literal["relu", "gelu", "gelu_new", "gelu_pytorch_tanh", "silu"] = "gelu"
    dropout: float = attrs.field(default=0.0, validator=and_(ge(0), lt(1)))
    max_positions: int = attrs.field(default=512, validator=ge(1))
    tie_embeddings: bool = True
    initializer_range: float = attrs.field(default=0.02, validator=gt(0))
    bos: int | None = attrs.field(default=None, validator=_in_vocab)
    eos: int | None = attrs.field(default=None, validator=_in_vocab)
    pad: int | None = attrs.field(default=None, validator=_in_vocab)


@hookimpl
def dougong_networks() -> list[Technique]:
    return [
        Technique(
            "encoder",
            Params,
            "dougong_network_encoder.model:Encoder",
            summary="Bidirectional encoder out of any blocks, as a transformers PreTrainedModel.",
            source="Devlin et al. 2019 (BERT), section 3",
        )
    ]
