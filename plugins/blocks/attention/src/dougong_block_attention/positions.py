"""What says where a token stands. Rotation: Su et al. 2021, https://arxiv.org/abs/2104.09864; ALiBi: Press et al. 2022,
https://arxiv.org/abs/2108.12409; learned and sinusoidal: Vaswani et al. 2017, section 3.5."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from dougong_block_attention import LearnedParams, Params, SinusoidalParams


def rotary(params: Params, config: Any, head_dim: int) -> LlamaRotaryEmbedding:
    """transformers' rotary embedding, which reads its numbers from a config: position ids to cosines and sines."""
    factors: dict[str, Any] = dict(params.rope_factors)
    if "original_max_position_embeddings" in factors:
        factors["original_max_position_embeddings"] = int(factors["original_max_position_embeddings"])
    if params.rope_type == "longrope":
        factors |= {"short_factor": list(params.rope_short), "long_factor": list(params.rope_long)}
    return LlamaRotaryEmbedding(
        LlamaConfig(
            hidden_size=params.heads * head_dim,  # unused, but checked against the heads
            num_attention_heads=params.heads,
            head_dim=head_dim,
            max_position_embeddings=config.max_position_embeddings,
            rope_parameters={"rope_type": params.rope_type, "rope_theta": params.rope_theta, **factors},
        )
    )


def alibi_slopes(heads: int) -> torch.Tensor:
    """``(heads,)``: a geometric sequence from ``2^(-8/n)``; heads that are no power of 2 interleave the next one's."""
    n = 2 ** math.floor(math.log2(heads))
    first = [2 ** (-8 / n * (i + 1)) for i in range(n)]
    between = [2 ** (-4 / n * (i + 1)) for i in range(0, 2 * (heads - n), 2)]
    return torch.tensor(first + between)


def alibi_bias(slopes: torch.Tensor, query: torch.Tensor, keys: int, causal: bool) -> torch.Tensor:
    """``(1, heads, length or 1, keys)``, in the type of `query`: ``slope * -|distance|``.

    Where attention is causal each query's own place can be left out: softmax takes away what all keys have in common,
    so that one row does for all queries, whatever the cache holds.
    """
    at = torch.arange(keys, device=query.device)
    distance = (keys - 1 - at)[None] if causal else (at[:, None] - at[None]).abs()
    return (slopes.to(query.device)[:, None, None] * -distance).unsqueeze(0).to(query.dtype)


class Learned(nn.Module):
    """``hidden + table[position + offset]``; the table has ``max_position_embeddings + offset`` rows."""

    def __init__(self, params: LearnedParams, config: Any, layer_idx: int | None = None) -> None:
        super().__init__()
        self.offset = params.offset
        self.table = nn.Embedding(config.max_position_embeddings + params.offset, config.hidden_size)

    def forward(self, hidden: torch.Tensor, *, position_ids: torch.Tensor | None = None, **_: Any) -> torch.Tensor:
        if position_ids is None:
            position_ids = torch.arange(hidden.shape[1], device=hidden.device)[None]
        return hidden + self.table(position_ids + self.offset)


class Sinusoidal(nn.Module):
    """``PE(pos, 2i) = sin(pos / base^(2i/d))``, ``PE(pos, 2i+1) = cos(...)``, added to the scaled embeddings."""

    def __init__(self, params: SinusoidalParams, config: Any, layer_idx: int | None = None) -> None:
        super().__init__()
        self.base, self.scale = params.base, config.hidden_size**0.5 if params.scale else 1.0

    def forward(self, hidden: torch.Tensor, *, position_ids: torch.Tensor | None = None, **_: Any) -> torch.Tensor:
        d = hidden.shape[-1]
        if position_ids is None:
            position_ids = torch.arange(hidden.shape[1], device=hidden.device)[None]
        wavelength = self.base ** (torch.arange(0, d, 2, device=hidden.device, dtype=torch.float32) / d)
        angle = position_ids[..., None] / wavelength
        table = torch.stack((angle.sin(), angle.cos()), -1).flatten(-2)[..., :d]
        return self.scale * hidden + table.to(hidden.dtype)
