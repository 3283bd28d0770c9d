"""What holds for every training objective. Imports torch and transformers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from dougong.testing.conformance import Conformance
from dougong.testing.tiny import llama  # first: it tells transformers to stay offline

# isort: split
import torch


class ObjectiveConformance(Conformance):
    """An objective keeps its promises of `dougong.kinds.Objective` with a small Llama, or with `network`.

    Attributes:
        splits: the names of its splits.
        uniform: the loss of a network whose logits are all 0, in nats (``math.log(37)`` for language modelling with
            the small Llama); None for no check.
        lowers: by how much, as a share of it, thirty steps on one batch must lower its loss.
    """

    splits: Sequence[str] = ("train", "validation")
    uniform: float | None = None
    lowers: float = 0.05
    kind: ClassVar[str] = "objective"
    tolerance = 1e-5

    def network(self) -> Any:
        """A network that it can train: always with the same weights, in evaluation mode."""
        return llama()

    def expected(self, network: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
        """What the loss must be, by another way; None for no check."""
        return None

    def observe(self, built: Any) -> Any:
        network = self.network()
        first = {split: dict(next(iter(built.batches(split)))) for split in self.splits}
        with torch.no_grad():
            return [first, [built.loss(network, batch) for batch in first.values()]]

    # ------------------------------------------------------------ batches

    def test_batches_are_tensors_of_one_form(self) -> None:
        objective = self.build()
        forms = []
        for split in self.splits:
            batches = list(objective.batches(split))
            assert batches, f"split {split!r} has no batch"
            for batch in batches:
                assert isinstance(batch, Mapping)
                assert all(isinstance(value, torch.Tensor) for value in batch.values()), "a batch maps names to tensors"
                rows = {value.shape[0] for value in batch.values() if value.ndim}
                assert len(rows) == 1, f"the tensors of a batch have different numbers of rows: {sorted(rows)}"
                assert min(rows) > 0, "an empty batch"
                forms.append({name: (value.dtype, value.ndim) for name, value in batch.items()})
                if {"labels", "attention_mask"} <= set(batch) and batch["labels"].shape == batch[
                    "attention_mask"
                ].shape:
                    counted = batch["labels"][batch["attention_mask"] == 0]
                    assert (counted == -100).all(), "padding is counted in the loss: its labels must be -100"
                if "input_ids" in batch:
                    assert batch["input_ids"].dtype == torch.long
                    assert batch["input_ids"].min() >= 0
                    assert batch["input_ids"].max() < self.network().config.vocab_size, "a token beyond the vocabulary"
        assert all(form == forms[0] for form in forms), "batches differ in their names, types or dimensions"

    def test_batches_come_again_as_they_were(self) -> None:
        objective = self.build()
        for split in self.splits:
            torch.manual_seed(1)
            first = list(objective.batches(split))
            torch.manual_seed(2)
            for again in (list(objective.batches(split)), list(self.build().batches(split))):
                assert len(again) == len(first), "the second pass has another number of batches; give a fresh iterator"
                for one, two in zip(first, again):
                    assert set(one) == set(two)
                    assert all(torch.equal(one[name], two[name]) for name in one), (
                        "batches come in another order or with other tokens: shuffle by a seed that is a parameter"
                    )

    def test_splits_share_no_row(self) -> None:
        objective = self.build()
        seen: dict[tuple[Any, ...], str] = {}
        for split in self.splits:
            for batch in objective.batches(split):
                name = "input_ids" if "input_ids" in batch else next(iter(batch))
                for row in batch[name].flatten(1).tolist():
                    assert seen.setdefault(tuple(row), split) == split, f"a row is in {seen[tuple(row)]} and in {split}"

    def test_an_unknown_split_is_told(self) -> None:
        objective, network = self.build(), self.network()
        for ask in (
            lambda: list(objective.batches("no-such-split")),
            lambda: objective.metric(network, "no-such-split"),
        ):
            with pytest.raises(ValueError, match="no-such-split") as caught:
                ask()
            assert any(split in str(caught.value) for split in self.splits), "say which splits there are"

    # ------------------------------------------------------------ loss

    def test_the_loss_is_a_finite_scalar(self) -> None:
        objective, network = self.build(), self.network()
        for split in self.splits:
            for batch in list(objective.batches(split))[:3]:
                loss = objective.loss(network, batch)
                assert isinstance(loss, torch.Tensor)
                assert loss.shape == (), f"the loss has the shape {tuple(loss.shape)}; it is a scalar"
                assert loss.requires_grad, "no gradient flows from the loss: do not detach it"
                assert math.isfinite(loss.item())
                assert loss.item() >= 0, "a negative loss"
                wanted = self.expected(network, batch)
                if wanted is not None:
                    assert loss.item() == pytest.approx(wanted.item(), rel=1e-4), "not what it must be"

    def test_it_is_in_nats(self) -> None:
        if self.uniform is None:
            pytest.skip("no `uniform`")
        network, objective = self.network(), self.build()
        network.get_output_embeddings().weight.data.zero_()
        for batch in list(objective.batches(self.splits[0]))[:2]:
            found = objective.loss(network, batch).item()
            assert found == pytest.approx(self.uniform, rel=1e-4), (
                "of even odds the loss is ln(choices), a mean in nats"
            )

    def test_the_loss_depends_on_network_and_batch_alone(self) -> None:
        objective, network = self.build(), self.network()
        batches = list(objective.batches(self.splits[0]))
        one, other = batches[0], batches[-1]
        given = {name: value.clone() for name, value in one.items()}
        weights = {name: value.clone() for name, value in network.state_dict().items()}
        first = objective.loss(network, one).item()
        objective.loss(network, other)
        assert objective.loss(network, one).item() == first, "the second time a batch has another loss: keep no state"
        assert set(one) == set(given), "the loss takes something out of the batch"
        assert all(torch.equal(one[name], given[name]) for name in given), "the loss writes into the batch"
        assert all(torch.equal(v, weights[n]) for n, v in network.state_dict().items()), "the loss changes the network"
        assert all(p.grad is None for p in network.parameters()), "the loss calls backward: that is the trainer's"

    def test_steps_lower_it(self) -> None:
        objective, network = self.build(), self.network().train()
        batch = next(iter(objective.batches(self.splits[0])))
        optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
        losses = []
        for _ in range(31):
            optimizer.zero_grad()
            loss = objective.loss(network, batch)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < (1 - self.lowers) * losses[0], f"thirty steps brought it from {losses[0]} to {losses[-1]}"

    # ------------------------------------------------------------ metric

    def test_metrics_are_finite_numbers_and_come_again(self) -> None:
        objective, network = self.build(), self.network()
        for split in self.splits:
            found = objective.metric(network, split)
            assert isinstance(found, Mapping)
            assert found, "no metric"
            for name, value in found.items():
                assert isinstance(name, str)
                assert isinstance(value, float), f"{name} is a {type(value).__name__}, not a float"
                assert math.isfinite(value), f"{name} is {value}"
            assert dict(objective.metric(network, split)) == dict(found), "measured twice, it differs"

    def test_measuring_leaves_the_network_as_it_was(self) -> None:
        objective = self.build()
        for training in (True, False):
            network = self.network().train(training)
            weights = {name: value.clone() for name, value in network.state_dict().items()}
            found = dict(objective.metric(network, self.splits[-1]))
            assert network.training is training, "measuring leaves it in the other mode"
            assert all(p.grad is None for p in network.parameters()), "measuring leaves gradients: use torch.no_grad()"
            assert all(torch.equal(v, weights[n]) for n, v in network.state_dict().items())
            if training:
                for module in network.modules():
                    if isinstance(module, torch.nn.Dropout):
                        module.p = 0.5
                again = dict(objective.metric(network, self.splits[-1]))
                assert again == found, "dropout acts while it measures: call network.eval() first"

    def test_metrics_follow_the_network(self) -> None:
        objective, network = self.build(), self.network()
        before = dict(objective.metric(network, self.splits[0]))
        optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
        for batch in list(objective.batches(self.splits[0]))[:8] * 4:
            optimizer.zero_grad()
            objective.loss(network.train(), batch).backward()
            optimizer.step()
        assert dict(objective.metric(network.eval(), self.splits[0])) != before, "training changes no metric"
