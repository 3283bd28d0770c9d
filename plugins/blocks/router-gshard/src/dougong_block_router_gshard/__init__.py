"""Router of GShard and FairSeq-MoE."""

from typing import Literal

import attrs
from attrs.validators import ge, gt, optional
from dougong import Technique, hookimpl
from dougong_block_moe import Router


@attrs.frozen
class Params:
    """
    second: whether a token goes to its second expert, in training. ``random``: with probability 2 times its gate
        (GShard); ``sampling``: always, and it is drawn by probability (FairSeq-MoE's usual policy); ``all``: always.
        In evaluation it is ``all``.
    normalise: make the two gates sum to 1 ``before`` choices are dropped (GShard) or ``after`` (FairSeq-MoE).
    capacity_factor: room before each expert in training, in multiples of an even share of a sequence's tokens; what
        finds no room is dropped. Null for no limit.
    eval_capacity_factor: the same in evaluation.
    balance: weight of the load-balancing loss.
    z: weight of the router z-loss.
    """

    second: Literal["random", "sampling", "all"] = "random"
    normalise: Literal["before", "after"] = "before"
    capacity_factor: float | None = attrs.field(default=2.0, validator=optional(gt(0)))
    eval_capacity_factor: float | None = attrs.field(default=None, validator=optional(gt(0)))
    balance: float = attrs.field(default=0.01, validator=ge(0))
    z: float = attrs.field(default=0.0, validator=ge(0))


@hookimpl
def dougong_blocks() -> list[Technique]:
    return [
        Technique(
            "router-gshard",
            Params,
            "dougong_block_router_gshard.router:GShardRouter",
            summary="Two experts a token, the second by chance; choices beyond an expert's capacity are dropped.",
            source="Lepikhin et al. 2020, GShard, algorithm 1; Artetxe et al. 2021 (FairSeq-MoE), section 2.2",
            protocol=Router,
        )
    ]
