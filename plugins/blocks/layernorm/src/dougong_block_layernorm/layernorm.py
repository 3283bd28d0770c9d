"""Ba, Kiros and Hinton 2016, https://arxiv.org/abs/1607.06450."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dougong_block_layernorm import Params


class LayerNorm(nn.LayerNorm):
    """Layer normalisation (section 3): ``(a - mean(a)) / sqrt(var(a) + eps) * g + b``, of torch's kernel.

    Shapes: ``(..., width)`` to the same. `width` is the config's ``hidden_size`` unless given (a head's size, say).
    """

    def __init__(self, params: Params, config: Any, layer_idx: int | None = None, width: int | None = None) -> None:
        super().__init__(width or config.hidden_size, eps=params.eps, bias=params.bias)

    def forward(self, hidden: torch.Tensor, **_: Any) -> torch.Tensor:
        return super().forward(hidden)
