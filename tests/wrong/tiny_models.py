"""A plugin file with a cache, an adapter and an objective, each tiny and right: what their suites accept."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import attrs
from attrs.validators import ge, gt
from dougong import Technique, hookimpl


@attrs.frozen
class NoParams:
    """None."""


@attrs.frozen
class LoRAParams:
    """r: rank; alpha: the update is scaled by alpha / r."""

    r: int = attrs.field(default=2, validator=ge(1))
    alpha: float = attrs.field(default=4.0, validator=gt(0))


@attrs.frozen
class LMParams:
    """rows: sequences of the training split; length: tokens of each; batch: sequences a batch; seed: of the order."""

    rows: int = attrs.field(default=12, validator=ge(1))
    length: int = attrs.field(default=8, validator=ge(4))
    batch: int = attrs.field(default=4, validator=ge(1))
    seed: int = 0


class Plain:
    """A cache that grows."""

    def __init__(self, params: Any) -> None:
        pass

    def build(self, network: Any) -> Any:
        from transformers import DynamicCache

        return DynamicCache(config=network.config)


@cache
def low_rank() -> Any:
    """``W x + alpha / r B A x`` (Hu et al. 2021, equation 3)."""
    import torch

    class LowRank(torch.nn.Module):
        def __init__(self, base: Any, r: int, alpha: float) -> None:
            super().__init__()
            self.base, self.scale = base, alpha / r
            like = {"dtype": base.weight.dtype, "device": base.weight.device}
            self.A = torch.nn.Parameter(torch.randn(r, base.in_features, **like) / r)
            self.B = torch.nn.Parameter(torch.zeros(base.out_features, r, **like))

        def forward(self, x: Any) -> Any:
            return self.base(x) + self.scale * (x @ self.A.T @ self.B.T)

    return LowRank


class LoRA:
    """Low-rank updates of the query and value maps."""

    def __init__(self, params: LoRAParams) -> None:
        self.params = params

    def apply(self, network: Any) -> Any:
        network.requires_grad_(False)
        for layer in network.model.layers:
            for name in ("q_proj", "v_proj"):
                setattr(layer.self_attn, name, self.wrapped(getattr(layer.self_attn, name)))
        return network

    def wrapped(self, linear: Any) -> Any:
        return low_rank()(linear, self.params.r, self.params.alpha)

    def optimizer(self, network: Any, lr: float) -> Any:
        import torch

        return torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=lr)

    def merge(self, network: Any) -> Any:
        for layer in network.model.layers:
            for name in ("q_proj", "v_proj"):
                update = getattr(layer.self_attn, name)
                update.base.weight.data += update.scale * update.B.data @ update.A.data
                setattr(layer.self_attn, name, update.base)
        return network

    def export(self, network: Any, folder: Any) -> None:
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: p.detach().clone() for name, p in network.named_parameters() if p.requires_grad},
            folder / "adapter.safetensors",
        )
        (folder / "adapter.json").write_text(json.dumps(attrs.asdict(self.params)))


class CausalLM:
    """Next-token prediction of sequences that count upwards in steps, some of them padded on the left."""

    sizes = {"train": (0, 1), "validation": (100_000, 3)}

    def __init__(self, params: LMParams) -> None:
        self.params = params

    def batches(self, split: str) -> Any:
        import torch

        if split not in self.sizes:
            raise ValueError(f"there is no split {split!r}; there are {', '.join(self.sizes)}")
        p, (first, part) = self.params, self.sizes[split]
        generator = torch.Generator().manual_seed(p.seed + first)
        rows = []
        for number in range(max(1, p.rows // part)):
            start, step = 3 + number % 11, 1 + number // 11 + (4 if part > 1 else 0)
            rows.append([3 + (start + step * i) % 34 for i in range(p.length)])
        order = torch.randperm(len(rows), generator=generator).tolist()
        for at in range(0, len(rows), p.batch):
            ids = torch.tensor([rows[i] for i in order[at : at + p.batch]])
            mask = torch.ones_like(ids)
            ids[0, :2], mask[0, :2] = 0, 0
            yield {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}

    def loss(self, network: Any, batch: Any) -> Any:
        return network(**batch).loss

    def metric(self, network: Any, split: str) -> Any:
        import math

        import torch

        mode, total, count = network.training, 0.0, 0
        network.eval()
        with torch.no_grad():
            for batch in self.batches(split):
                tokens = int((batch["labels"][:, 1:] != -100).sum())
                total, count = total + network(**batch).loss.item() * tokens, count + tokens
        network.train(mode)
        return {"loss": total / count, "perplexity": math.exp(total / count)}


def _technique(name: str, params: type, factory: str) -> Technique:
    return Technique(name, params, f"{__name__}:{factory}", "A tiny one.", "dougong's tests")


@hookimpl
def dougong_caches() -> list[Technique]:
    return [_technique("plain", NoParams, "Plain")]


@hookimpl
def dougong_adapters() -> list[Technique]:
    return [_technique("tiny-lora", LoRAParams, "LoRA")]


@hookimpl
def dougong_objectives() -> list[Technique]:
    return [_technique("tiny-lm", LMParams, "CausalLM")]
