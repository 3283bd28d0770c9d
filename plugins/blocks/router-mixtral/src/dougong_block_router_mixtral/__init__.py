"""Router of Mixtral."""

import attrs
from attrs.validators import ge
from dougong import Technique, hookimpl
from dougong_block_moe import Router


@attrs.frozen
class Params:
    """
    k: experts a token.
    balance: weight of the load-balancing loss.
    z: weight of the router z-loss.
    """

    k: int = attrs.field(default=2, validator=ge(1))
    balance: float = attrs.field(default=0.001, validator=ge(0))
    z: float = attrs.field(default=0.0, validator=ge(0))


@hookimpl
def dougong_blocks() -> list[Technique]:
    return [
        Technique(
            "router-mixtral",
            Params,
            "dougong_block_router_mixtral.router:MixtralRouter",
            summary="The k likeliest experts, their gates renormalised; nothing is dropped.",
            source="Jiang et al. 2024, Mixtral of Experts, section 2.1",
            protocol=Router,
        )
    ]
