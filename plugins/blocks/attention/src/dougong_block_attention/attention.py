"""Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.2; grouped heads: Ainslie et al. 2023,
https://arxiv.org/abs/2305.13245; windows: Beltagy et al. 2020, https://arxiv.org/abs/2004.05150."""

from __future__ import annotations

from typing import Any

import attrs
import torch
from dougong import BuildError
from torch import nn
from transformers import Cache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from dougong_block_attention import Params
from dougong_block_attention.positions import alibi_bias, alibi_slopes, rotary

BIASED = ("eager", "sdpa", "flex_attention")  # the implementations that can add a bias to the scores


def scaled_dot_product(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    position_bias: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """``softmax(Q K^T / sqrt(d_k)) V`` (equation 1), written out: transformers' ``eager`` implementation.

    Shapes: query ``(batch, H, length, d_k)``, key and value ``(batch, H_kv, keys, d_k)``; `attention_mask` and
    `position_bias` are added to the scores, ``(batch, 1 or H, length, keys)``. Gives the heads
    ``(batch, length, H, d_k)`` and the weights.
    """
    group = query.shape[1] // key.shape[1]  # query heads that share a key/value head
    if group > 1:
        key, value = key.repeat_interleave(group, dim=1), value.repeat_interleave(group, dim=1)
    scores = query @ key.transpose(2, 3) * scaling
    for bias in (position_bias, attention_mask):
        if bias is not None:
            scores = scores + bias
    weights = scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype)
    weights = nn.functional.dropout(weights, dropout, module.training)
    return (weights @ value).transpose(1, 2), weights


class Attention(nn.Module):
    """Attention of H query heads over H_kv key/value heads: head h reads key/value head ``h // (H / H_kv)``.

    Shapes: ``(batch, length, width)`` to the same. The arithmetic is that of the config's attention implementation
    (``eager``, ``sdpa``, ``flex_attention``, what plugins register...). `attention_mask` is what transformers' mask
    functions make for it; None under ``sdpa`` means causal, or every position where the config's `is_causal` is False
    or the caller passes ``is_causal=False``. Weights, where the implementation gives them, pass through
    `attention_weights` (`cross_attention_weights`).

    Raises BuildError where the heads do not fit the network's width.
    """

    def __init__(self, params: Params, config: Any, layer_idx: int) -> None:
        super().__init__()
        width, H, H_kv = config.hidden_size, params.heads, params.kv_heads or params.heads
        if params.head_dim is None and width % H:
            raise BuildError(f"width {width} is not a multiple of {H} heads", hint="set head_dim, or change heads")
        d_k = params.head_dim or width // H
        if params.positions == "rope" and d_k % 2:
            raise BuildError(f"a head of {d_k} features cannot be rotated in pairs", hint="make head_dim even")

        self.config, self.layer_idx, self.dropout, self.cross = config, layer_idx, params.dropout, params.cross
        # Names that transformers' attention functions, caches and vLLM look for.
        self.num_attention_heads, self.num_key_value_heads, self.head_dim = H, H_kv, d_k
        self.num_key_value_groups, self.scaling = H // H_kv, params.scale or d_k**-0.5
        self.is_causal = not params.cross and getattr(config, "is_causal", True) is not False
        self.sliding_window = params.window
        if not params.cross:
            self.layer_type = "sliding_attention" if params.window else "full_attention"

        self.q_proj = nn.Linear(width, H * d_k, bias=params.bias != "none")
        self.k_proj = nn.Linear(width, H_kv * d_k, bias=params.bias != "none")
        self.v_proj = nn.Linear(width, H_kv * d_k, bias=params.bias != "none")
        self.o_proj = nn.Linear(H * d_k, width, bias=params.bias == "all")
        self.q_norm = params.qk_norm(config, layer_idx, width=d_k) if params.qk_norm else nn.Identity()
        self.k_norm = params.qk_norm(config, layer_idx, width=d_k) if params.qk_norm else nn.Identity()
        self.rotary_emb = rotary(params, config, d_k) if params.positions == "rope" else None
        self.rotation = repr(
            ("rope", d_k, {k: v for k, v in attrs.asdict(params, recurse=False).items() if k.startswith("rope")})
        )
        self.alibi = params.positions == "alibi"
        setattr(self, self._weights_name, nn.Identity())

    @property
    def _weights_name(self) -> str:
        return "cross_attention_weights" if self.cross else "attention_weights"

    def forward(
        self,
        hidden: torch.Tensor,
        *,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        encoder_hidden_states: torch.Tensor | None = None,
        encoder_attention_mask: torch.Tensor | None = None,
        padding_mask: torch.Tensor | None = None,
        shared: dict[Any, Any] | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        q = self.q_norm(self._heads(self.q_proj, hidden)).transpose(1, 2)
        if self.cross:
            k, v = self._of_encoder(encoder_hidden_states, past_key_values)
            attention_mask, kwargs["is_causal"] = encoder_attention_mask, False
        else:
            k, v = self._keys_values(hidden)
            if self.rotary_emb is not None:
                q, k = apply_rotary_pos_emb(q, k, *self._rotation(hidden, position_ids, shared))
            if past_key_values is not None:
                past = getattr(past_key_values, "self_attention_cache", past_key_values)
                k, v = past.update(k, v, self.layer_idx)

        name = self.config._attn_implementation
        if self.alibi:
            if name not in BIASED:
                raise ValueError(f"attention implementation {name!r} adds no ALiBi; take one of {', '.join(BIASED)}")
            causal = kwargs.get("is_causal", self.is_causal)
            slopes = alibi_slopes(self.num_attention_heads)
            bias = alibi_bias(slopes, q, k.shape[2], causal)
            kwargs["position_bias"] = bias.expand(q.shape[0], -1, q.shape[2], -1)
        if self.sliding_window:
            kwargs["sliding_window"] = self.sliding_window
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(name, scaled_dot_product)
        dropout = self.dropout if self.training else 0.0
        out, weights = attend(self, q, k, v, attention_mask, scaling=self.scaling, dropout=dropout, **kwargs)
        if weights is not None:
            getattr(self, self._weights_name)(weights)
        return self.o_proj(out.reshape(*hidden.shape[:-1], -1).contiguous())

    def _heads(self, linear: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return linear(x).view(*x.shape[:-1], -1, self.head_dim)

    def _keys_values(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.k_norm(self._heads(self.k_proj, x)).transpose(1, 2), self._heads(self.v_proj, x).transpose(1, 2)

    def _of_encoder(self, states: torch.Tensor | None, past: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of the encoder's states, made once a generation."""
        cache = getattr(past, "cross_attention_cache", None)
        if cache is not None and past.is_updated.get(self.layer_idx):
            return cache.layers[self.layer_idx].keys, cache.layers[self.layer_idx].values
        if states is None:
            raise ValueError("cross-attention has nothing to attend to; pass encoder_hidden_states")
        k, v = self._keys_values(states)
        if cache is not None:
            k, v = cache.update(k, v, self.layer_idx)
            past.is_updated[self.layer_idx] = True
        return k, v

    def _rotation(
        self, hidden: torch.Tensor, position_ids: torch.Tensor | None, shared: dict[Any, Any] | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines, computed once a step for all layers that rotate alike."""
        shared = {} if shared is None else shared
        key = (self.rotation, hidden.device, hidden.dtype)
        if key not in shared:
            shared[key] = self.rotary_emb(hidden, position_ids)
        return shared[key]
