"""A right objective, and plausible wrong ones, each with the check that must catch it. Run by test_kit_models.py."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import torch
from dougong.testing import ObjectiveConformance
from torch.nn import functional as F

PLUGIN = Path(__file__).with_name("tiny_models.py")
_spec = importlib.util.spec_from_file_location("tiny_models_of_objectives", PLUGIN)
tiny: Any = importlib.util.module_from_spec(_spec)  # type: ignore[arg-type]
_spec.loader.exec_module(tiny)  # type: ignore[union-attr]


def judged(check: str = "", **attributes: Any) -> Any:
    """Give the class a suite; `check` must fail, no check where it is empty."""

    def declare(cls: type) -> type:
        def expected(self: Any, network: Any, batch: Any) -> Any:
            logits = network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
            return F.cross_entropy(logits[:, :-1].transpose(1, 2), batch["labels"][:, 1:], ignore_index=-100)

        suite = {"name": "objective.tiny-lm", "plugin": PLUGIN, "uniform": math.log(37), "expected": expected}
        if check:
            suite["build"] = lambda self, **overrides: cls(tiny.LMParams())
        globals()[f"Test{cls.__name__}"] = type(f"Test{cls.__name__}", (ObjectiveConformance,), {**suite, **attributes})
        return cls

    return declare


@judged()
class Right(tiny.CausalLM):
    """Next-token prediction, as it should be."""


@judged("test_batches_are_tensors_of_one_form")
class CountsPads(Right):
    """Padding is in the loss."""

    def batches(self, split: str) -> Any:
        for batch in super().batches(split):
            yield {**batch, "labels": batch["input_ids"]}


@judged("test_batches_are_tensors_of_one_form")
class LastDiffers(Right):
    """No mask where nothing is padded."""

    def batches(self, split: str) -> Any:
        for number, batch in enumerate(super().batches(split)):
            yield batch if number < 2 else {k: v for k, v in batch.items() if k != "attention_mask"}


@judged("test_batches_come_again_as_they_were")
class Shuffles(Right):
    """Another order each time."""

    def batches(self, split: str) -> Any:
        batches = list(super().batches(split))
        for index in torch.randperm(len(batches)).tolist():
            yield batches[index]


@judged("test_batches_come_again_as_they_were")
class OnePass(Right):
    """An iterator that ends once."""

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        self.read = {split: super(OnePass, self).batches(split) for split in self.sizes}

    def batches(self, split: str) -> Any:
        return self.read[split]


@judged("test_splits_share_no_row")
class Leaks(Right):
    """Validates on what it trains on."""

    def batches(self, split: str) -> Any:
        return super().batches("train" if split in self.sizes else split)


@judged("test_an_unknown_split_is_told")
class AnySplit(Right):
    """Nothing, for a split that it does not have."""

    def batches(self, split: str) -> Any:
        return super().batches(split) if split in self.sizes else iter(())


@judged("test_the_loss_is_a_finite_scalar")
class PerToken(Right):
    """A loss for each row."""

    def loss(self, network: Any, batch: Any) -> Any:
        return super().loss(network, batch).repeat(2)


@judged("test_the_loss_is_a_finite_scalar")
class Cut(Right):
    """A number without its graph."""

    def loss(self, network: Any, batch: Any) -> Any:
        return super().loss(network, batch).detach()


@judged("test_the_loss_is_a_finite_scalar")
class Unshifted(Right):
    """Predicts the token that it sees."""

    def loss(self, network: Any, batch: Any) -> Any:
        logits = network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        return F.cross_entropy(logits.transpose(1, 2), batch["labels"])


@judged("test_it_is_in_nats", expected=lambda self, network, batch: None)
class Bits(Right):
    """Base two."""

    def loss(self, network: Any, batch: Any) -> Any:
        return super().loss(network, batch) / math.log(2)


@judged("test_it_is_in_nats", expected=lambda self, network, batch: None)
class Sums(Right):
    """A sum over the tokens."""

    def loss(self, network: Any, batch: Any) -> Any:
        return super().loss(network, batch) * (batch["labels"] != -100).sum()


@judged("test_the_loss_depends_on_network_and_batch_alone")
class Pops(Right):
    """Takes the labels out of the batch."""

    def loss(self, network: Any, batch: Any) -> Any:
        labels = batch.pop("labels") if "labels" in batch else None
        return network(**batch, labels=batch["input_ids"] if labels is None else labels).loss


@judged("test_the_loss_depends_on_network_and_batch_alone")
class Smooths(Right):
    """A running mean."""

    mean: Any = None

    def loss(self, network: Any, batch: Any) -> Any:
        loss = super().loss(network, batch)
        self.mean = loss.item() if self.mean is None else 0.9 * self.mean + 0.1 * loss.item()
        return loss * (self.mean / loss.item())


@judged("test_the_loss_is_a_finite_scalar")
class Climbs(Right):
    """The wrong sign, hidden by a constant."""

    def loss(self, network: Any, batch: Any) -> Any:
        return 20 - super().loss(network, batch)


@judged("test_steps_lower_it")
class Still(Right):
    """The right number, from which nothing is learnt."""

    def loss(self, network: Any, batch: Any) -> Any:
        return super().loss(network, batch).detach() + 0 * network.get_output_embeddings().weight.sum()


@judged("test_metrics_are_finite_numbers_and_come_again")
class Tensors(Right):
    """Tensors for numbers."""

    def metric(self, network: Any, split: str) -> Any:
        return {name: torch.tensor(value) for name, value in super().metric(network, split).items()}


@judged("test_measuring_leaves_the_network_as_it_was")
class StaysInEval(Right):
    """Leaves the network in evaluation mode."""

    def metric(self, network: Any, split: str) -> Any:
        found = super().metric(network, split)
        network.eval()
        return found


@judged("test_measuring_leaves_the_network_as_it_was")
class LeavesGradients(Right):
    """Measures with gradients, and leaves them."""

    def metric(self, network: Any, split: str) -> Any:
        self.loss(network, next(iter(self.batches(split)))).backward()
        return super().metric(network, split)


@judged("test_metrics_follow_the_network")
class Blind(Right):
    """Counts rows."""

    def metric(self, network: Any, split: str) -> Any:
        return {"rows": float(sum(len(batch["input_ids"]) for batch in self.batches(split)))}
