from functools import partial

from dougong.testing import BlockConformance
from dougong.testing.declared import signature_problems
from dougong_block_moe import Params
from dougong_block_moe.moe import MoE
from torch import nn


def expert(config, layer_idx):
    return nn.Linear(config.hidden_size, config.hidden_size)


class TestMixtralRouter(BlockConformance):
    """A router gives logits and a routing, not hidden states: it is checked at its work, inside of block.moe."""

    name = "block.router-mixtral"
    params = {"k": 2}
    refused = ({"k": 0}, {"balance": -0.1}, {"z": -0.1})
    accepted = ({"k": 1}, {"balance": 0.0, "z": 0.0})

    def builder(self, **overrides):
        return partial(MoE, Params(expert=expert, experts=3, router=super().builder(**overrides)))

    def test_what_it_builds_meets_its_protocol(self):
        """A router is built inside the block that asks it, which is what `build` gives here."""
        assert not signature_problems(self.loaded().protocol, self.made().gate)

    def expected(self, block, hidden):
        logits = hidden @ block.gate.weight.T
        gates = logits.masked_fill(logits < logits.sort(-1).values[..., -2:-1], -float("inf")).softmax(-1)
        return sum(gates[..., i : i + 1] * E(hidden) for i, E in enumerate(block.experts))
