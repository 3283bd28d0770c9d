"""Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; Xiong et al. 2020, https://arxiv.org/abs/2002.04745."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from dougong_block_transformer import Params


class TransformerLayer(GradientCheckpointingLayer):
    """A layer of sublayers F, attention, cross-attention if there is an encoder, and ffn, each with a residual.

    ``pre`` (Xiong et al., table 1): ``x + F(norm(x))``; ``post`` (Vaswani et al., section 3.1): ``norm(x + F(x))``.
    Shapes: ``(batch, length, width)`` to the same. All keywords reach all sublayers: some feed-forward forms keep
    state in the cache too.
    """

    def __init__(self, params: Params, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.pre, self.dropout = params.placement == "pre", params.dropout
        # Names of the Llama family, so that its checkpoints, plans and adapters fit; a norm comes before or after.
        norms = ["post_attention_layernorm", "input_layernorm" if self.pre else "post_feedforward_layernorm"]
        parts = [("self_attn", params.attention, norms[self.pre]), ("mlp", params.ffn, norms[not self.pre])]
        if params.cross:
            parts.insert(1, ("cross_attn", params.cross, "cross_attention_layernorm"))
        self.sublayers = [(name, norm) for name, _, norm in parts]
        for name, part, _ in parts:
            setattr(self, name, part(config, layer_idx))
        for _, norm in self.sublayers:  # after the parts, as in Llama: sums over all gradients have one order
            setattr(self, norm, params.norm(config, layer_idx))

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
        for name, norm in self.sublayers:
            F, norm = getattr(self, name), getattr(self, norm)
            x = x + self._drop(F(norm(x), **kwargs)) if self.pre else norm(x + self._drop(F(x, **kwargs)))
        return x

    def _drop(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(x, self.dropout, self.training)
