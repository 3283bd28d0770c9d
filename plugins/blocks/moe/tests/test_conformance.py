from dougong.testing import BlockConformance


class TestMoE(BlockConformance):
    """The other routers run the same suite in their own folders."""

    name = "block.moe"
    params = {"experts": 3, "expert": {"use": "ffn", "inner": 24}, "router": {"use": "router-mixtral", "k": 2}}
    refused = ({"experts": 0},)
    accepted = ({"experts": 2},)

    def expected(self, block, hidden):
        """Every expert on every token, and the gates of equation 1 as a full matrix."""
        p = (hidden @ block.gate.weight.T).softmax(-1)
        kept = p * (p >= p.sort(-1).values[..., -2:-1])
        gates = kept / kept.sum(-1, keepdim=True)
        return sum(gates[..., i : i + 1] * expert(hidden) for i, expert in enumerate(block.experts))
