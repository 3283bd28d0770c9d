"""A decoder assembled from blocks beside transformers' Llama of the same sizes: forward, training step, decoding."""

from __future__ import annotations

import os
from functools import partial

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from _bench import row, side_by_side
from dougong import make
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

VOCAB, LAYERS, HEADS, KV_HEADS = 1000, 8, 8, 4
BAR = 1.1


def twins(width: int, inner: int) -> dict[str, PreTrainedModel]:
    layer = {
        "use": "transformer",
        "attention": {"use": "attention", "heads": HEADS, "kv_heads": KV_HEADS},
        "ffn": {"use": "ffn", "inner": inner},
    }
    ours = make("network.decoder", vocab=VOCAB, width=width, layers=LAYERS, layer=layer).build().eval()
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=width,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        intermediate_size=inner,
    )
    theirs = LlamaForCausalLM(config).eval()
    theirs.load_state_dict(ours.state_dict())
    return {"assembled": ours, "llama": theirs}


def forward(model: PreTrainedModel, ids: torch.Tensor) -> None:
    with torch.no_grad():
        model(ids)


def train(model: PreTrainedModel, ids: torch.Tensor) -> None:
    model.zero_grad()
    model(ids, labels=ids, use_cache=False).loss.backward()


def decode(model: PreTrainedModel, ids: torch.Tensor) -> None:
    model.generate(ids[:1, :16], max_new_tokens=32, do_sample=False, eos_token_id=None, pad_token_id=0)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    ids = torch.randint(0, VOCAB, (2, 256))
    for width, inner in ((256, 688), (768, 2048)):
        models = twins(width, inner)
        with torch.no_grad():
            gap = (models["assembled"](ids).logits - models["llama"](ids).logits).abs().max().item()
        name = f"decoder width {width}"
        row(f"{name}: largest logit difference", gap, "", against="llama", bar="<= 1e-6", holds=gap <= 1e-6)
        for work in (forward, train, decode):
            for model in models.values():
                work(model, ids)
            seconds = side_by_side({side: partial(work, model, ids) for side, model in models.items()}, rounds=9)
            ratio = seconds["assembled"] / seconds["llama"]
            row(
                f"{name}: {work.__name__}",
                seconds["assembled"] * 1000,
                "ms",
                against="llama",
                ratio=ratio,
                bar=f"<= {BAR} x",
                holds=ratio <= BAR,
            )


if __name__ == "__main__":
    main()
