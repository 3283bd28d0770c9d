from dougong.testing import BlockConformance
from torch.nn import functional as F


class TestGated(BlockConformance):
    name = "block.ffn"
    params = {"inner": 24}
    refused = ({"inner": 0}, {"activation": "tanh"})
    accepted = ({"inner": 1}, {"activation": "relu2"})

    def expected(self, block, hidden):
        gate, up, down = block.gate_proj.weight, block.up_proj.weight, block.down_proj.weight
        return (F.silu(hidden @ gate.T) * (hidden @ up.T)) @ down.T


class TestPlain(BlockConformance):
    name = "block.ffn"
    params = {"inner": 24, "gated": False, "bias": True, "activation": "gelu"}

    def expected(self, block, hidden):
        inner = F.gelu(F.linear(hidden, block.up_proj.weight, block.up_proj.bias))
        return F.linear(inner, block.down_proj.weight, block.down_proj.bias)
