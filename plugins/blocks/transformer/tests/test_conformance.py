from dougong.testing import BlockConformance

PARTS = {
    "attention": {"use": "attention", "heads": 4, "kv_heads": 2},
    "ffn": {"use": "ffn", "inner": 24},
    "norm": {"use": "rmsnorm", "eps": 0.01},
}


class TestPre(BlockConformance):
    name = "block.transformer"
    params = PARTS
    drops = {"dropout": 0.5}
    refused = ({"dropout": 1.0}, {"dropout": -0.1})
    accepted = ({"dropout": 0.0}, {"dropout": 0.99})
    mixes = causal = cached = True

    def expected(self, block, hidden):
        x = hidden + self.forward(block.self_attn, block.input_layernorm(hidden))
        return x + block.mlp(block.post_attention_layernorm(x))


class TestPost(BlockConformance):
    name = "block.transformer"
    params = {**PARTS, "placement": "post", "dropout": 0.2}
    mixes = causal = cached = True

    def expected(self, block, hidden):
        x = block.post_attention_layernorm(hidden + self.forward(block.self_attn, hidden))
        return block.post_feedforward_layernorm(x + block.mlp(x))
