"""The record of a training: a line of JSON whenever something is measured, and its picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Log:
    """``log.jsonl`` in `out`: ``{"step": ..., "loss": ..., "learning_rate": ..., "grad_norm": ...}`` in training, and
    ``{"step": ..., "eval_...": ...}`` where it was measured."""

    def __init__(self, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.path = out / "log.jsonl"
        self.last: Mapping[str, Any] = {}

    def write(self, line: Mapping[str, Any]) -> None:
        if "loss" in line:
            self.last = line
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def lines(self) -> list[dict[str, Any]]:
        """What is written; a line that a kill cut off is passed over."""
        found = []
        for line in self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else ():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def cut(self, step: int) -> None:
        """Forget what came after `step`: it is done again."""
        kept = [line for line in self.lines() if line["step"] <= step]
        part = self.path.with_suffix(".part")
        part.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        part.replace(self.path)

    def draw(self) -> Path | None:
        """Loss by step, as ``loss.png``; None where there is nothing to draw."""
        from matplotlib.figure import Figure  # without pyplot: no window, no global state

        lines = self.lines()
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        for name, label in (("loss", "training"), ("eval_loss", "validation")):
            points = [(line["step"], line[name]) for line in lines if name in line]
            if points:
                axes.plot(*zip(*points), label=label, marker="o" if len(points) < 30 else "", markersize=3)
        if not axes.lines:
            return None
        axes.set_xlabel("step")
        axes.set_ylabel("loss (nats a token)")
        axes.grid(alpha=0.3)
        axes.legend()
        place = self.path.with_name("loss.png")
        figure.savefig(place, dpi=120)
        return place
