"""Shazeer et al. 2017, https://arxiv.org/abs/1701.06538; sorted as in Gale et al. 2022 (MegaBlocks)."""

from __future__ import annotations

from typing import Any

import torch
from dougong import BuildError
from torch import nn

from dougong_block_moe import Params


class MoE(nn.Module):
    """``y = sum_i G(x)_i E_i(x)`` (equation 1) over the experts that the router chose. ``(batch, length, width)``.

    A token without an expert gives zeros: in a layer with a residual it passes unchanged.
    """

    def __init__(self, params: Params, config: Any, layer_idx: int | None = None) -> None:
        super().__init__()
        self.gate = params.router(config, layer_idx, experts=params.experts)
        self.experts = Experts(params.expert(config, layer_idx) for _ in range(params.experts))
        if any(getattr(module, "layer_type", None) for module in self.experts.modules()):
            raise BuildError("an expert keeps state in the cache", hint="use a block that works on each position alone")
        self.router_logits = nn.Identity()
        self._loss: torch.Tensor | None = None

    def forward(self, hidden: torch.Tensor, *, padding_mask: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor:
        logits = self.router_logits(self.gate(hidden, padding_mask=padding_mask, **kwargs))
        routing = self.gate.route(logits, padding_mask)
        self._loss = routing.loss
        flat = (tensor.flatten(0, 1) for tensor in (hidden, routing.index, routing.gates))
        return self.experts(*flat).view_as(hidden)

    def auxiliary_loss(self) -> torch.Tensor | None:
        """What the router adds to the training loss, of the last forward; given once."""
        loss, self._loss = self._loss, None
        return loss


class Experts(nn.ModuleList):
    """Experts behind the interface of transformers' experts, which servers know.

    Tokens are sorted by expert, so that each expert works once, on consecutive rows.
    """

    def forward(
        self, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
    ) -> torch.Tensor:
        """``(tokens, width)`` to the same; `top_k_index` and `top_k_weights` are ``(tokens, k)``, see `Routing`."""
        chosen = top_k_index.flatten()
        order = chosen.argsort(stable=True)
        *counts, without = chosen.bincount(minlength=len(self) + 1).tolist()
        order = order[: len(order) - without]
        token = order // top_k_index.shape[1]
        x, G = hidden_states.index_select(0, token), top_k_weights.flatten().index_select(0, order)[:, None]
        y = torch.zeros_like(hidden_states, dtype=torch.promote_types(x.dtype, G.dtype))
        # In training an expert without tokens works on none: its gradient is then zero, not missing, which data
        # parallel wrappers insist on.
        work = torch.is_grad_enabled()
        for E, at, x_e, G_e in zip(self, token.split(counts), x.split(counts), G.split(counts), strict=True):
            if work or len(at):
                y.index_add_(0, at, (E(x_e[None])[0] * G_e).to(y.dtype))
        return y.to(hidden_states.dtype)
