"""What routers have in common: logits in float32, queues before experts, losses.

Shapes: logits and probabilities ``(batch, length, experts)``, index ``(batch, length, k)`` as in `Routing`, real
``(batch, length)`` bool.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F


def router_logits(hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """``hidden @ weight.T`` in float32, also under autocast: Fedus et al. 2021, section 2.4, selective precision."""
    dtype = torch.promote_types(hidden.dtype, torch.float32)
    with torch.autocast(hidden.device.type, enabled=False):
        return F.linear(hidden.to(dtype), weight.to(dtype))


def real_tokens(logits: torch.Tensor, padding_mask: torch.Tensor | None) -> torch.Tensor:
    """True where a token stands."""
    if padding_mask is None:
        return torch.ones(logits.shape[:-1], dtype=torch.bool, device=logits.device)
    return padding_mask.bool()


def places(index: torch.Tensor, experts: int) -> torch.Tensor:
    """Place of each choice in the queue before its expert, from 0; like `index`.

    Each sequence has its own queues. All first choices come before all second ones (Lepikhin et al. 2020, algorithm
    1), earlier tokens before later ones.
    """
    queue = index.transpose(1, 2).flatten(1)
    place = F.one_hot(queue, experts + 1).cumsum(1).gather(2, queue[..., None]) - 1
    return place.view(len(index), index.shape[2], -1).transpose(1, 2)


def load_balancing_loss(probabilities: torch.Tensor, index: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """``E sum_i f_i P_i`` (Fedus et al. 2021, equation 4) over the real tokens of the whole batch.

    ``f_i`` is the number of choices of expert i per token, before any is dropped; ``P_i`` its mean probability. k if
    all is balanced; with k=1 at most E.
    """
    tokens, experts = real.sum().clamp(min=1), probabilities.shape[-1]
    f = index[real].flatten().bincount(minlength=experts) / tokens
    P = (probabilities * real[..., None]).sum((0, 1)) / tokens
    return experts * (f.to(P.dtype) * P).sum()


def z_loss(logits: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Mean of ``logsumexp(logits)^2`` over real tokens: Zoph et al. 2022 (ST-MoE), equation 5."""
    return (logits.logsumexp(-1).square() * real).sum() / real.sum().clamp(min=1)


def router_loss(
    logits: torch.Tensor,
    probabilities: torch.Tensor,
    index: torch.Tensor,
    real: torch.Tensor,
    balance: float,
    z: float,
) -> torch.Tensor | None:
    """Both losses by their weights; None where both weights are 0."""
    losses = [balance * load_balancing_loss(probabilities, index, real)] if balance else []
    losses += [z * z_loss(logits, real)] if z else []
    return torch.stack(losses).sum() if losses else None
