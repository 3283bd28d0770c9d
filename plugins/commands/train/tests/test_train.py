"""A training that is killed, divided among processes or planned is the training that the config describes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import dougong
import pytest
import torch
from click.testing import CliRunner
from dougong_command_train import Params, checkpoint
from dougong_command_train.command import command
from dougong_command_train.plan import Plan, activations
from dougong_command_train.trainer import rate
from safetensors.torch import load_file

CONFIG = """\
training:
  use: objective.training
  out: {out}
  steps: 12
  lr: 0.003
  warmup: 2
  save: 4
  evaluate: 6
  log: 1
  accumulate: 2
  network:
    use: network.decoder
    vocab: 300
    width: 16
    layers: 2
    dropout: {dropout}
    layer:
      use: transformer
      attention: {{use: attention, heads: 2}}
      ffn: {{use: ffn, inner: 24}}
  of:
    use: causal-lm
    files: [text.txt]
    tokenizer: tokenizer.json
    vocab: 300
    length: 32
    batch: 4
    holdout: 0.1
    epochs: 4
"""
TEXT = "".join(f"第{n * 7919 % 1000}回 斗拱承重。 Bracket {n} carries {n * 31 % 97} beams.\n" for n in range(220))


def write(folder: Path, out: str = "out", dropout: float = 0.1) -> Path:
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    config = folder / f"{out}.yaml"
    config.write_text(CONFIG.format(out=out, dropout=dropout), encoding="utf-8")
    return config


def start(*arguments: object, launcher: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "DOUGONG_LANG": "en", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *launcher, "-m", "dougong", "train", *map(str, arguments)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def train(*arguments: object, launcher: tuple[str, ...] = (), code: int = 0) -> tuple[str, str]:
    process = start(*arguments, launcher=launcher)
    said, complained = process.communicate(timeout=180)
    assert process.returncode == code, said + complained
    assert "Traceback" not in complained
    return said, complained


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    train(write(folder))
    return folder


def test_a_killed_training_ends_with_the_weights_of_an_unbroken_one(unbroken: Path, tmp_path: Path) -> None:
    config = write(tmp_path)
    process = start(config)
    while not (tmp_path / "out" / "checkpoint-4" / checkpoint.DONE).exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "out" / "model.safetensors").exists(), "it was too fast to be killed"
    (tmp_path / "out" / "checkpoint-9").mkdir()  # as if the kill had come while one was written
    (tmp_path / "out" / "checkpoint-9" / "model.safetensors").write_bytes(b"half")
    with (tmp_path / "out" / "log.jsonl").open("a") as log:
        log.write('{"step": 5, "lo')
    _, said = train(config)
    assert "going on from step" in said
    files = ("model.safetensors", "checkpoint-12/optimizer.safetensors", "checkpoint-12/scheduler.safetensors")
    for file in (*files, "checkpoint-12/chance-0.safetensors"):
        assert (tmp_path / "out" / file).read_bytes() == (unbroken / "out" / file).read_bytes(), file
    assert steps(tmp_path) == steps(unbroken)


def steps(folder: Path) -> list[tuple[int, float]]:
    lines = map(json.loads, (folder / "out" / "log.jsonl").read_text().splitlines())
    return [(line["step"], line.get("loss", line.get("eval_loss"))) for line in lines]


def test_it_leaves_a_network_a_record_and_a_picture_and_no_pickle(unbroken: Path) -> None:
    from transformers import AutoTokenizer

    out = unbroken / "out"
    assert {place.name for place in checkpoint.complete(out)} == {"checkpoint-8", "checkpoint-12"}
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    kinds = {file.suffix for file in out.rglob("*") if file.is_file()}
    assert kinds == {".json", ".jsonl", ".png", ".py", ".safetensors"}  # .py: modeling_dougong, which names classes
    assert AutoTokenizer.from_pretrained(out).eos_token == "<|endoftext|>"
    found = steps(unbroken)
    assert [step for step, _ in found] == [*range(1, 7), 6, *range(7, 13), 12]
    assert found[-1][1] < found[0][1]


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Each takes half of the rows of each batch; gradients are averaged."""
    for out, launcher in (("one", ()), ("two", ("-m", "torch.distributed.run", "--nproc-per-node", "2"))):
        if launcher:
            launcher += ("--master-port", str(20000 + os.getpid() % 20000))
        train(write(tmp_path, out, dropout=0.0), launcher=launcher)
    one, two = (load_file(tmp_path / out / "model.safetensors") for out in ("one", "two"))
    assert max((one[name] - two[name]).abs().max().item() for name in one) < 1e-4
    assert (tmp_path / "two" / "checkpoint-12" / "chance-1.safetensors").exists()


