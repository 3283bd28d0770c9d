"""What every benchmark shares: one JSON object a line, medians of interleaved rounds, and where the public data lie."""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def row(
    name: str,
    value: float | None,
    unit: str,
    *,
    against: str = "",
    ratio: float | None = None,
    bar: str = "",
    holds: bool | None = None,
) -> None:
    """Print one figure. `ratio` is ours to `against`'s; `bar` is the claim; `holds` is None where there is no bar."""
    figure = {
        "name": name,
        "value": _short(value),
        "unit": unit,
        "against": against,
        "ratio": _short(ratio),
        "bar": bar,
        "holds": holds,
    }
    print(json.dumps(figure, ensure_ascii=False), flush=True)


def skipped(name: str, why: str) -> None:
    """Say that a figure could not be measured here."""
    print(json.dumps({"name": name, "skipped": why}, ensure_ascii=False), flush=True)


def side_by_side(contenders: Mapping[str, Callable[[], Any]], rounds: int = 5) -> dict[str, float]:
    """Median seconds of each contender over at least five rounds, taking turns: a noisy moment hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds):
        names = list(contenders)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            gc.collect()
            start = time.perf_counter()
            contenders[name]()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def data(folder: str) -> Path | None:
    """A folder of the public data sets (``--data DIR`` or ``DOUGONG_DATA``); None, with a line saying so, if absent."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--data", default=os.environ.get("DOUGONG_DATA"))
    root = parser.parse_known_args()[0].data
    place = Path(root) / folder if root else None
    if place is None or not place.exists():
        skipped(f"{Path(sys.argv[0]).stem}: {folder}", "no data; give --data DIR or set DOUGONG_DATA")
        return None
    return place


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
