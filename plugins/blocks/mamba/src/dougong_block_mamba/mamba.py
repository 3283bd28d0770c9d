"""Gu and Dao 2023, https://arxiv.org/abs/2312.00752."""

from __future__ import annotations

import math
from typing import Any

import torch
from dougong import BuildError
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer

from dougong_block_mamba import LayerParams, Params
from dougong_block_mamba.scan import selective_scan, selective_step

Δ_MIN, Δ_MAX, Δ_FLOOR = 1e-3, 1e-1, 1e-4  # fresh step sizes (section 3.6)


class Mamba(nn.Module):
    """The selective state space and what stands around it (section 3.4, figure 3).

    Shapes: ``(batch, length, width)`` to the same. Inside, D = expand * width channels, each with N features of state.
    The scan and its state are in float32 or better. With a cache: the last `conv` inputs of the convolution, and h.
    The parameters have the names of transformers' MambaMixer.

    Raises BuildError in a network that is not causal.
    """

    layer_type = "linear_attention"

    def __init__(self, params: Params, config: Any, layer_idx: int) -> None:
        super().__init__()
        if getattr(config, "is_causal", True) is False:
            raise BuildError("mamba only works forward in time", hint="take attention in an encoder")
        width, D, N = config.hidden_size, params.expand * config.hidden_size, params.state
        rank = params.dt_rank or math.ceil(width / 16)
        self.layer_idx, self.split = layer_idx, (rank, N, N)
        self.in_proj = nn.Linear(width, 2 * D, bias=params.bias)
        self.conv1d = nn.Conv1d(D, D, params.conv, groups=D, bias=params.conv_bias)
        self.x_proj = nn.Linear(D, rank + 2 * N, bias=False)
        self.dt_proj = nn.Linear(rank, D)
        self.A_log, self.D = nn.Parameter(torch.empty(D, N)), nn.Parameter(torch.empty(D))
        self.out_proj = nn.Linear(D, width, bias=params.bias)
        self.init_block(config.initializer_range)

    @torch.no_grad()
    def init_block(self, std: float) -> None:
        """A is S4D-Real's, -(n + 1); Δ is drawn log-uniformly from [0.001, 0.1] (section 3.6)."""
        D, N = self.A_log.shape
        init.copy_(self.A_log, torch.arange(1.0, N + 1, device=self.A_log.device).log().expand(D, N))
        init.ones_(self.D)
        init.kaiming_uniform_(self.conv1d.weight, a=math.sqrt(5))
        if self.conv1d.bias is not None:
            init.zeros_(self.conv1d.bias)
        init.uniform_(self.dt_proj.weight, -(self.split[0] ** -0.5), self.split[0] ** -0.5)
        share = torch.rand(D, device=self.D.device)
        Δ = (math.log(Δ_MIN) + share * math.log(Δ_MAX / Δ_MIN)).exp().clamp(min=Δ_FLOOR)
        init.copy_(self.dt_proj.bias, Δ + torch.log(-torch.expm1(-Δ)))  # the inverse of softplus

    def forward(
        self, hidden: torch.Tensor, *, padding_mask: Any = None, past_key_values: Any = None, **_: Any
    ) -> torch.Tensor:
        real = None if padding_mask is None else padding_mask[..., None].to(hidden.dtype)
        past = getattr(past_key_values, "self_attention_cache", past_key_values)
        x, z = self.in_proj(hidden if real is None else hidden * real).chunk(2, dim=-1)
        x = F.silu(self._conv(x, past))
        if real is not None:
            x = x * real  # h stays what it is, 0, where Δ B x = 0
        Δ, B, C = self.x_proj(x).split(self.split, dim=-1)
        y = self._ssm(x, F.linear(Δ, self.dt_proj.weight), B, C, past)
        return self.out_proj(y.to(z.dtype) * F.silu(z))

    def _conv(self, x: torch.Tensor, past: Any) -> torch.Tensor:
        """The causal convolution of each channel, over what the cache keeps of the past and x."""
        length, (kernel,) = x.shape[1], self.conv1d.kernel_size
        x = x.mT
        if past is not None:
            x = past.update_conv_state(x, self.layer_idx, conv_kernel_size=kernel)[..., 1 - kernel - length :]
        return self.conv1d(F.pad(x, (kernel - 1 + length - x.shape[-1], 0))).mT

    def _ssm(self, x: torch.Tensor, Δ: torch.Tensor, B: torch.Tensor, C: torch.Tensor, past: Any) -> torch.Tensor:
        """The state space, selective through Δ, B and C (algorithm 2)."""
        exact = torch.promote_types(x.dtype, torch.float32)
        x, Δ, B, C, A, D, bias = (part.to(exact) for part in (x, Δ, B, C, self.A_log, self.D, self.dt_proj.bias))
        h = None if past is None else past.layers[self.layer_idx].recurrent_states[0]
        form = selective_scan if h is None or x.shape[1] > 1 else selective_step
        h = x.new_zeros(x.shape[0], *A.shape) if h is None else h.clone()  # the cache writes over its own
        with torch.autocast(x.device.type, enabled=False):
            y, h = form(x, F.softplus(Δ + bias), -A.exp(), B, C, h)
        if past is not None:
            past.update_recurrent_state(h, self.layer_idx)
        return y + D * x


class MambaLayer(GradientCheckpointingLayer):
    """``x + mixer(norm(x))`` (section 3.4). The parts have the names of transformers' MambaBlock."""

    def __init__(self, params: LayerParams, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.norm = params.norm(config, layer_idx)
        self.mixer = params.mixer(config, layer_idx)

    def forward(self, hidden: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        return hidden + self.mixer(self.norm(hidden), **kwargs)