def test_a_finished_training_is_measured_again_and_goes_on_where_steps_are_raised(unbroken: Path) -> None:
    before = (unbroken / "out" / "model.safetensors").read_bytes()
    said, _ = train(unbroken / "out.yaml", "--json")
    assert json.loads(said)["steps"] == 12
    assert (unbroken / "out" / "model.safetensors").read_bytes() == before


def test_a_checkpoint_of_another_training_is_refused(unbroken: Path) -> None:
    with pytest.raises(dougong.StoreError, match=r"another training: lr differ.*--fresh"):
        CliRunner().invoke(command, [str(unbroken / "out.yaml"), "--set", "training.lr=0.001"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ("training.steps=1000", "raise epochs"),
        ("training.of.files=[nowhere.txt]", "name text files"),
        ("training.of.batch=1000", "lower length or batch"),
        ("training.shard=true", "shard: false"),
        ("training.of.holdout=0", "there is no split 'validation'"),
        ("training.network.vocab=280", "raise vocab of the network"),
    ],
)
def test_what_cannot_be_is_told_with_a_cure(
    tmp_path: Path, change: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(dougong.DougongError) as caught:
        CliRunner().invoke(command, [str(write(tmp_path)), "--set", change], catch_exceptions=False)
    assert wanted in str(caught.value)


def test_a_config_without_a_training_is_told(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("a: {use: tool.calculator}\n")
    with pytest.raises(dougong.ConfigError, match="the config has no training"):
        CliRunner().invoke(command, [str(config)], catch_exceptions=False)


# ---------------------------------------------------------------- the parts


def test_the_plan_counts_what_is_then_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    with dougong.load(write(tmp_path)) as assembly:
        task = assembly["training"]
        plan = Plan.of(task)
        network = task.params.network.build()
        batch = next(iter(task.batches("train")))
        optimizer = torch.optim.AdamW(network.parameters())
        kept = activations(network, task, batch)
        task.loss(network, batch).backward()
        optimizer.step()
    moments = [state[name] for state in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    assert plan.parameters == plan.trained == network.num_parameters()
    assert plan.weights == sum(p.nbytes for p in network.parameters())
    assert plan.gradients == sum(p.grad.nbytes for p in network.parameters())
    assert plan.optimizer == sum(moment.nbytes for moment in moments)
    assert (plan.steps, plan.tokens) == (12, 2 * 4 * 32)
    assert kept is not None
    assert plan.activations is not None
    assert kept <= plan.activations <= 1.1 * kept + 4 * 32 * 32  # values unknown, it counts a mask of packed rows


def test_the_plan_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = str(write(tmp_path))
    said = CliRunner().invoke(command, [config, "--plan", "--json"], catch_exceptions=False).stdout
    assert json.loads(said)["tokens_in_all"] == 12 * 256
    said = CliRunner().invoke(command, [config, "--plan"], catch_exceptions=False).stdout
    assert re.search(r" +3,072\n", said)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_rate_rises_and_falls_as_transformers_has_it(schedule: str) -> None:
    from transformers import get_cosine_with_min_lr_schedule_with_warmup, get_linear_schedule_with_warmup

    p = Params(None, None, Path(), steps=40, lr=0.5, warmup=4, schedule=schedule, min_lr=0.05)  # type: ignore[arg-type]
    rates = [rate(step, p, 40) for step in range(41)]
    assert rates[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    if schedule == "cosine":
        theirs = get_cosine_with_min_lr_schedule_with_warmup(optimizer, 4, 40, min_lr_rate=0.1)
    else:
        theirs = get_linear_schedule_with_warmup(optimizer, 4, 40)
    wanted = [theirs.lr_lambdas[0](step) for step in range(4, 41)]
    if schedule == "linear":
        wanted = [0.1 + 0.9 * share for share in wanted]
    assert rates[4:] == pytest.approx([1.0] * 37 if schedule == "constant" else wanted)


def test_a_tree_of_tensors_comes_back_as_it_was(tmp_path: Path) -> None:
    shared = torch.arange(4.0)
    tree = {"state": {0: {"step": torch.tensor(3.0), "m": shared}, 1: {"m": shared}}, "groups": [{"lr": 0.1, "b": [1]}]}
    checkpoint.save_tensors(tmp_path / "t.safetensors", tree)
    back = checkpoint.load_tensors(tmp_path / "t.safetensors")
    assert back["groups"] == tree["groups"]
    assert list(back["state"]) == [0, 1]
    assert torch.equal(back["state"][1]["m"], shared)
    (tmp_path / "t.safetensors").write_bytes(b"cut")
    with pytest.raises(dougong.StoreError, match="remove this checkpoint"):
        checkpoint.load_tensors(tmp_path / "t.safetensors")


def test_chance_comes_back_as_it_was() -> None:
    import random

    import numpy as np

    state = checkpoint.chance()
    drawn = [random.random(), np.random.rand(), torch.rand(1).item()]
    checkpoint.set_chance(state)
    assert [random.random(), np.random.rand(), torch.rand(1).item()] == drawn
