"""docs/recipes/pretrain.yaml trains what it describes; here for two steps."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from dougong_command_train.command import command

RECIPE = Path(__file__).parents[4] / "docs" / "recipes" / "pretrain.yaml"


def test_the_recipe_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    text = tmp_path / "text.txt"
    text.write_text("".join(f"斗拱 {n * 7919 % 1000} bracket {n * 31 % 97}.\n" for n in range(600)), encoding="utf-8")
    monkeypatch.setenv("TEXT", str(text))
    small = {"out": tmp_path / "out", "of.tokenizer": tmp_path / "bpe.json", "steps": 2, "warmup": 1, "of.vocab": 300}
    small |= {"of.length": 32, "of.batch": 4, "network.width": 32, "network.layers": 1, "log": 1}
    sets = [part for key, value in small.items() for part in ("--set", f"training.{key}={value}")]
    done = CliRunner().invoke(command, [str(RECIPE), *sets, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["steps"] == 2
    assert json.loads((tmp_path / "out" / "config.json").read_text())["vocab_size"] == 300
    assert (tmp_path / "out" / "model.safetensors").exists()
