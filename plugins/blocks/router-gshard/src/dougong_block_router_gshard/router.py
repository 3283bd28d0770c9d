"""Lepikhin et al. 2020, https://arxiv.org/abs/2006.16668; Artetxe et al. 2021, https://arxiv.org/abs/2112.10684."""

from __future__ import annotations

from typing import Any

import torch
from dougong_block_moe import Routing
from dougong_block_moe.routing import places, real_tokens, router_logits, router_loss
from torch import nn

from dougong_block_router_gshard import Params


class GShardRouter(nn.Module):
    """Algorithm 1: the two likeliest experts of each token, with limited room before each expert.

    Room is ``floor(capacity_factor * ceil(tokens / E))`` of the tokens of one sequence (FairSeq-MoE's rounding), at
    least 1; all first choices come before all second ones.
    """

    normalised = True

    def __init__(self, params: Params, config: Any, layer_idx: int | None = None, *, experts: int) -> None:
        super().__init__()
        if experts < 2:
            raise ValueError(f"two experts a token need at least 2 experts, not {experts}")
        self.params = params
        self.weight = nn.Parameter(torch.empty(experts, config.hidden_size))
        self.init_block(config.initializer_range)

    def init_block(self, std: float) -> None:
        nn.init.normal_(self.weight, std=std)

    def forward(self, hidden: torch.Tensor, **_: Any) -> torch.Tensor:
        """Logits ``(batch, length, experts)``."""
        return router_logits(hidden, self.weight)

    def route(self, logits: torch.Tensor, padding_mask: torch.Tensor | None = None) -> Routing:
        params, real, experts = self.params, real_tokens(logits, padding_mask), logits.shape[-1]
        p = logits.softmax(-1)
        e1 = p.argmax(-1, keepdim=True)
        scores = logits.detach()
        if self.training and params.second == "sampling":  # the largest of logits + Gumbel noise is drawn by softmax
            scores = scores - torch.empty_like(scores).exponential_().log()
        e2 = scores.scatter(-1, e1, -torch.inf).argmax(-1, keepdim=True)
        loss = router_loss(logits, p, e1, real, params.balance, params.z)

        index = torch.cat([e1, e2], -1)
        g = p.gather(-1, index)
        if params.normalise == "before":
            g = _normalised(g)
        index = index.masked_fill(~real[..., None], experts)
        if self.training and params.second == "random":
            stays = 2 * g[..., 1:] > torch.rand_like(g[..., 1:])
            index = torch.cat([index[..., :1], index[..., 1:].masked_fill(~stays, experts)], -1)
        factor = params.capacity_factor if self.training else params.eval_capacity_factor
        if factor is not None:
            capacity = ((real.sum(1).double() / experts).ceil() * factor + 1e-6).floor().clamp(min=1)
            index = index.masked_fill(places(index, experts) >= capacity[:, None, None], experts)
        g = g.masked_fill(index == experts, 0)
        return Routing(index, _normalised(g) if params.normalise == "after" else g, loss)


def _normalised(gates: torch.Tensor) -> torch.Tensor:
    return gates / gates.sum(-1, keepdim=True).clamp(min=torch.finfo(gates.dtype).eps)
