from dougong.testing import NetworkConformance
from transformers import LlamaConfig, LlamaForCausalLM

LAYER = {
    "use": "transformer",
    "attention": {"use": "attention", "heads": 4, "kv_heads": 2},
    "ffn": {"use": "ffn", "inner": 24},
}


class TestDecoder(NetworkConformance):
    name = "network.decoder"
    params = {"vocab": 37, "width": 16, "layers": 2, "layer": LAYER, "pad": 0}
    refused = tuple({name: 0} for name in ("vocab", "width", "layers", "max_positions", "initializer_range"))
    refused += ({"pad": -1}, {"bos": 37}, {"eos": 37})
    accepted = ({"pad": 36}, {"bos": 0}, {"vocab": 1, "pad": None}, {"layers": 1}, {"max_positions": 1}, {"width": 1})

    def expected(self, network, inputs):
        """transformers' Llama, whose key names a decoder has."""
        c = network.config
        sizes = {"vocab_size": c.vocab_size, "hidden_size": c.hidden_size, "num_hidden_layers": c.num_hidden_layers}
        heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 24, "rms_norm_eps": 1e-6}
        llama = LlamaForCausalLM(LlamaConfig(**sizes, **heads, pad_token_id=0)).eval()
        llama.load_state_dict(network.state_dict())
        return llama(**inputs).logits


class TestTied(NetworkConformance):
    name = "network.decoder"
    params = {
        "vocab": 37,
        "width": 16,
        "layers": 2,
        "layer": {**LAYER, "placement": "post"},
        "norm": None,
        "tie_embeddings": True,
        "pad": 0,
    }
