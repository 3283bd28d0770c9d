import sys
from pathlib import Path

from dougong.testing import NetworkConformance

sys.path.insert(0, str(Path(__file__).parent))
from encoder_twin import PARAMS, bert


class Encodes(NetworkConformance):
    side = "encoder"


UNUSED = tuple(f"model.layers.{index}.self_attn.k_proj.bias" for index in range(2))  # softmax takes it away


class TestEncoder(Encodes):
    name = "network.encoder"
    params = PARAMS
    unused = UNUSED
    refused = tuple({name: 0} for name in ("vocab", "width", "layers", "max_positions", "initializer_range"))
    refused += ({"pad": -1}, {"bos": 37}, {"eos": 37}, {"types": -1}, {"dropout": 1.0}, {"dropout": -0.1})
    accepted = ({"pad": 36}, {"types": 0}, {"layers": 1}, {"dropout": 0.99}, {"width": 1}, {"max_positions": 1})

    def expected(self, network, inputs):
        return bert(network)(**inputs).logits


class TestPreNormWithRotations(Encodes):
    name = "network.encoder"
    params = {
        "vocab": 37,
        "width": 16,
        "layers": 2,
        "pad": 0,
        "norm": {"use": "rmsnorm"},
        "tie_embeddings": False,
        "layer": {
            "use": "transformer",
            "attention": {"use": "attention", "heads": 4, "kv_heads": 2},
            "ffn": {"use": "ffn", "inner": 24},
        },
    }


class TestAlibi(TestPreNormWithRotations):
    name = "network.encoder"
    params = {
        **TestPreNormWithRotations.params,
        "layer": {
            "use": "transformer",
            "attention": {"use": "attention", "heads": 4, "positions": "alibi", "window": 3},
            "ffn": {"use": "ffn", "inner": 24},
        },
    }
