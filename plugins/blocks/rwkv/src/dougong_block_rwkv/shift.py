"""What both versions share: the token shift, and what a block reads of its keywords."""

from __future__ import annotations

from typing import Any

import torch
from dougong import BuildError
from torch.nn import functional as F


def only_forward(config: Any) -> None:
    """Raises BuildError in a network that is not causal."""
    if getattr(config, "is_causal", True) is False:
        raise BuildError("rwkv only works forward in time", hint="take attention in an encoder")


def masked(x: torch.Tensor, padding_mask: Any) -> torch.Tensor:
    """Zero at padding: so it says nothing to the position after it either."""
    return x if padding_mask is None else x * padding_mask[..., None].to(x.dtype)


def shifted(x: torch.Tensor, past: Any, layer_idx: int, state_idx: int) -> torch.Tensor:
    """x of the position before, ``(batch, length, width)``; before the first, what the cache kept, else 0."""
    if past is None:
        return F.pad(x, (0, 0, 1, -1))
    length = x.shape[1]
    kept = past.update_conv_state(x.mT, layer_idx, state_idx=state_idx, conv_kernel_size=1)[..., -1 - length :]
    return F.pad(kept, (length + 1 - kept.shape[-1], 0))[..., :-1].mT


def of_the_cache(past: Any) -> Any:
    """The cache of this side, where an encoder and a decoder each have one."""
    return getattr(past, "self_attention_cache", past)
