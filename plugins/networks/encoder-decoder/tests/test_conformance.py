from dougong.testing import NetworkConformance

NORM = {"use": "layernorm"}
ATTENTION = {"use": "attention", "heads": 4, "positions": "none"}
LAYER = {"use": "transformer", "norm": NORM, "attention": ATTENTION, "ffn": {"use": "ffn", "inner": 24}}


class TestEncoderDecoder(NetworkConformance):
    name = "network.encoder-decoder"
    side = "encoder-decoder"
    params = {
        "vocab": 37,
        "width": 16,
        "layers": 2,
        "encoder": LAYER,
        "decoder": {**LAYER, "cross": {**ATTENTION, "cross": True}},
        "positions": {"use": "positions-sinusoidal"},
        "norm": NORM,
        "pad": 0,
        "bos": 1,
    }
    refused = tuple({name: 0} for name in ("vocab", "width", "layers", "max_positions", "initializer_range"))
    refused += ({"encoder_layers": 0}, {"pad": -1}, {"bos": 37}, {"eos": 37}, {"start": 37}, {"dropout": 1.0})
    accepted = ({"pad": 36}, {"encoder_layers": 1}, {"start": 0}, {"layers": 1}, {"dropout": 0.0}, {"width": 1})
