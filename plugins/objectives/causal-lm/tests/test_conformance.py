import math
import random
from itertools import pairwise

import torch
from dougong.testing import ObjectiveConformance

WORDS = [*"斗拱承重榫卯相接屋檐，。", " bracket", " beam", " roof", " timber", " carries", " joins", " under", " the"]
CHANCE = random.Random(1)
PARAGRAPHS = ["".join(CHANCE.choices(WORDS, k=CHANCE.randint(1, 30))) + str(n) for n in range(60)]


class TestCausalLM(ObjectiveConformance):
    name = "objective.causal-lm"
    params = {"files": ["text.txt"], "tokenizer": "tokenizer.json", "vocab": 300, "length": 16, "batch": 4}
    uniform = math.log(320)
    refused = ({"length": 1}, {"batch": 0}, {"epochs": 0}, {"holdout": 1.0}, {"vocab": 256}, {"seed": -1})
    refused += ({"files": []}, {"field": ""}, {"eos": ""}, {"validation": ["v.txt"], "holdout": 0.5})
    accepted = ({"length": 2}, {"epochs": 3}, {"vocab": None}, {"holdout": 0.0}, {"seed": 0})

    def parameters(self):
        text = self.folder / "text.txt"
        text.write_text("\n\n".join(PARAGRAPHS), encoding="utf-8")
        here = {"files": [str(text)], "tokenizer": str(self.folder / "tokenizer.json")}
        return {**self.params, **here, "holdout": 0.2, "separator": "\n\n"}

    def network(self):
        from dougong.testing.tiny import llama

        return llama(vocab_size=320, pad_token_id=None)

    def expected(self, network, batch):
        """Row by row, each document by itself, and by hand."""
        total, count = 0.0, 0
        for ids, positions in zip(batch["input_ids"], batch["position_ids"]):
            starts = [*(positions == 0).nonzero().flatten().tolist(), len(ids)]
            for start, end in pairwise(starts):
                if end - start > 1:
                    odds = network(ids[None, start:end]).logits[0].log_softmax(-1)
                    total = total - odds[:-1].gather(1, ids[start + 1 : end, None]).sum()
                    count += end - start - 1
        return torch.as_tensor(total / count)
