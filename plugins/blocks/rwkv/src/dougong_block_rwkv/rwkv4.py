"""Peng et al. 2023, https://arxiv.org/abs/2305.13048."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from transformers import initialization as init

from dougong_block_rwkv import ChannelParams, TimeParams4
from dougong_block_rwkv.shift import masked, of_the_cache, only_forward, shifted
from dougong_block_rwkv.wkv4 import EMPTY, wkv, wkv_step


class TimeMix(nn.Module):
    """Time mixing (section 3.1, equations 11 to 17): ``W_o (sigmoid(r) * wkv)``.

    Shapes: ``(batch, length, width)`` to the same. The average is in float32 or better. With a cache: the last input,
    and the state of `wkv`. The parameters have the names of transformers' RwkvSelfAttention.

    Raises BuildError in a network that is not causal.
    """

    layer_type, state_idx = "linear_attention", 0

    def __init__(self, params: TimeParams4, config: Any, layer_idx: int) -> None:
        super().__init__()
        only_forward(config)
        width, inner = config.hidden_size, params.inner or config.hidden_size
        self.layer_idx, self.layers = layer_idx, config.num_hidden_layers
        self.time_decay, self.time_first = nn.Parameter(torch.empty(inner)), nn.Parameter(torch.empty(inner))
        self.time_mix_key = nn.Parameter(torch.empty(1, 1, width))
        self.time_mix_value = nn.Parameter(torch.empty(1, 1, width))
        self.time_mix_receptance = nn.Parameter(torch.empty(1, 1, width))
        self.key = nn.Linear(width, inner, bias=False)
        self.value = nn.Linear(width, inner, bias=False)
        self.receptance = nn.Linear(width, inner, bias=False)
        self.output = nn.Linear(inner, width, bias=False)
        self.init_block(config.initializer_range)

    @torch.no_grad()
    def init_block(self, std: float) -> None:
        """Appendix E: channels fade at different speeds, and look back more in later layers."""
        inner, depth = len(self.time_decay), self.layer_idx / max(self.layers - 1, 1)
        channel = torch.arange(inner, device=self.time_decay.device)
        init.copy_(self.time_decay, -5 + 8 * (channel / max(inner - 1, 1)) ** (0.7 + 1.3 * depth))
        init.copy_(self.time_first, math.log(0.3) + 0.5 * ((channel + 1) % 3 - 1))
        mix = _mix(self.time_mix_key, 1 - self.layer_idx / self.layers)
        init.copy_(self.time_mix_key, mix)
        init.copy_(self.time_mix_value, mix + 0.3 * depth)
        init.copy_(self.time_mix_receptance, mix**0.5)

    def forward(
        self, hidden: torch.Tensor, *, padding_mask: Any = None, past_key_values: Any = None, **_: Any
    ) -> torch.Tensor:
        past, x = of_the_cache(past_key_values), masked(hidden, padding_mask)
        back = shifted(x, past, self.layer_idx, self.state_idx) - x
        k = self.key(x + back * (1 - self.time_mix_key))
        v = self.value(x + back * (1 - self.time_mix_value))
        r = torch.sigmoid(self.receptance(x + back * (1 - self.time_mix_receptance)))

        exact = torch.promote_types(k.dtype, torch.float32)
        w, u, k, v = self.time_decay.to(exact).exp(), self.time_first.to(exact), k.to(exact), v.to(exact)
        if padding_mask is not None:
            k = k.masked_fill(padding_mask[..., None] == 0, EMPTY)
        state = None if past is None else past.layers[self.layer_idx].recurrent_states[self.state_idx]
        form = wkv_step if k.shape[1] == 1 and state is not None else wkv
        state = k.new_zeros(k.shape[0], 3, k.shape[2]) if state is None else state.clone()
        y, state = form(w, u, k, v, state)
        if past is not None:
            past.update_recurrent_state(state, self.layer_idx, state_idx=self.state_idx)
        return self.output(r * y.to(r.dtype))


class ChannelMix(nn.Module):
    """Channel mixing (section 3.1, equation 18): ``sigmoid(r) * W_v max(k, 0)^2``.

    Shapes: ``(batch, length, width)`` to the same. With a cache: the last input. The parameters have the names of
    transformers' RwkvFeedForward. Raises BuildError in a network that is not causal.
    """

    layer_type, state_idx = "linear_attention", 1

    def __init__(self, params: ChannelParams, config: Any, layer_idx: int) -> None:
        super().__init__()
        only_forward(config)
        width, inner = config.hidden_size, params.inner or 4 * config.hidden_size
        self.layer_idx, self.layers = layer_idx, config.num_hidden_layers
        self.time_mix_key = nn.Parameter(torch.empty(1, 1, width))
        self.time_mix_receptance = nn.Parameter(torch.empty(1, 1, width))
        self.key = nn.Linear(width, inner, bias=False)
        self.receptance = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(inner, width, bias=False)
        self.init_block(config.initializer_range)

    @torch.no_grad()
    def init_block(self, std: float) -> None:
        mix = _mix(self.time_mix_key, 1 - self.layer_idx / self.layers)
        init.copy_(self.time_mix_key, mix)
        init.copy_(self.time_mix_receptance, mix)

    def forward(
        self, hidden: torch.Tensor, *, padding_mask: Any = None, past_key_values: Any = None, **_: Any
    ) -> torch.Tensor:
        x = masked(hidden, padding_mask)
        back = shifted(x, of_the_cache(past_key_values), self.layer_idx, self.state_idx) - x
        k = self.key(x + back * (1 - self.time_mix_key))
        r = self.receptance(x + back * (1 - self.time_mix_receptance))
        return torch.sigmoid(r) * self.value(torch.relu(k) ** 2)


def _mix(like: torch.Tensor, power: float) -> torch.Tensor:
    """Shares of the present position by channel, from 0 to 1."""
    width = like.shape[-1]
    return (torch.arange(width, device=like.device) / width).pow(power).view(1, 1, width)
