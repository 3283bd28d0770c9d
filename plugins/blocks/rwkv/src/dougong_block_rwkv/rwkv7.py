"""Peng et al. 2025, https://arxiv.org/abs/2503.14456."""

from __future__ import annotations

import math
from typing import Any

import torch
from dougong import BuildError
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init

from dougong_block_rwkv import ChannelParams, TimeParams7
from dougong_block_rwkv.shift import masked, of_the_cache, only_forward, shifted
from dougong_block_rwkv.wkv7 import wkv, wkv_step

# Shares of the last position, and how fast each falls from channel to channel at the start.
MIXES = {"x_r": 0.2, "x_w": 0.9, "x_k": 0.7, "x_v": 0.7, "x_a": 0.9, "x_g": 0.2}
SUGGESTED = {"w": 2.5, "a": 2.5, "v": 1.7, "g": 5.0}  # ranks over the square root of the width


class TimeMix(nn.Module):
    """Time mixing (section 4.1): the state of each of H heads is a matrix that maps keys to values.

    Shapes: ``(batch, length, width)`` to the same. The state is in float32 or better. With a cache: the last input,
    and S. Values of the first such layer of a network reach the others through ``shared``. The parameters have the
    names of the authors' checkpoints.

    Raises BuildError in a network that is not causal, and where the heads do not fit its width.
    """

    layer_type, state_idx = "linear_attention", 0

    def __init__(self, params: TimeParams7, config: Any, layer_idx: int) -> None:
        super().__init__()
        only_forward(config)
        C, N = config.hidden_size, params.head_size
        if C % N:
            raise BuildError(f"width {C} is not a multiple of the head's {N} features", hint="change head_size")
        self.layer_idx, self.layers, self.N = layer_idx, config.num_hidden_layers, N
        for name in MIXES:
            setattr(self, name, nn.Parameter(torch.empty(1, 1, C)))
        self._low_rank("w", C, params.w_rank)
        self._low_rank("a", C, params.a_rank)
        rank = params.g_rank or _suggested("g", C)
        self.g1, self.g2 = nn.Parameter(torch.empty(C, rank)), nn.Parameter(torch.empty(rank, C))
        self.k_k, self.k_a = nn.Parameter(torch.empty(1, 1, C)), nn.Parameter(torch.empty(1, 1, C))
        self.r_k = nn.Parameter(torch.empty(C // N, N))
        self.receptance, self.key, self.value, self.output = (nn.Linear(C, C, bias=False) for _ in range(4))
        self.ln_x = nn.GroupNorm(C // N, C, eps=64e-5)
        if layer_idx:  # the first has no layer before it
            self._low_rank("v", C, params.v_rank)
        self.init_block(config.initializer_range)

    def _low_rank(self, name: str, C: int, rank: int | None) -> None:
        rank = rank or _suggested(name, C)
        for index, shape in enumerate(((1, 1, C), (C, rank), (rank, C))):
            setattr(self, f"{name}{index}", nn.Parameter(torch.empty(shape)))

    @torch.no_grad()
    def init_block(self, std: float) -> None:
        """The authors' start (appendix on initialisation): what is made of the input starts as constant by channel."""
        C, N, depth = self.k_k.shape[-1], self.N, self.layer_idx / max(self.layers - 1, 1)
        channel = torch.arange(C, device=self.k_k.device)
        for name, speed in MIXES.items():
            init.copy_(getattr(self, name), 1 - (channel / C).pow(speed * (1 - self.layer_idx / self.layers)))
        linear = channel / max(C - 1, 1) - 0.5
        zigzag = (channel % N) / max((N - 1) / 2, 0.5) - 1
        zigzag = zigzag * zigzag.abs()
        init.copy_(self.w0, -5.5 + 6 * (linear + 0.5) ** (1 + depth**0.3) + 2.5 * zigzag)
        init.copy_(self.a0, -0.19 + 0.3 * zigzag + 0.4 * linear)
        init.copy_(self.k_k, 0.71 - 0.1 * linear)
        init.constant_(self.k_a, 1.02)
        init.constant_(self.r_k, -0.04)
        if self.layer_idx:
            init.copy_(self.v0, 0.73 - 0.4 * linear)
        for name in "wagv" if self.layer_idx else "wag":
            init.zeros_(getattr(self, f"{name}1"))
            init.orthogonal_(getattr(self, f"{name}2"), gain=0.1)

    def forward(
        self,
        hidden: torch.Tensor,
        *,
        padding_mask: Any = None,
        past_key_values: Any = None,
        shared: dict[Any, Any] | None = None,
        **_: Any,
    ) -> torch.Tensor:
        past, x = of_the_cache(past_key_values), masked(hidden, padding_mask)
        back = shifted(x, past, self.layer_idx, self.state_idx) - x
        x_r, x_w, x_k, x_v, x_a, x_g = (x + back * getattr(self, name) for name in MIXES)
        r, k, v = self.receptance(x_r), self.key(x_k), self.value(x_v)
        log_w = -math.exp(-0.5) * torch.sigmoid(self.w0 + torch.tanh(x_w @ self.w1) @ self.w2)
        a = torch.sigmoid(self.a0 + x_a @ self.a1 @ self.a2)  # the in-context learning rate
        g = torch.sigmoid(x_g @ self.g1) @ self.g2
        v_first = v if shared is None else shared.setdefault("rwkv7 v_first", v)
        if self.layer_idx:
            v = v + (v_first - v) * torch.sigmoid(self.v0 + x_v @ self.v1 @ self.v2)
        κ = F.normalize(self._heads(k * self.k_k), dim=-1)
        k = k * (1 + (a - 1) * self.k_a)

        r, log_w, k, v, a = (self._heads(part) for part in (r, log_w, k, v, a))
        y = self._wkv((r, log_w, k, v, -κ, κ * a), past).to(hidden.dtype)
        y = self.ln_x(y.reshape(-1, hidden.shape[-1])).view(v.shape)
        y = y + (r * k * self.r_k).sum(-1, keepdim=True) * v
        return self.output(y.flatten(2) * g)

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (-1, self.N))

    def _wkv(self, rows: tuple[torch.Tensor, ...], past: Any) -> torch.Tensor:
        """What the state gives, each head apart; from the state that the cache keeps, and back into it."""
        exact = torch.promote_types(rows[0].dtype, torch.float32)
        rows = tuple(row.to(exact) for row in rows)
        S = None if past is None else past.layers[self.layer_idx].recurrent_states[self.state_idx]
        batch, length, H, N = rows[0].shape
        form = wkv_step if length == 1 and S is not None else wkv
        S = rows[0].new_zeros(batch, H, N, N) if S is None else S.clone()  # the cache writes over its own
        with torch.autocast(S.device.type, enabled=False):
            y, S = form(*rows, S)
        if past is not None:
            past.update_recurrent_state(S, self.layer_idx, state_idx=self.state_idx)
        return y


class ChannelMix(nn.Module):
    """Channel mixing (section 4.2): ``W_v max(k, 0)^2``.

    Shapes: ``(batch, length, width)`` to the same. With a cache: the last input. Raises BuildError in a network that is
    not causal.
    """

    layer_type, state_idx = "linear_attention", 1

    def __init__(self, params: ChannelParams, config: Any, layer_idx: int) -> None:
        super().__init__()
        only_forward(config)
        C, inner = config.hidden_size, params.inner or 4 * config.hidden_size
        self.layer_idx, self.layers = layer_idx, config.num_hidden_layers
        self.x_k = nn.Parameter(torch.empty(1, 1, C))
        self.key, self.value = nn.Linear(C, inner, bias=False), nn.Linear(inner, C, bias=False)
        self.init_block(config.initializer_range)

    @torch.no_grad()
    def init_block(self, std: float) -> None:
        C = self.x_k.shape[-1]
        share = torch.arange(C, device=self.x_k.device) / C
        init.copy_(self.x_k, 1 - share.pow((1 - self.layer_idx / self.layers) ** 4).view(1, 1, C))

    def forward(
        self, hidden: torch.Tensor, *, padding_mask: Any = None, past_key_values: Any = None, **_: Any
    ) -> torch.Tensor:
        x = masked(hidden, padding_mask)
        back = shifted(x, of_the_cache(past_key_values), self.layer_idx, self.state_idx) - x
        return self.value(torch.relu(self.key(x + back * self.x_k)) ** 2)


def _suggested(name: str, C: int) -> int:
    return max(32, round(SUGGESTED[name] * C**0.5 / 32) * 32)
