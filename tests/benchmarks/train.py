"""Pre-training beside a plain GPT of equal size, trained alike; mixtures of experts beside a dense network; tokenizers.

``--steps N`` (600) of the first, ``--moe-steps N`` (150) of the second; ``--only NAME`` runs one part.
"""

from __future__ import annotations

import argparse
import itertools
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import dougong
import torch
from _bench import data, row, skipped
from torch import nn
from torch.nn import functional as F

WIDTH, LAYERS, HEADS, LENGTH, BATCH, VOCAB = 128, 4, 4, 128, 16, 512
LR, WARMUP, DECAY, CLIP = 2e-3, 50, 0.1, 1.0


# ---------------------------------------------------------------- the baseline, after nanoGPT's model.py


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH, bias=False), nn.LayerNorm(WIDTH, bias=False)
        self.attn, self.proj = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.fc, self.out = nn.Linear(WIDTH, 4 * WIDTH, bias=False), nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, c = x.shape
        q, k, v = self.attn(self.ln_1(x)).view(b, t, 3, HEADS, c // HEADS).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, c))
        return x + self.out(F.gelu(self.fc(self.ln_2(x))))


class GPT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCAB, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.ln_f = nn.LayerNorm(WIDTH, bias=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                deep = name.endswith(("proj.weight", "out.weight"))
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * LAYERS) if deep else 0.02)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.wte(ids) + self.wpe.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.ln_f(x) @ self.wte.weight.T

    def loss(self, batch: Any) -> torch.Tensor:
        logits = self(batch["input_ids"])[:, :-1]
        return F.cross_entropy(logits.reshape(-1, VOCAB), batch["labels"][:, 1:].reshape(-1))


def train_baseline(objective: Any, steps: int) -> tuple[float, int]:
    torch.manual_seed(0)
    model = GPT()
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": DECAY},
        {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.95), fused=True)
    for step, batch in enumerate(itertools.islice(objective.batches("train"), steps)):
        done = (step - WARMUP) / (steps - WARMUP)
        scale = (step + 1) / (WARMUP + 1) if step < WARMUP else 0.1 + 0.45 * (1 + math.cos(math.pi * done))
        for group in optimizer.param_groups:
            group["lr"] = LR * scale
        optimizer.zero_grad()
        model.loss(batch).backward()
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
    total, count = 0.0, 0
    with torch.no_grad():
        for batch in objective.batches("validation"):
            predicted = int((batch["labels"][:, 1:] != -100).sum())
            total, count = total + model.loss(batch).item() * predicted, count + predicted
    return total / count, sum(p.numel() for p in parameters)


# ---------------------------------------------------------------- ours, by a config


def config(
    text: Path, out: Path, ffn: dict[str, Any], steps: int, seed: int = 0, width: int = WIDTH, layers: int = LAYERS
) -> dict[str, Any]:
    layer = {"use": "transformer", "attention": {"use": "attention", "heads": HEADS}, "ffn": ffn}
    sizes = {
        "vocab": VOCAB,
        "width": width,
        "layers": layers,
        "max_positions": LENGTH,
        "tie_embeddings": True,
        "embed_norm": {"use": "rmsnorm"},
    }
    network = {"use": "network.decoder", **sizes, "layer": layer}
    texts = {"files": [str(text)], "holdout": 0.1, "tokenizer": str(out.parent / "tokenizer.json"), "vocab": VOCAB}
    rows = {"length": LENGTH, "batch": BATCH, "epochs": 20, "seed": seed}
    rates = {"lr": LR, "warmup": WARMUP, "min_lr": LR / 10, "weight_decay": DECAY, "clip": CLIP}
    settings = {"out": str(out), "steps": steps, "seed": seed, "save": 0, "log": 50, **rates}
    return {"use": "objective.training", "network": network, "of": {"use": "causal-lm", **texts, **rows}, **settings}


def train(given: dict[str, Any]) -> dict[str, float]:
    from dougong_command_train.trainer import run

    task = dougong.make(given)
    return run(task, {}, given["steps"], None)


