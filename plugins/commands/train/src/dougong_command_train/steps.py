"""How long a training is."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from dougong import ConfigError


def steps_of(task: Any) -> int:
    """Steps of the training. Raises ConfigError where the batches do not suffice."""
    p = task.params
    batches = task.batches("train")
    if not isinstance(batches, Sized):
        if p.steps is None:
            raise ConfigError("nobody knows how many batches there are", hint="set steps")
        return int(p.steps)
    most = len(batches) // p.accumulate
    steps = p.steps or most
    if steps > most or not most:
        raise ConfigError(
            f"{steps} steps of {p.accumulate} batches are more than the {len(batches)} batches of the training split",
            hint="lower steps, or raise epochs of the objective",
        )
    return int(steps)
