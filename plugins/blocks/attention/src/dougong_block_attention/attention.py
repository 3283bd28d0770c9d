"""Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.2; grouped heads: Ainslie et al. 2023,
https://arxiv.org/abs/2305.13245; rotary positions: Su et al. 2021, https://arxiv.org/abs/2104.09864."""

from __future__ import annotations

from typing import Any

import torch
from dougong import BuildError
from torch import nn
from transformers import Cache, LlamaConfig
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

from dougong_block_attention import Params


def scaled_dot_product(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """``softmax(Q K^T / sqrt(d_k)) V`` (equation 1), written out: transformers' ``eager`` implementation.

    Shapes: query ``(batch, H, length, d_k)``, key and value ``(batch, H_kv, keys, d_k)``; `attention_mask` is added to
    the scores, ``(batch, 1, length, keys)``. Gives the heads ``(batch, length, H, d_k)`` and the weights.
    """
    group = query.shape[1] // key.shape[1]  # query heads that share a key/value head
    key, value = key.repeat_interleave(group, dim=1), value.repeat_interleave(group, dim=1)
    scores = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype)
    weights = nn.functional.dropout(weights, dropout, module.training)
    return (weights @ value).transpose(1, 2), weights


class Attention(nn.Module):
    """Self-attention of H query heads over H_kv key/value heads: head h reads key/value head ``h // (H / H_kv)``.

    Shapes: ``(batch, length, width)`` to the same. The arithmetic is that of the config's attention implementation
    (``eager``, ``sdpa``, ``flex_attention``, what plugins register...). `attention_mask` is what transformers' mask
    functions make for it; None under ``sdpa`` means causal, or every position where the network passes
    ``is_causal=False``. Weights, where the implementation gives them, pass through `attention_weights`.

    Raises BuildError where the heads do not fit the network's width.
    """

    is_causal = True

    def __init__(self, params: Params, config: Any, layer_idx: int) -> None:
        super().__init__()
        width, H, H_kv = config.hidden_size, params.heads, params.kv_heads or params.heads
        if params.head_dim is None and width % H:
            raise BuildError(f"width {width} is not a multiple of {H} heads", hint="set head_dim, or change heads")
        d_k = params.head_dim or width // H
        if params.positions == "rope" and d_k % 2:
            raise BuildError(f"a head of {d_k} features cannot be rotated in pairs", hint="make head_dim even")

        self.config, self.layer_idx, self.dropout = config, layer_idx, params.dropout
        # Names that transformers' attention functions, caches and vLLM look for.
        self.num_attention_heads, self.num_key_value_heads, self.head_dim = H, H_kv, d_k
        self.num_key_value_groups, self.scaling = H // H_kv, d_k**-0.5

        self.q_proj = nn.Linear(width, H * d_k, bias=params.bias != "none")
        self.k_proj = nn.Linear(width, H_kv * d_k, bias=params.bias != "none")
        self.v_proj = nn.Linear(width, H_kv * d_k, bias=params.bias != "none")
        self.o_proj = nn.Linear(H * d_k, width, bias=params.bias == "all")
        self.q_norm = params.qk_norm(config, layer_idx, width=d_k) if params.qk_norm else nn.Identity()
        self.k_norm = params.qk_norm(config, layer_idx, width=d_k) if params.qk_norm else nn.Identity()
        self.rotary_emb = rotary(params, config, d_k) if params.positions == "rope" else None
        self.attention_weights = nn.Identity()

    def forward(
        self,
        hidden: torch.Tensor,
        *,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        heads = (*hidden.shape[:-1], -1, self.head_dim)
        q = self.q_norm(self.q_proj(hidden).view(heads)).transpose(1, 2)
        k = self.k_norm(self.k_proj(hidden).view(heads)).transpose(1, 2)
        v = self.v_proj(hidden).view(heads).transpose(1, 2)
        if self.rotary_emb is not None:
            q, k = apply_rotary_pos_emb(q, k, *self.rotary_emb(hidden, position_ids))
        if past_key_values is not None:
            k, v = past_key_values.update(k, v, self.layer_idx)

        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, scaled_dot_product)
        dropout = self.dropout if self.training else 0.0
        out, weights = attend(self, q, k, v, attention_mask, scaling=self.scaling, dropout=dropout, **kwargs)
        if weights is not None:
            self.attention_weights(weights)
        return self.o_proj(out.reshape(*hidden.shape[:-1], -1).contiguous())


def rotary(params: Params, config: Any, head_dim: int) -> LlamaRotaryEmbedding:
    """transformers' rotary embedding, which reads its numbers from a config: position ids to cosines and sines."""
    factors: dict[str, Any] = dict(params.rope_factors)
    if "original_max_position_embeddings" in factors:
        factors["original_max_position_embeddings"] = int(factors["original_max_position_embeddings"])
    return LlamaRotaryEmbedding(
        LlamaConfig(
            hidden_size=params.heads * head_dim,  # unused, but checked against the heads
            num_attention_heads=params.heads,
            head_dim=head_dim,
            max_position_embeddings=config.max_position_embeddings,
            rope_parameters={"rope_type": params.rope_type, "rope_theta": params.rope_theta, **factors},
        )
    )
