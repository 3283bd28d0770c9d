"""The technique: an objective that knows what network it trains, and how."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from dougong_command_train import Params


class TrainingTask:
    """Batches, loss and metric are those of `of`."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def batches(self, split: str) -> Iterable[Mapping[str, torch.Tensor]]:
        return self.params.of.batches(split)

    def loss(self, network: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return self.params.of.loss(network, batch)

    def metric(self, network: Any, split: str) -> Mapping[str, float]:
        return self.params.of.metric(network, split)
