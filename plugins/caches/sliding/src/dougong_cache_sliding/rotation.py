"""Turns cached keys of a network with rotary positions (Su et al. 2021) by some positions more.

Rotations add up: a key that came in as R(p) k is brought to position p + d by R(d). Both the angles and the layout of
pairs are the network's own: its ``rotary_emb`` and the ``apply_rotary_pos_emb`` of the file that it is written in.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import torch
from dougong import BuildError
from torch import nn
from transformers import PreTrainedModel

Turn = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
CHANGING = {"dynamic", "longrope"}  # their angles depend on the length: rotations no longer add up


def turn_of(network: PreTrainedModel, layer_idx: int) -> Turn | None:
    """What brings keys ``(batch, heads, n, d)`` of a layer forward by ``(batch,)`` positions; None where keys carry no
    position (ALiBi, whose biases follow the order in the cache). Raises BuildError for other positions."""
    owner = _owner(network, layer_idx)
    if owner is None:
        if any(getattr(module, "alibi", False) for module in network.modules()):
            return None
        raise _error("keys in it carry neither rotary positions nor ALiBi", "give its attention rope or alibi")
    rotary: Any = owner.rotary_emb
    if rotary is None:
        return None
    kind = getattr(rotary, "rope_type", "default")
    if CHANGING & set(kind.values() if isinstance(kind, dict) else [kind]):
        raise _error(f"the angles of rope type {kind!r} change with the length", "take rope type default or linear")
    apply = getattr(sys.modules[type(owner).__module__], "apply_rotary_pos_emb", None)
    if apply is None:
        raise _error(f"{type(owner).__name__} names no apply_rotary_pos_emb", "use cache.dynamic")
    more = {"layer_type": "full_attention"} if "layer_type" in inspect.signature(rotary.forward).parameters else {}

    def turn(keys: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        cos, sin = rotary(keys, shift[:, None], **more)
        turned, rest = keys.split([cos.shape[-1], keys.shape[-1] - cos.shape[-1]], dim=-1)
        turned = apply(turned, turned, cos, sin)[1] / getattr(rotary, "attention_scaling", 1.0)
        return torch.cat([turned, rest], dim=-1)

    _probe(turn, network, layer_idx)
    return turn


def _owner(network: PreTrainedModel, layer_idx: int) -> nn.Module | None:
    """The attention of a layer, where each has its rotation, or the module that computes it for all."""
    having = [module for module in network.modules() if hasattr(module, "rotary_emb")]
    own = [module for module in having if getattr(module, "layer_idx", None) == layer_idx]
    shared = [module for module in having if getattr(module, "layer_idx", None) is None]
    return next(iter(own + shared), None)


def _probe(turn: Turn, network: PreTrainedModel, layer_idx: int) -> None:
    """Three positions and four more must be seven, and none must be none."""
    config = network.config.get_text_config(decoder=True)
    d = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    keys = torch.randn(1, 1, 2, d, generator=torch.Generator().manual_seed(0)).to(network.device)
    none, three, four, seven = (torch.tensor([n], device=network.device) for n in (0, 3, 4, 7))
    for once, also in ((turn(keys, none), keys), (turn(turn(keys, three), four), turn(keys, seven))):
        if not torch.allclose(once, also, atol=1e-4):
            raise _error(f"the rotations of layer {layer_idx} do not add up", "use cache.dynamic")


def _error(message: str, hint: str) -> BuildError:
    return BuildError(f"the network's keys cannot be moved: {message}", hint=hint, technique="cache.sliding")
