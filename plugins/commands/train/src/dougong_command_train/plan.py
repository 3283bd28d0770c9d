"""What a training would take, before it is begun: no weight is made, no step done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from dougong_command_train.steps import steps_of
from dougong_command_train.words import w


@attrs.frozen
class Plan:
    """Counts, and bytes of one process that holds everything.

    Attributes:
        parameters, trained: numbers in the network, and those that training changes.
        tokens: in one step.
        weights, gradients, optimizer: float32; AdamW keeps two moments.
        activations: what a forward pass of one batch keeps for the backward pass, in float32 (with bfloat16 it is
            less); None if it cannot be told without computing.
    """

    parameters: int
    trained: int
    steps: int
    tokens: int
    weights: int
    gradients: int
    optimizer: int
    activations: int | None

    @classmethod
    def of(cls, task: Any) -> Plan:
        """Reads the texts, for the number of their tokens; trains a missing tokenizer."""
        p, steps = task.params, steps_of(task)
        batch = next(iter(task.batches("train")))
        with FakeTensorMode(allow_non_fake_inputs=True) as fake:  # shapes are computed, values are not
            network = p.network.build()
            if p.recompute:
                network.gradient_checkpointing_enable()
            kept = activations(network, task, {name: fake.from_tensor(value) for name, value in batch.items()})
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        tokens = batch["input_ids"].numel() if "input_ids" in batch else 0
        return cls(
            parameters=network.num_parameters(),
            trained=sum(parameter.numel() for parameter in trained),
            steps=steps,
            tokens=tokens * p.accumulate,
            weights=sum(4 * parameter.numel() for parameter in network.parameters()),
            gradients=sum(4 * parameter.numel() for parameter in trained),
            optimizer=sum(8 * parameter.numel() for parameter in trained),
            activations=kept,
        )

    @property
    def memory(self) -> int:
        return self.weights + self.gradients + self.optimizer + (self.activations or 0)

    def data(self) -> dict[str, Any]:
        return {**attrs.asdict(self), "tokens_in_all": self.tokens * self.steps, "memory": self.memory}


def activations(network: Any, task: Any, batch: Mapping[str, torch.Tensor]) -> int | None:
    """Bytes that autograd keeps between the forward and the backward pass of a batch; None where that fails."""
    weights = {tensor.untyped_storage()._cdata for tensor in (*network.parameters(), *network.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage  # held, so that its address is not given to another
        return tensor

    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = task.loss(network.train(), batch)
    except (RuntimeError, NotImplementedError, TypeError, ValueError):  # a block computes with values, or by a kernel
        return None
    del loss
    return sum(storage.nbytes() for storage in kept.values())


def lines(plan: Plan) -> Iterator[tuple[str, str]]:
    yield w("parameters"), f"{plan.parameters:,}"
    if plan.trained != plan.parameters:
        yield w("trained"), f"{plan.trained:,}"
    yield w("steps"), f"{plan.steps:,}"
    yield w("tokens a step"), f"{plan.tokens:,}"
    yield w("tokens in all"), f"{plan.tokens * plan.steps:,}"
    yield w("weights"), size(plan.weights)
    yield w("gradients"), size(plan.gradients)
    yield w("optimizer"), size(plan.optimizer)
    yield w("activations of a batch"), w("unknown") if plan.activations is None else size(plan.activations)
    yield w("memory in all"), size(plan.memory)


def size(count: float) -> str:
    """``1.50 MB``; 1 MB is 10^6 bytes."""
    units = ["B", "kB", "MB", "GB", "TB"]
    power = min(len(units) - 1, max(0, len(str(int(count))) - 1) // 3)
    return f"{count:.0f} B" if power == 0 else f"{count / 1000**power:.2f} {units[power]}"