def shakespeare(text: Path, folder: Path, steps: int) -> None:
    given = config(text, folder / "ours", {"use": "ffn", "inner": 8 * WIDTH // 3}, steps)
    start = time.perf_counter()
    ours = train(given)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    theirs, size = train_baseline(dougong.make(given).params.of, steps)
    apart = time.perf_counter() - start
    mine = dougong.make(given).params.network.build().num_parameters()
    row("train: parameters", mine, "parameters", against="nanoGPT-style", ratio=mine / size, bar="<= 2 M")
    ratio = ours["loss"] / theirs
    row(
        f"train: tiny shakespeare, validation loss after {steps} steps",
        ours["loss"],
        "nats a token",
        against="nanoGPT-style",
        ratio=ratio,
        bar="<= 1",
        holds=ratio <= 1,
    )
    row("train: the baseline's", theirs, "nats a token")
    row("train: bits a byte", ours["bits_per_byte"], "bits")
    row("train: seconds", seconds, "s", against="nanoGPT-style", ratio=seconds / apart, bar="<= 600 s")


def experts(text: Path, folder: Path, steps: int) -> None:
    """Dense, top-1 and top-2 of 4 experts: equal weights at work in each token, equal tokens, three seeds."""
    width, inner = 96, 256
    whole, half = {"use": "ffn", "inner": inner}, {"use": "ffn", "inner": inner // 2}
    variants = {
        "dense": whole,
        "top-1": {"use": "moe", "experts": 4, "expert": whole, "router": {"use": "router-switch"}},
        "top-2": {"use": "moe", "experts": 4, "expert": half, "router": {"use": "router-mixtral", "k": 2}},
    }
    try:
        dougong.make(config(text, folder / "x", variants["top-2"], WARMUP + 1, width=width)).params.network.build()
        dougong.make(config(text, folder / "x", variants["top-1"], WARMUP + 1, width=width)).params.network.build()
    except dougong.DougongError as error:
        skipped("train: experts", " ".join(str(error).split())[:200])
        return
    found: dict[str, list[float]] = {}
    for name, ffn in variants.items():
        for seed in range(3):
            given = config(text, folder / f"{name}-{seed}", ffn, steps, seed, width)
            found.setdefault(name, []).append(train(given)["loss"])
    dense = sum(found["dense"]) / 3
    for name, losses in found.items():
        mean = sum(losses) / 3
        spread = max(losses) - min(losses)
        row(f"train: {name}, mean of 3 seeds", mean, "nats a token", against="dense", ratio=mean / dense)
        row(f"train: {name}, spread of 3 seeds", spread, "nats a token")


def tokenizers(folder: Path) -> None:
    """Characters a token of our byte-level BPE on text that it was not trained on."""
    from dougong_objective_causal_lm.tokens import train_bpe

    for name in ("sanguo.txt", "tinyshakespeare.txt", "wikitext2-valid.txt"):
        text = (folder / name).read_text(encoding="utf-8")
        cut = int(len(text) * 0.9)
        for vocab in (512, 8192):
            start = time.perf_counter()
            made = train_bpe([text[:cut]], vocab, ["<|endoftext|>"])
            seconds = time.perf_counter() - start
            rate = (len(text) - cut) / len(made.encode(text[cut:]).ids)
            row(f"train: BPE of {vocab} on {name}", rate, "characters a token")
        row(f"train: BPE of 8192 on {name}, training", seconds, "s")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--moe-steps", type=int, default=150)
    parser.add_argument("--only", choices=["tokenizers", "shakespeare", "experts"])
    options = parser.parse_args()
    folder = data("text")
    if folder is None:
        return
    text = folder / "tinyshakespeare.txt"
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary)
        if options.only in (None, "tokenizers"):
            tokenizers(folder)
        if options.only in (None, "shakespeare"):
            shakespeare(text, out, options.steps)
        if options.only in (None, "experts"):
            experts(text, out, options.moe_steps)


if __name__ == "__main__":
    main()
