"""Multi-head, grouped-query, multi-query and cross-attention, and what adds positions to embeddings."""

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
    "longrope": ({"original_max_position_embeddings"}, {"factor", "attention_factor"}),
}


def _divides_heads(instance: Any, _: Any, kv_heads: int | None) -> None:
    if kv_heads is not None and (kv_heads < 1 or instance.heads % kv_heads):
        raise ValueError(f"must be a divisor of heads ({instance.heads}); 1 shares one key/value head among all")


def _fits_cross(instance: Any, _: Any, positions: str) -> None:
    if instance.cross and positions != "none":
        raise ValueError("must be none where cross is true; queries and keys are of two sequences")


def _fits_rope_type(instance: Any, _: Any, factors: dict[str, float]) -> None:
    required, optional_ = _ROPE_FACTORS[instance.rope_type]
    missing, unknown = required - factors.keys(), factors.keys() - required - optional_
    if missing or unknown:
        wrong = [f"{word} {', '.join(sorted(names))}" for word, names in (("no", missing), ("not", unknown)) if names]
        raise ValueError(
            f"must be the factors of rope_type {instance.rope_type!r}, {'; '.join(wrong)}; "
            f"it takes {', '.join(sorted(required | optional_)) or 'none'}"
        )


def _of_longrope(instance: Any, _: Any, factors: list[float]) -> None:
    if (instance.rope_type == "longrope") != bool(factors):
        raise ValueError("must be given for rope_type longrope and for no other; one factor a pair of features")


def _fits_window(instance: Any, _: Any, window: int | None) -> None:
    if window is not None and (window < 1 or instance.cross):
        raise ValueError("must be at least 1, and null where cross is true; null sees the whole past")


@attrs.frozen
class Params:
    """
    heads: query heads (H).
    kv_heads: key/value heads; `heads` if not set (multi-head), fewer for grouped-query, 1 for multi-query attention.
    head_dim: features a head (d_k); the network's width / `heads` if not set.
    bias: which linear maps have one: none, those of query, key and value, or all four.
    qk_norm: norm over each head's query and key, before the rotation (Qwen3).
    dropout: share of attention weights dropped in training, in [0, 1).
    cross: keys and values are of the encoder's states instead.
    positions: ``rope`` rotates queries and keys by position; ``alibi`` adds a bias that grows with distance; ``none``
        leaves positions to other parts.
    rope_theta: base of the rotation's wavelengths.
    rope_type: how the rotation is stretched beyond the length of training, by transformers' names.
    rope_factors: numbers of that stretching: ``factor``, ``original_max_position_embeddings``...
    rope_short, rope_long: longrope's divisor of each frequency, within and beyond the length of training.
    window: tokens that a position sees, itself included; null for all before it.
    scale: what queries are multiplied by; 1 / sqrt(d_k) if not set.
    """

    heads: int = attrs.field(validator=ge(1))
    kv_heads: int | None = attrs.field(default=None, validator=_divides_heads)
    head_dim: int | None = attrs.field(default=None, validator=optional(ge(1)))
    bias: Literal["none", "qkv", "all"] = "none"
    qk_norm: Builder[Block] | None = None
    dropout: float = attrs.field(default=0.0, validator=and_(ge(0), lt(1)))
    cross: bool = False
    positions: Literal["rope", "alibi", "none"] = attrs.field(default="rope", validator=_fits_cross)
    rope_theta: float = attrs.field(default=10_000.0, validator=gt(0))
    rope_type: Literal["default", "linear", "dynamic", "yarn", "llama3", "longrope"] = "default"
    rope_factors: dict[str, float] = attrs.field(factory=dict, validator=_fits_rope_type)
    rope_short: list[float] = attrs.field(factory=list, validator=_of_longrope)
    rope_long: list[float] = attrs.field(factory=list, validator=_of_longrope)
    window: int | None = attrs.field(default=None, validator=_fits_window)
    scale: float | None = attrs.field(default=None, validator=optional(gt(0)))


@attrs.frozen
class LearnedParams:
    """offset: rows of the table before that of position 0 (OPT and BART keep 2)."""

    offset: int = attrs.field(default=0, validator=ge(0))


@attrs.frozen
class SinusoidalParams:
    """
    scale: multiply the embeddings by the square root of the width first, as the paper does.
    base: of the wavelengths.
    """

    scale: bool = True
    base: float = attrs.field(default=10_000.0, validator=gt(0))


@hookimpl
def dougong_blocks() -> list[Technique]:
    return [
        Technique(
            "attention",
            Params,
            "dougong_block_attention.attention:Attention",
            summary="Multi-head, grouped-query, multi-query and cross-attention; rotary positions or ALiBi.",
            source="Vaswani et al. 2017, section 3.2; Ainslie et al. 2023 (GQA); Shazeer 2019 (MQA); "
            "Su et al. 2021 (RoPE); Press et al. 2022 (ALiBi); Beltagy et al. 2020 (window)",
        ),
        Technique(
            "positions-learned",
            LearnedParams,
            "dougong_block_attention.positions:Learned",
            summary="Adds a learned vector for each position to the embeddings.",
            source="Gehring et al. 2017; Vaswani et al. 2017, section 3.5",
        ),
        Technique(
            "positions-sinusoidal",
            SinusoidalParams,
            "dougong_block_attention.positions:Sinusoidal",
            summary="Adds sines and cosines of each position to the embeddings.",
            source="Vaswani et al. 2017, section 3.5",
        ),
    ]
