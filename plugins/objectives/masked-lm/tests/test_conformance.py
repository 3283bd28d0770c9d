import random

from dougong.testing import ObjectiveConformance
from dougong.testing.tiny import seeded
from transformers import BertConfig, BertForMaskedLM

CHANCE = random.Random(1)
WORDS = [*"斗拱承重榫卯相接屋檐，。", " bracket", " beam", " roof", " timber", " carries", " joins", " under", " the"]
PARAGRAPHS = ["".join(CHANCE.choices(WORDS, k=CHANCE.randint(8, 30))) + str(n) for n in range(60)]


class TestMaskedLM(ObjectiveConformance):
    name = "objective.masked-lm"
    params = {"files": ["text.txt"], "tokenizer": "tokenizer.json", "vocab": 300, "length": 128, "batch": 4}
    refused = ({"length": 2}, {"batch": 0}, {"epochs": 0}, {"holdout": 1.0}, {"vocab": 259}, {"seed": -1})
    refused += ({"files": []}, {"field": ""}, {"validation": ["v.txt"], "holdout": 0.5}, {"rate": 0.0}, {"rate": 1.1})
    refused += ({"masked": 0.8, "random": 0.3}, {"masked": -0.1}, {"random": -0.1}, {"masked": 1.1})
    refused += tuple({name: ""} for name in ("cls", "sep", "mask", "pad"))
    accepted = ({"length": 3}, {"rate": 1.0}, {"masked": 0.5, "random": 0.5}, {"vocab": None}, {"masked": 0.0})

    def parameters(self):
        text = self.folder / "text.txt"
        text.write_text("\n\n".join(PARAGRAPHS), encoding="utf-8")
        here = {"files": [str(text)], "tokenizer": str(self.folder / "tokenizer.json")}
        return {**self.params, **here, "holdout": 0.2, "separator": "\n\n"}

    def network(self):
        sizes = {"vocab_size": 320, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        return seeded(BertForMaskedLM(BertConfig(**sizes, intermediate_size=24, pad_token_id=0)))

    def expected(self, network, batch):
        """What BERT's own forward says."""
        return network(**batch).loss
