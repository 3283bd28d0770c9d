"""``dougong train CONFIG``, and objective.training: what is trained, on what, and how."""

from pathlib import Path
from typing import Any, Literal, Protocol

import attrs
from attrs.validators import and_, ge, gt, le, lt, optional
from dougong import Network, Objective, Technique, hookimpl


class Training(Objective, Protocol):
    """An objective with the network that it trains and the settings of its training."""

    params: Any


def _below_lr(instance: Any, _: Any, lr: float) -> None:
    if lr > instance.lr:
        raise ValueError(f"must be at most lr ({instance.lr}); the rate falls to it")


def _within_steps(instance: Any, _: Any, warmup: int) -> None:
    if instance.steps is not None and warmup >= instance.steps:
        raise ValueError(f"must be below steps ({instance.steps}); the rate rises during them")


@attrs.frozen
class Params:
    """
    network: what is trained.
    of: batches, loss and metric.
    out: folder of the trained network, its checkpoints, ``log.jsonl`` and ``loss.png``.
    steps: optimizer steps; null for one pass over the batches of `of`.
    lr: highest learning rate (AdamW).
    warmup: steps in which the rate rises from 0 to `lr`.
    schedule: how it falls afterwards.
    min_lr: where a cosine or linear schedule ends.
    beta1, beta2: AdamW's decay rates of the two moments.
    weight_decay: of matrices; biases and norms have none.
    clip: highest norm of all gradients; 0 for no clipping.
    accumulate: batches of `of` that make one step.
    precision: ``auto`` computes in bfloat16 where the hardware does, else in float32; weights are float32.
    shard: split weights, gradients and optimizer among processes (FSDP) instead of copying them.
    recompute: compute activations anew in the backward pass instead of keeping them.
    evaluate: steps between two measurements on ``validation``; 0 for one at the end; null for none.
    save: steps between two checkpoints; 0 for none.
    keep: checkpoints that stay.
    log: steps between two lines of the log.
    seed: of the first weights and of dropout.
    """

    network: Network
    of: Objective
    out: Path
    steps: int | None = attrs.field(default=None, validator=optional(ge(1)))
    lr: float = attrs.field(default=1e-3, validator=gt(0))
    warmup: int = attrs.field(default=0, validator=and_(ge(0), _within_steps))
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    min_lr: float = attrs.field(default=0.0, validator=and_(ge(0), _below_lr))
    beta1: float = attrs.field(default=0.9, validator=and_(ge(0), lt(1)))
    beta2: float = attrs.field(default=0.95, validator=and_(ge(0), lt(1)))
    weight_decay: float = attrs.field(default=0.1, validator=and_(ge(0), le(1)))
    clip: float = attrs.field(default=1.0, validator=ge(0))
    accumulate: int = attrs.field(default=1, validator=ge(1))
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    shard: bool = False
    recompute: bool = False
    evaluate: int | None = attrs.field(default=0, validator=optional(ge(0)))
    save: int = attrs.field(default=500, validator=ge(0))
    keep: int = attrs.field(default=2, validator=ge(1))
    log: int = attrs.field(default=10, validator=ge(1))
    seed: int = attrs.field(default=0, validator=and_(ge(0), lt(2**32)))


@hookimpl
def dougong_objectives() -> list[Technique]:
    return [
        Technique(
            "training",
            Params,
            "dougong_command_train.training:TrainingTask",
            summary="A network, an objective and the settings of its training: what `dougong train` carries out.",
            source="transformers' Trainer on accelerate; Loshchilov and Hutter 2019 (AdamW), 2017 (cosine schedule)",
            protocol=Training,
        )
    ]
