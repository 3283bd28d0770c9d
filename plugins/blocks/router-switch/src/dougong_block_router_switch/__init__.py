"""Router of the Switch Transformer."""

import attrs
from attrs.validators import and_, ge, gt, lt, optional
from dougong import Technique, hookimpl
from dougong_block_moe import Router


@attrs.frozen
class Params:
    """
    capacity_factor: room before each expert in training, in multiples of an even share of a sequence's tokens; what
        finds no room is dropped. Null for no limit.
    eval_capacity_factor: the same in evaluation.
    jitter: in training the router's input is multiplied by noise from [1 - jitter, 1 + jitter].
    balance: weight of the load-balancing loss (alpha).
    z: weight of the router z-loss.
    """

    capacity_factor: float | None = attrs.field(default=1.25, validator=optional(gt(0)))
    eval_capacity_factor: float | None = attrs.field(default=None, validator=optional(gt(0)))
    jitter: float = attrs.field(default=0.01, validator=and_(ge(0), lt(1)))
    balance: float = attrs.field(default=0.01, validator=ge(0))
    z: float = attrs.field(default=0.0, validator=ge(0))


@hookimpl
def dougong_blocks() -> list[Technique]:
    return [
        Technique(
            "router-switch",
            Params,
            "dougong_block_router_switch.router:SwitchRouter",
            summary="One expert a token, its probability as gate; tokens beyond an expert's capacity are dropped.",
            source="Fedus et al. 2021, Switch Transformers, section 2, equations 1 to 6",
            protocol=Router,
        )
    ]
