"""What holds for every adapter. Imports torch and transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from dougong.testing.conformance import Conformance
from dougong.testing.tiny import llama, tokens  # first: it tells transformers to stay offline

# isort: split
import torch
from safetensors import safe_open
from transformers import PreTrainedModel

from dougong.testing.block_use import close


class AdapterConformance(Conformance):
    """An adapter keeps its promises of `dougong.kinds.Adapter` on a small Llama, or on `network`.

    Attributes:
        trainable: how many numbers train, worked out by its paper's formula; None for no check.
        starts_equal: before any training the network computes what it did.
        frozen: the weights that it found are never changed. False where that is the technique (Delta-LoRA).
        lowers: by how much, as a share of it, thirty steps at `lr` must lower the loss on one batch.
        lr: learning rate.
    """

    trainable: int | None = None
    starts_equal: bool = True
    frozen: bool = True
    lowers: float = 0.02
    lr: float = 0.02
    kind: ClassVar[str] = "adapter"
    tolerance = 1e-5

    def network(self) -> Any:
        """The network that is adapted: always with the same weights."""
        return llama()

    def load(self, network: Any, folder: Path) -> Any:
        """`network`, a fresh one, with what `export` wrote into `folder`; None where that is for others to read."""
        return None

    def observe(self, built: Any) -> Any:
        torch.random.default_generator.manual_seed(0)
        network = built.apply(self.network()).eval()
        sizes = sorted([name, list(p.shape)] for name, p in network.named_parameters() if p.requires_grad)
        return [sizes, self.logits(network) if self.starts_equal else None]

    def logits(self, network: Any) -> torch.Tensor:
        with torch.no_grad():
            found: torch.Tensor = network.eval()(tokens(2, 6)).logits
        return found

    def train(self, adapter: Any, network: Any, steps: int) -> list[float]:
        """Losses of `steps` steps on one batch, and that after the last."""
        ids, optimizer, losses = tokens(4, 8), adapter.optimizer(network, self.lr), []
        network.train()
        for _ in range(steps):
            optimizer.zero_grad()
            loss = network(ids, labels=ids).loss
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        network.eval()
        with torch.no_grad():
            return [*losses, network(ids, labels=ids).loss.item()]

    def adapted(self) -> tuple[Any, Any, dict[str, tuple[torch.nn.Parameter, torch.Tensor]]]:
        """The adapter, an adapted network, and the weights that it found: each parameter, and what was in it."""
        torch.manual_seed(0)
        adapter, network = self.build(), self.network()
        found = {name: (parameter, parameter.detach().clone()) for name, parameter in network.named_parameters()}
        return adapter, adapter.apply(network), found

    # ------------------------------------------------------------ what trains

    def test_the_adapted_network_is_still_one(self) -> None:
        _, network, _ = self.adapted()
        assert network is not None, "apply gives the network"
        assert self.logits(network).shape == (2, 6, self.network().config.vocab_size)
        generated = network.generate(tokens(2, 4), max_new_tokens=3, do_sample=False)
        assert generated.shape[0] == 2

    def test_only_what_is_new_trains(self) -> None:
        _, network, found = self.adapted()
        before = {id(parameter) for parameter, _ in found.values()}
        new = [p for p in network.parameters() if p.requires_grad and id(p) not in before]
        old = [name for name, (parameter, _) in found.items() if parameter.requires_grad]
        assert new, "nothing new trains"
        assert not (old and self.frozen), f"weights that it found train too: {old[:3]}"
        count, whole = sum(p.numel() for p in new), sum(p.numel() for p, _ in found.values())
        assert count < whole / 2, f"{count:,} numbers train, of a network of {whole:,}"
        assert self.trainable in (None, count), f"{count:,} numbers train, not {self.trainable:,}"

    def test_the_optimizer_has_what_trains_and_nothing_else(self) -> None:
        adapter, network, _ = self.adapted()
        training = {id(p): name for name, p in network.named_parameters() if p.requires_grad}
        optimizer = adapter.optimizer(network, self.lr)
        held = [id(p) for group in optimizer.param_groups for p in group["params"]]
        assert len(held) == len(set(held)), "the optimizer has a parameter twice"
        assert not set(training) - set(held), "not trained: " + str(
            [training[i] for i in set(training) - set(held)][:3]
        )
        assert not set(held) - set(training), "the optimizer has parameters that do not train: they cost memory"
        rates = [group["lr"] for group in optimizer.param_groups]
        doubled = [group["lr"] for group in adapter.optimizer(network, 2 * self.lr).param_groups]
        assert min(rates) == pytest.approx(self.lr), f"no group learns at lr ({self.lr}), they learn at {rates}"
        assert doubled == pytest.approx([2 * rate for rate in rates]), "learning rates do not follow lr"

    def test_before_training_nothing_has_changed(self) -> None:
        if not self.starts_equal:
            pytest.skip("it starts otherwise")
        _, network, _ = self.adapted()
        close(self.logits(network), self.logits(self.network()), self.tolerance, "before any step it computes others")

    def test_training_moves_what_trains_and_lowers_the_loss(self) -> None:
        adapter, network, found = self.adapted()
        before = {name: p.detach().clone() for name, p in network.named_parameters() if p.requires_grad}
        losses = self.train(adapter, network, 30)
        assert losses[-1] < (1 - self.lowers) * losses[0], (
            f"thirty steps brought the loss from {losses[0]} to {losses[-1]}"
        )
        still = [name for name, p in network.named_parameters() if name in before and torch.equal(p, before[name])]
        assert not still, f"trained, and unchanged: {still[:3]}"
        if self.frozen:
            moved = [name for name, (parameter, value) in found.items() if not torch.equal(parameter, value)]
            assert not moved, f"training changed weights that are frozen: {moved[:3]}"
            held = {id(parameter) for parameter in network.parameters()}
            lost = [name for name, (parameter, _) in found.items() if id(parameter) not in held]
            assert not lost, f"weights that the network had are gone: {lost[:3]}"

    def test_two_networks_are_adapted_apart(self) -> None:
        torch.manual_seed(0)
        adapter = self.build()
        first, second = adapter.apply(self.network()), adapter.apply(self.network())
        before = self.logits(second)
        self.train(adapter, first, 3)
        close(self.logits(second), before, 0, "training one network changes another")

    def test_it_works_in_half_precision(self) -> None:
        adapter, network = self.build(), self.network().to(torch.bfloat16)
        adapted = adapter.apply(network)
        assert self.logits(adapted).dtype == torch.bfloat16
        assert all(torch.isfinite(torch.tensor(self.train(adapter, adapted, 2))))

    # ------------------------------------------------------------ merge and export

    def test_merged_it_computes_the_same_without_it(self) -> None:
        adapter, network, _ = self.adapted()
        self.train(adapter, network, 5)
        wanted, plain = self.logits(network), self.network()
        merged = adapter.merge(network)
        assert isinstance(merged, PreTrainedModel), "merge gives back a network of transformers"
        assert type(merged) is type(plain)
        close(
            self.logits(merged), wanted, self.tolerance * (1 + wanted.abs().max().item()), "merged it computes others"
        )
        names = {name: p.shape for name, p in plain.named_parameters()}
        assert {name: p.shape for name, p in merged.named_parameters()} == names, (
            "merged it still has the adapter's parts"
        )
        merged.save_pretrained(self.folder / "merged")
        again = type(merged).from_pretrained(self.folder / "merged")
        close(self.logits(again), self.logits(merged), 0, "merged, saved and loaded it computes something else")

    def test_what_is_exported_is_small_and_whole(self) -> None:
        adapter, network, _ = self.adapted()
        self.train(adapter, network, 3)
        wanted = self.logits(network)
        folder = self.folder / "exported"
        adapter.export(network, folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        strange = [path.name for path in files if path.suffix not in (".safetensors", ".json", ".md")]
        assert not strange, f"exported as {strange}; only safetensors and JSON are safe to load"
        tensors = [path for path in files if path.suffix == ".safetensors"]
        assert tensors, "nothing was exported as safetensors"
        written: list[torch.Tensor] = []
        for path in tensors:
            with safe_open(path, "pt") as file:
                written += [file.get_tensor(key) for key in file.keys()]  # noqa: SIM118  it is no mapping
        for name, parameter in network.named_parameters():
            if parameter.requires_grad and self.frozen:
                same = [value for value in written if value.shape == parameter.shape and torch.equal(value, parameter)]
                assert same, f"{name} trained and is not in what was exported"
        assert sum(value.numel() for value in written) < sum(p.numel() for p in self.network().parameters()), (
            "the whole network is exported; an adapter exports what it added"
        )
        close(self.logits(network), wanted, 0, "exporting changes the network")
        again = self.load(self.network(), folder)
        if again is not None:
            close(self.logits(again), wanted, self.tolerance, "exported and loaded it computes something else")
