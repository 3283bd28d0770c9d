"""Which layer has which block."""

from __future__ import annotations

from typing import Any

from torch import nn

from dougong_block_cycle import Params


def cycle(params: Params, config: Any, layer_idx: int | None = None, **how: Any) -> nn.Module:
    """The block of this layer itself, with nothing around it: keys of its weights are those that it has alone."""
    return params.of[(layer_idx or 0) % len(params.of)](config, layer_idx, **how)
