"""Mixture of experts beside dense feed-forward networks of equal active and of equal total size, and transformers'."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from _bench import row, side_by_side
from dougong import make
from torch import nn
from transformers import MixtralConfig, PreTrainedConfig
from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

WIDTH, TOKENS, K = 512, 512, 2
# experts: inner width of one, bar of the forward pass and of training against a dense network of equal active size
SIZES = {8: (1024, 1.3, 1.6), 32: (512, 1.9, 2.3)}


def block(tree: dict[str, Any]) -> nn.Module:
    config = PreTrainedConfig(
        hidden_size=WIDTH, max_position_embeddings=TOKENS, num_hidden_layers=1, initializer_range=0.02
    )
    build = make("network.decoder", vocab=8, width=WIDTH, layers=1, layer=tree).params.layer
    return build(config, 0)


def theirs(experts: int, inner: int, how: str) -> nn.Module:
    config = MixtralConfig(hidden_size=WIDTH, intermediate_size=inner, num_local_experts=experts, num_experts_per_tok=K)
    config._experts_implementation = how
    return MixtralSparseMoeBlock(config)


def copy(ours: nn.Module, other: nn.Module) -> None:
    """The weights of our experts, as transformers packs them."""
    other.gate.weight.data.copy_(ours.gate.weight)
    for index, expert in enumerate(ours.experts):
        pair = torch.cat([expert.gate_proj.weight, expert.up_proj.weight])
        other.experts.gate_up_proj.data[index].copy_(pair)
        other.experts.down_proj.data[index].copy_(expert.down_proj.weight)


def forward(model: nn.Module, x: torch.Tensor, _: torch.Tensor) -> None:
    with torch.no_grad():
        model(x)


def train(model: nn.Module, x: torch.Tensor, weight: torch.Tensor) -> None:
    model.zero_grad()
    x = x.detach().requires_grad_()
    model(x).backward(weight)


def backward(model: nn.Module, x: torch.Tensor, weight: torch.Tensor) -> Callable[[], None]:
    """A backward pass alone, to be repeated."""
    x = x.detach().requires_grad_()
    out = model(x)

    def again() -> None:
        model.zero_grad()
        out.backward(weight, retain_graph=True)

    return again


def figure(name: str, seconds: dict[str, float], against: str, ratio: float, bar: float, least: bool = False) -> None:
    holds = ratio >= bar if least else ratio <= bar
    row(name, seconds["ours"] * 1000, "ms", against=against, ratio=ratio, bar=f"{'>=' if least else '<='} {bar} x",
        holds=holds)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_known_args()[0].rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x, weight = torch.randn(1, TOKENS, WIDTH), torch.randn(1, TOKENS, WIDTH)
    for experts, (inner, *bars) in SIZES.items():
        expert = {"use": "ffn", "inner": inner}
        ours = block({"use": "moe", "experts": experts, "expert": expert, "router": {"use": "router-mixtral", "k": K}})
        for parameter in ours.parameters():
            nn.init.normal_(parameter, std=0.02)
        models = {"ours": ours}
        for how in ("grouped_mm", "eager"):
            models[how] = theirs(experts, inner, how)
            copy(ours, models[how])
        models["active"] = block({"use": "ffn", "inner": K * inner})
        models["total"] = block({"use": "ffn", "inner": experts * inner})
        name = f"moe E={experts}, top-{K}, width {WIDTH}, expert {inner}, {TOKENS} tokens, 1 thread"
        with torch.no_grad():
            gap = (ours(x) - models["eager"](x)).abs().max().item()
        row(f"{name}: largest difference", gap, "", against="MixtralSparseMoeBlock", bar="<= 1e-6", holds=gap <= 1e-6)
        for work, bar in zip((forward, train), bars, strict=True):
            for model in models.values():
                work(model, x, weight)
            seconds = side_by_side({side: partial(work, model, x, weight) for side, model in models.items()}, rounds)
            what = f"{name}: {work.__name__}"
            figure(what, seconds, "dense of equal active size", seconds["ours"] / seconds["active"], bar)
            figure(
                f"{what}, tokens/s", seconds, "dense of equal total size", seconds["total"] / seconds["ours"], 3, True
            )
            figure(
                f"{what}, speed", seconds, "transformers grouped_mm", seconds["grouped_mm"] / seconds["ours"], 1, True
            )
            row(f"{what}, speed", seconds["ours"] * 1000, "ms", against="transformers eager",
                ratio=seconds["eager"] / seconds["ours"])  # fmt: skip
        passes = {side: backward(models[side], x, weight) for side in ("ours", "eager")}
        seconds = side_by_side(passes, rounds)
        bar = 10 if experts == 32 else 1
        figure(f"{name}: backward, speed", seconds, "transformers eager", seconds["eager"] / seconds["ours"], bar, True)


if __name__ == "__main__":
    main()
