"""Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dougong_block_rmsnorm import Params


class RMSNorm(nn.Module):
    """Root mean square normalisation (equation 4): ``a / sqrt(mean(a^2) + eps) * g``.

    Shapes: ``(..., width)`` to the same. `width` is the config's ``hidden_size`` unless given (a head's size, say).
    The mean square is taken in float32, whatever the dtype of the input.
    """

    def __init__(self, params: Params, config: Any, layer_idx: int | None = None, width: int | None = None) -> None:
        super().__init__()
        self.eps = params.eps
        self.weight = nn.Parameter(torch.ones(width or config.hidden_size))

    def forward(self, hidden: torch.Tensor, **_: Any) -> torch.Tensor:
        a = hidden.float()
        a = a * torch.rsqrt(a.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * a.to(hidden.dtype)
