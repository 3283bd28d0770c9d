import math

from dougong.testing import ObjectiveConformance
from dougong.testing.tiny import llama

LAYER = {
    "use": "transformer",
    "attention": {"use": "attention", "heads": 2},
    "ffn": {"use": "ffn", "inner": 16},
}


class TestTraining(ObjectiveConformance):
    """It passes on what its objective gives."""

    name = "objective.training"
    params = {
        "network": {"use": "network.decoder", "vocab": 300, "width": 8, "layers": 1, "layer": LAYER},
        "of": {"use": "causal-lm", "files": ["t"], "tokenizer": "t.json", "vocab": 300, "length": 16, "batch": 4},
        "out": "out",
    }
    uniform = math.log(300)
    refused = ({"steps": 0}, {"lr": 0.0}, {"warmup": -1}, {"steps": 5, "warmup": 5}, {"min_lr": 1.0}, {"beta1": 1.0})
    refused += ({"weight_decay": 1.5}, {"clip": -1.0}, {"accumulate": 0}, {"save": -1}, {"keep": 0}, {"log": 0})
    refused += ({"seed": -1}, {"evaluate": -1}, {"schedule": "sine"}, {"beta2": 1.0}, {"precision": "int4"})
    accepted = ({"steps": 5, "warmup": 4}, {"save": 0}, {"evaluate": None}, {"clip": 0.0}, {"min_lr": 1e-3})

    def parameters(self):
        text = self.folder / "text.txt"
        text.write_text(" ".join(f"斗拱 {n * 7919 % 1000} bracket {n}" for n in range(200)), encoding="utf-8")
        of = {**self.params["of"], "files": [str(text)], "tokenizer": str(self.folder / "t.json"), "holdout": 0.2}
        return {**self.params, "of": of, "out": str(self.folder / "out")}

    def network(self):
        return llama(vocab_size=300, pad_token_id=None)
