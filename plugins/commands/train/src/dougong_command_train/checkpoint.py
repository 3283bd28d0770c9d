"""What a training must remember to go on as if it had never stopped, in safetensors and JSON: nothing is pickled."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dougong import Place, StoreError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

DONE = "complete.json"  # written last: a folder without it was cut off


def complete(out: Path) -> list[Path]:
    """The checkpoints in `out` that were written to their end, oldest first."""
    found = [place for place in out.glob("checkpoint-*") if (place / DONE).exists()]
    return sorted(found, key=step_of)


def step_of(place: Path) -> int:
    return int(place.name.rpartition("-")[2])


def finish(place: Path, facts: Mapping[str, Any]) -> None:
    """Declare the checkpoint complete: its files are on the disk before its mark is."""
    for file in place.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    part = place / f".{DONE}"
    part.write_text(json.dumps(facts), encoding="utf-8")
    with part.open("rb") as opened:
        os.fsync(opened.fileno())
    part.replace(place / DONE)


def prune(out: Path, keep: int) -> None:
    """Remove all but the last `keep` complete checkpoints, and what was cut off."""
    stay = complete(out)[-keep:]
    for place in out.glob("checkpoint-*"):
        if place not in stay:
            (place / DONE).unlink(missing_ok=True)  # first: a half removed one must not look complete
            shutil.rmtree(place)


def facts(place: Path) -> dict[str, Any]:
    return dict(json.loads((place / DONE).read_text(encoding="utf-8")))


def save_tensors(path: Path, tree: Mapping[str, Any]) -> None:
    """A tree of mappings, lists, numbers and tensors: tensors by their path, the rest as JSON beside them."""
    tensors: dict[str, torch.Tensor] = {}

    def flat(value: Any, at: str) -> Any:
        if isinstance(value, torch.Tensor):
            tensors[at] = value.detach().cpu().contiguous().clone()
            return {"tensor": at}
        if isinstance(value, Mapping):
            return {"map": [[key, flat(item, f"{at}/{key}")] for key, item in value.items()]}
        if isinstance(value, (list, tuple)):
            return {"list": [flat(item, f"{at}/{number}") for number, item in enumerate(value)]}
        return {"value": value}

    shape = json.dumps(flat(tree, ""))
    save_file(tensors, path, metadata={"tree": shape})


def load_tensors(path: Path) -> Any:
    """What `save_tensors` wrote. Raises StoreError."""
    try:
        with safe_open(path, "pt") as file:
            shape = json.loads(file.metadata()["tree"])

            def built(node: Mapping[str, Any]) -> Any:
                if "tensor" in node:
                    return file.get_tensor(node["tensor"])
                if "map" in node:
                    return {key: built(item) for key, item in node["map"]}
                return [built(item) for item in node["list"]] if "list" in node else node["value"]

            return built(shape)
    except (OSError, SafetensorError, ValueError, LookupError, TypeError) as error:
        raise StoreError(
            f"it cannot be read: {error}",
            place=Place(str(path)),
            hint="remove this checkpoint; the one before it is used then",
        ) from None


def chance() -> dict[str, Any]:
    """The state of every source of randomness in this process."""
    version, numbers, gauss = random.getstate()
    name, keys, *rest = np.random.get_state()
    state: dict[str, Any] = {
        "python": [version, list(numbers), gauss],
        "numpy": [name, keys.tolist(), *rest],  # type: ignore[union-attr]
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_chance(state: Mapping[str, Any]) -> None:
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
