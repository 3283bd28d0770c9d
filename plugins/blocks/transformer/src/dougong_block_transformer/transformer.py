"""Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; Xiong et al. 2020, https://arxiv.org/abs/2002.04745."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from dougong_block_transformer import Params


class TransformerLayer(GradientCheckpointingLayer):
    """A layer of two sublayers F, attention and ffn, each with a residual.

    ``pre`` (Xiong et al., table 1): ``x + F(norm(x))``; ``post`` (Vaswani et al., section 3.1): ``norm(x + F(x))``.
    Shapes: ``(batch, length, width)`` to the same. All keywords reach both sublayers: some feed-forward forms keep
    state in the cache too.
    """

    def __init__(self, params: Params, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.pre, self.dropout = params.placement == "pre", params.dropout
        # Names of the Llama family, so that its checkpoints, plans and adapters fit.
        self.self_attn = params.attention(config, layer_idx)
        self.mlp = params.ffn(config, layer_idx)
        if self.pre:
            self.input_layernorm = params.norm(config, layer_idx)
            self.post_attention_layernorm = params.norm(config, layer_idx)
        else:
            self.post_attention_layernorm = params.norm(config, layer_idx)
            self.post_feedforward_layernorm = params.norm(config, layer_idx)

    def forward(
        self,
        hidden: torch.Tensor,
        *,
        attention_mask: Any = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Any = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        x = hidden
        kwargs |= {
            "attention_mask": attention_mask,
            "position_ids": position_ids,
            "past_key_values": past_key_values,
        }
        if self.pre:
            x = x + self._drop(self.self_attn(self.input_layernorm(x), **kwargs))
            return x + self._drop(self.mlp(self.post_attention_layernorm(x), **kwargs))
        x = self.post_attention_layernorm(x + self._drop(self.self_attn(x, **kwargs)))
        return self.post_feedforward_layernorm(x + self._drop(self.mlp(x, **kwargs)))

    def _drop(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(x, self.dropout, self.training)
