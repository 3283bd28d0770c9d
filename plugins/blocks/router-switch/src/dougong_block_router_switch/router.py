"""Fedus et al. 2021, https://arxiv.org/abs/2101.03961."""

from __future__ import annotations

from typing import Any

import torch
from dougong_block_moe import Routing
from dougong_block_moe.routing import places, real_tokens, router_logits, router_loss
from torch import nn

from dougong_block_router_switch import Params


class SwitchRouter(nn.Module):
    """``p = softmax(W x)`` (equation 1), the likeliest expert alone, and its ``p`` as gate (equation 2, k=1).

    The capacity of an expert (equation 3) is ``ceil(tokens / E * capacity_factor)``, of the tokens of one sequence;
    earlier tokens come first, and those beyond it are dropped.
    """

    normalised = False

    def __init__(self, params: Params, config: Any, layer_idx: int | None = None, *, experts: int) -> None:
        super().__init__()
        self.params = params
        self.weight = nn.Parameter(torch.empty(experts, config.hidden_size))
        self.init_block(config.initializer_range)

    def init_block(self, std: float) -> None:
        nn.init.normal_(self.weight, std=std)

    def forward(self, hidden: torch.Tensor, **_: Any) -> torch.Tensor:
        """Logits ``(batch, length, experts)``."""
        if self.training and self.params.jitter:
            hidden = hidden * torch.empty_like(hidden).uniform_(1 - self.params.jitter, 1 + self.params.jitter)
        return router_logits(hidden, self.weight)

    def route(self, logits: torch.Tensor, padding_mask: torch.Tensor | None = None) -> Routing:
        real, experts = real_tokens(logits, padding_mask), logits.shape[-1]
        p = logits.softmax(-1)
        gates, index = p.max(-1, keepdim=True)
        loss = router_loss(logits, p, index, real, self.params.balance, self.params.z)
        index = index.masked_fill(~real[..., None], experts)
        factor = self.params.capacity_factor if self.training else self.params.eval_capacity_factor
        if factor is not None:
            # A share that float arithmetic made a trace too large should not become a place more.
            capacity = (real.sum(1).double() / experts * factor - 1e-6).ceil()
            index = index.masked_fill(places(index, experts) >= capacity[:, None, None], experts)
        return Routing(index, gates.masked_fill(index == experts, 0), loss)
