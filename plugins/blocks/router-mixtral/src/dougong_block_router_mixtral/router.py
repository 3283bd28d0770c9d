"""Jiang et al. 2024, https://arxiv.org/abs/2401.04088."""

from __future__ import annotations

from typing import Any

import torch
from dougong_block_moe import Routing
from dougong_block_moe.routing import real_tokens, router_logits, router_loss
from torch import nn

from dougong_block_router_mixtral import Params


class MixtralRouter(nn.Module):
    """``G(x) = softmax(top_k(x W))`` (section 2.1): the k likeliest experts, gates that sum to 1.

    With k=1 the gate is always 1, and no gradient of the task reaches the router.
    """

    normalised = True

    def __init__(self, params: Params, config: Any, layer_idx: int | None = None, *, experts: int) -> None:
        super().__init__()
        if params.k > experts:
            raise ValueError(f"k must be at most the number of experts ({experts}), not {params.k}")
        self.params = params
        self.weight = nn.Parameter(torch.empty(experts, config.hidden_size))
        self.init_block(config.initializer_range)

    def init_block(self, std: float) -> None:
        nn.init.normal_(self.weight, std=std)

    def forward(self, hidden: torch.Tensor, **_: Any) -> torch.Tensor:
        """Logits ``(batch, length, experts)``."""
        return router_logits(hidden, self.weight)

    def route(self, logits: torch.Tensor, padding_mask: torch.Tensor | None = None) -> Routing:
        real, experts = real_tokens(logits, padding_mask), logits.shape[-1]
        probabilities = logits.softmax(-1)
        gates, index = probabilities.topk(self.params.k)
        gates = gates / gates.sum(-1, keepdim=True)
        loss = router_loss(logits, probabilities, index, real, self.params.balance, self.params.z)
        none = ~real[..., None]
        return Routing(index.masked_fill(none, experts), gates.masked_fill(none, 0), loss)
