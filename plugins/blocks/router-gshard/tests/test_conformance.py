from functools import partial

from dougong.testing import BlockConformance
from dougong.testing.declared import signature_problems
from dougong_block_moe import Params
from dougong_block_moe.moe import MoE
from torch import nn


def expert(config, layer_idx):
    return nn.Linear(config.hidden_size, config.hidden_size)


class TestGShardRouter(BlockConformance):
    """A router gives logits and a routing, not hidden states: it is checked at its work, inside of block.moe."""

    name = "block.router-gshard"
    refused = (
        {"second": "never"},
        {"normalise": "never"},
        {"capacity_factor": 0},
        {"eval_capacity_factor": 0},
        {"balance": -0.1},
        {"z": -0.1},
    )
    accepted = ({"capacity_factor": None, "second": "sampling"}, {"eval_capacity_factor": 9.0, "normalise": "after"})
    drops = {"second": "random"}

    def builder(self, **overrides):
        return partial(MoE, Params(expert=expert, experts=3, router=super().builder(**overrides)))

    def test_what_it_builds_meets_its_protocol(self):
        """A router is built inside the block that asks it, which is what `build` gives here."""
        assert not signature_problems(self.loaded().protocol, self.made().gate)

    def expected(self, block, hidden):
        p = (hidden @ block.gate.weight.T).softmax(-1)
        gates = p * (p >= p.sort(-1).values[..., -2:-1])
        gates = gates / gates.sum(-1, keepdim=True)
        return sum(gates[..., i : i + 1] * E(hidden) for i, E in enumerate(block.experts))
