"""Sparse upcycling."""

import attrs
from attrs.validators import ge
from dougong import Builder, Network, Technique, hookimpl
from dougong_block_moe import Router


@attrs.frozen
class Params:
    """
    of: the dense network, made of blocks; its layers have a slot ``ffn``.
    experts: number of experts, each a copy of the dense feed-forward network.
    router: chooses the experts of each token; its weights are drawn anew.
    every: each n-th layer gets experts, the last of every n; the others stay dense.
    """

    of: Network
    experts: int = attrs.field(validator=ge(1))
    router: Builder[Router]
    every: int = attrs.field(default=1, validator=ge(1))


@hookimpl
def dougong_networks() -> list[Technique]:
    return [
        Technique(
            "upcycle",
            Params,
            "dougong_network_upcycle.upcycle:Upcycle",
            summary="A dense network whose feed-forward parts become mixtures of experts, each expert a copy.",
            source="Komatsuzaki et al. 2023, Sparse Upcycling, section 3",
        )
    ]
