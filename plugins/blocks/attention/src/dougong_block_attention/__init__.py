"""Multi-head, grouped-query and multi-query self-attention."""

from typing import Any, Literal

import attrs
from attrs.validators import and_, ge, gt, lt, optional
from dougong import Block, Builder, Technique, hookimpl

# What each scaling must be told, under the names of transformers' rope_parameters, and what it may be told.
_ROPE_FACTORS: dict[str, tuple[set[str], set[str]]] = {
    "default": (set(), set()),
    "linear": ({"factor"}, set()),
    "dynamic": ({"factor"}, set()),
    "llama3": ({"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}, set()),
    "yarn": (
        {"factor", "original_max_position_embeddings"},
        {"attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim"},
    ),
}


def _divides_heads(instance: Any, _: Any, kv_heads: int | None) -> None:
    if kv_heads is not None and (kv_heads < 1 or instance.heads % kv_heads):
        raise ValueError(f"must be a divisor of heads ({instance.heads}); 1 shares one key/value head among all")


def _fits_rope_type(instance: Any, _: Any, factors: dict[str, float]) -> None:
    required, optional_ = _ROPE_FACTORS[instance.rope_type]
    missing, unknown = required - factors.keys(), factors.keys() - required - optional_
    if missing or unknown:
        wrong = [f"{word} {', '.join(sorted(names))}" for word, names in (("no", missing), ("not", unknown)) if names]
        raise ValueError(
            f"must be the factors of rope_type {instance.rope_type!r}, {'; '.join(wrong)}; "
            f"it takes {', '.join(sorted(required | optional_)) or 'none'}"
        )


@attrs.frozen
class Params:
    """
    heads: query heads (H).
    kv_heads: key/value heads; `heads` if not set (multi-head), fewer for grouped-query, 1 for multi-query attention.
    head_dim: features a head (d_k); the network's width / `heads` if not set.
    bias: which linear maps have one: none, those of query, key and value, or all four.
    qk_norm: norm over each head's query and key, before the rotation (Qwen3).
    dropout: share of attention weights dropped in training, in [0, 1).
    positions: ``rope`` rotates queries and keys by position; ``none`` leaves positions to other parts.
    rope_theta: base of the rotation's wavelengths.
    rope_type: how the rotation is stretched beyond the length of training, by transformers' names.
    rope_factors: numbers of that stretching: ``factor``, ``original_max_position_embeddings``...
    """

    heads: int = attrs.field(validator=ge(1))
    kv_heads: int | None = attrs.field(default=None, validator=_divides_heads)
    head_dim: int | None = attrs.field(default=None, validator=optional(ge(1)))
    bias: Literal["none", "qkv", "all"] = "none"
    qk_norm: Builder[Block] | None = None
    dropout: float = attrs.field(default=0.0, validator=and_(ge(0), lt(1)))
    positions: Literal["rope", "none"] = "rope"
    rope_theta: float = attrs.field(default=10_000.0, validator=gt(0))
    rope_type: Literal["default", "linear", "dynamic", "yarn", "llama3"] = "default"
    rope_factors: dict[str, float] = attrs.field(factory=dict, validator=_fits_rope_type)


@hookimpl
def dougong_blocks() -> list[Technique]:
    return [
        Technique(
            "attention",
            Params,
            "dougong_block_attention.attention:Attention",
            summary="Multi-head, grouped-query and multi-query self-attention with rotary positions.",
            source="Vaswani et al. 2017, section 3.2; Ainslie et al. 2023 (GQA); Shazeer 2019 (MQA); "
            "Su et al. 2021 (RoPE)",
        )
    ]
