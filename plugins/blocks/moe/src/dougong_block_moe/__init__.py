"""Mixture of experts. Public: `Router`, `Routing`, and what routers have in common in `dougong_block_moe.routing`."""

from __future__ import annotations

from typing import Any, Protocol

import attrs
from attrs.validators import ge
from dougong import Block, Builder, Technique, hookimpl


@attrs.frozen(eq=False)
class Routing:
    """Where tokens go.

    Attributes:
        index: int64 ``(batch, length, k)``, expert of each choice; the number of experts where there is none: the
            choice was dropped, or the token is padding.
        gates: ``(batch, length, k)``, what the expert's output is multiplied by; 0 where there is no expert.
        loss: scalar, already weighted, to be added to the training loss; None if there is none.
    """

    index: Any
    gates: Any
    loss: Any = None


class Router(Block, Protocol):
    """Chooses experts for tokens. Made as ``(config, layer_idx, experts=E)``.

    `forward`: hidden ``(batch, length, width)`` to logits ``(batch, length, experts)``. `route`: those logits to a
    `Routing`; `padding_mask` is ``(batch, length)``, 1 where a token stands. `normalised`: the gates of a token that
    lost no choice sum to 1, so that equal experts give what one of them would.
    """

    normalised: bool

    def route(self, logits: Any, padding_mask: Any = None) -> Routing: ...


@attrs.frozen
class Params:
    """
    expert: makes an expert; a block that works on each position alone.
    experts: number of experts (E).
    router: chooses the experts of each token.
    """

    expert: Builder[Block]
    experts: int = attrs.field(validator=ge(1))
    router: Builder[Router]


@hookimpl
def dougong_blocks() -> list[Technique]:
    return [
        Technique(
            "moe",
            Params,
            "dougong_block_moe.moe:MoE",
            summary="Each token is worked on by the few experts that a router chooses for it.",
            source="Shazeer et al. 2017, Outrageously Large Neural Networks, equation 1",
        )
    ]
