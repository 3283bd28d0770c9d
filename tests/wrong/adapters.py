"""A right adapter, and plausible wrong ones, each with the check that must catch it. Run by test_kit_models.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from dougong.testing import AdapterConformance
from safetensors.torch import load_file, save_file

PLUGIN = Path(__file__).with_name("tiny_models.py")
_spec = importlib.util.spec_from_file_location("tiny_models_of_adapters", PLUGIN)
tiny: Any = importlib.util.module_from_spec(_spec)  # type: ignore[arg-type]
_spec.loader.exec_module(tiny)  # type: ignore[union-attr]


def judged(check: str = "", **attributes: Any) -> Any:
    """Give the class a suite; `check` must fail, no check where it is empty."""

    def declare(cls: type) -> type:
        def load(self: Any, network: Any, folder: Path) -> Any:
            network = self.build().apply(network)
            network.load_state_dict(load_file(folder / "adapter.safetensors"), strict=False)
            return network

        trainable = 2 * 2 * (16 + 16) + 2 * 2 * (16 + 8)  # layers x r x (in + out), of queries and of values
        suite = {"name": "adapter.tiny-lora", "plugin": PLUGIN, "trainable": trainable, "load": load}
        if check:
            suite["build"] = lambda self, **overrides: cls(tiny.LoRAParams())
        globals()[f"Test{cls.__name__}"] = type(f"Test{cls.__name__}", (AdapterConformance,), {**suite, **attributes})
        return cls

    return declare


@judged()
class Right(tiny.LoRA):
    """LoRA, as it should be."""


@judged("test_only_what_is_new_trains")
class Thawed(Right):
    """Forgets to freeze."""

    def apply(self, network: Any) -> Any:
        return super().apply(network).requires_grad_(True)


@judged("test_only_what_is_new_trains", trainable=2 * 2 * (16 + 16))
class AlsoValues(Right):
    """Adapts more than its formula counts."""


@judged("test_the_optimizer_has_what_trains_and_nothing_else")
class Optimizes(Right):
    """An optimizer over all weights."""

    def optimizer(self, network: Any, lr: float) -> Any:
        return torch.optim.AdamW(network.parameters(), lr=lr)


@judged("test_the_optimizer_has_what_trains_and_nothing_else")
class FixedRate(Right):
    """A learning rate of its own."""

    def optimizer(self, network: Any, lr: float) -> Any:
        return super().optimizer(network, 2e-4)


@judged("test_before_training_nothing_has_changed")
class Noise(Right):
    """Both matrices drawn."""

    def wrapped(self, linear: Any) -> Any:
        layer = super().wrapped(linear)
        torch.nn.init.normal_(layer.B)
        return layer


@judged("test_training_moves_what_trains_and_lowers_the_loss")
class HalfStill(Right):
    """No gradient for A."""

    def wrapped(self, linear: Any) -> Any:
        layer = super().wrapped(linear)
        layer.forward = lambda x: layer.base(x) + layer.scale * (x @ layer.A.detach().T @ layer.B.T)
        layer.A.register_hook(lambda gradient: gradient * 0)
        return layer

    def optimizer(self, network: Any, lr: float) -> Any:
        return torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=lr, weight_decay=0.0)


@judged("test_training_moves_what_trains_and_lowers_the_loss")
class Copies(Right):
    """Puts copies of the weights into the network."""

    def wrapped(self, linear: Any) -> Any:
        twin = torch.nn.Linear(linear.in_features, linear.out_features, bias=False).requires_grad_(False)
        twin.weight.data.copy_(linear.weight)
        return super().wrapped(twin.to(linear.weight.dtype))


@judged("test_two_networks_are_adapted_apart")
class Shares(Right):
    """One pair of matrices for every network."""

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        self.pairs: dict[tuple[int, int], Any] = {}

    def wrapped(self, linear: Any) -> Any:
        layer = super().wrapped(linear)
        size = (linear.in_features, linear.out_features)
        layer.A, layer.B = self.pairs.setdefault(size, (layer.A, layer.B))
        return layer


@judged("test_it_works_in_half_precision")
class Floats(Right):
    """Float32, whatever the network is in."""

    def wrapped(self, linear: Any) -> Any:
        layer = super().wrapped(linear)
        layer.A.data, layer.B.data = layer.A.data.float(), layer.B.data.float()
        return layer


@judged("test_merged_it_computes_the_same_without_it")
class Unscaled(Right):
    """Merges without the scale."""

    def merge(self, network: Any) -> Any:
        for module in network.modules():
            if hasattr(module, "scale") and hasattr(module, "B"):
                module.scale = 1.0
        return super().merge(network)


@judged("test_merged_it_computes_the_same_without_it")
class Lingers(Right):
    """Merged, and still there."""

    def merge(self, network: Any) -> Any:
        return network


@judged("test_what_is_exported_is_small_and_whole")
class Pickles(Right):
    """A pickle."""

    def export(self, network: Any, folder: Any) -> None:
        super().export(network, folder)
        torch.save(network.state_dict(), folder / "adapter.bin")


@judged("test_what_is_exported_is_small_and_whole")
class HalfExported(Right):
    """Only the last of the matrices."""

    def export(self, network: Any, folder: Any) -> None:
        folder.mkdir(parents=True)
        save_file(
            {n: p.detach() for n, p in network.named_parameters() if n.endswith("B")}, folder / "adapter.safetensors"
        )


@judged("test_what_is_exported_is_small_and_whole")
class Whole(Right):
    """The whole network."""

    def export(self, network: Any, folder: Any) -> None:
        folder.mkdir(parents=True)
        save_file({n: p.detach().clone() for n, p in network.named_parameters()}, folder / "adapter.safetensors")
