"""Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; Shazeer 2020, https://arxiv.org/abs/2002.05202."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers.activations import ACT2FN

from dougong_block_ffn import Params


class FFN(nn.Module):
    """Feed-forward network, the same at every position.

    Plain (Vaswani et al., equation 2): ``act(x W_up) W_down``; gated (Shazeer, equation 6):
    ``(act(x W_gate) * x W_up) W_down``. Shapes: ``(..., width)`` to the same.
    """

    def __init__(self, params: Params, config: Any, layer_idx: int | None = None) -> None:
        super().__init__()
        width = config.hidden_size
        self.gate_proj = nn.Linear(width, params.inner, bias=params.bias) if params.gated else None
        self.up_proj = nn.Linear(width, params.inner, bias=params.bias)
        self.down_proj = nn.Linear(params.inner, width, bias=params.bias)
        self.activation = ACT2FN[params.activation]

    def forward(self, hidden: torch.Tensor, **_: Any) -> torch.Tensor:
        if self.gate_proj is None:
            return self.down_proj(self.activation(self.up_proj(hidden)))
        return self.down_proj(self.activation(self.gate_proj(hidden)) * self.up_proj(hidden))
