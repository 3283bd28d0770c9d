"""``dougong train CONFIG``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import click
from dougong.cli.output import as_json, config_options

from dougong_command_train.steps import steps_of
from dougong_command_train.words import w


@click.command(short_help=w("Train a network by a config; goes on where it was stopped."))
@config_options
@click.option("--name", help=w("Name of the training in the config, where there are several."))
@click.option("--plan", is_flag=True, help=w("Say what it would take, and stop."))
@click.option("--fresh", is_flag=True, help=w("Start anew: the checkpoints in the folder are removed."))
@as_json
def command(
    config: Path,
    sets: tuple[str, ...],
    plugins: tuple[str, ...],
    locked: bool,
    name: str | None,
    plan: bool,
    fresh: bool,
    as_json: bool,
) -> None:
    import os

    from dougong.cli.output import echo, open_assembly, print_json, progress, table

    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is looked up in the network
    with open_assembly(config, sets, plugins, locked) as assembly:
        name = _named(assembly, name)
        task, main = assembly[name], os.environ.get("RANK", "0") == "0"
        if plan:
            from dougong_command_train.plan import Plan, lines

            made = Plan.of(task)
            print_json(made.data()) if as_json else echo("\n".join(table(list(lines(made)))))
            return
        from dougong_command_train import checkpoint, trainer

        out, steps = task.params.out, steps_of(task)
        if fresh and main:
            for place in out.glob("checkpoint-*"):
                shutil.rmtree(place)
        found = [] if fresh else checkpoint.complete(out)
        facts = _facts(task)
        if found:
            _same(checkpoint.facts(found[-1]), facts, found[-1])
            if main:
                echo(w("going on from step {step}", step=checkpoint.step_of(found[-1])), err=True)
        with progress() as listener, assembly.start(listener=listener if main else None):
            measured = trainer.run(task, facts, steps, found[-1] if found else None)
        if not main:
            return
    if as_json:
        print_json({"steps": steps, "out": str(out), **measured})
    else:
        echo(w("trained {steps} steps; the network is in {out}", steps=steps, out=out))
        for figure, value in measured.items():
            echo(f"{figure}  {value:.4f}")


command.help = w(
    "Carry out the training that CONFIG describes (a technique objective.training); a training that was stopped, even "
    "by kill -9, goes on from its last checkpoint to the same weights. In several processes: torchrun "
    "--nproc-per-node N -m dougong train CONFIG."
)

# What may change between two parts of one training.
_FREE = ("out", "steps", "save", "keep", "log", "evaluate")


def _named(assembly: Any, name: str | None) -> str:
    """The name of the training in the config. Raises ConfigError."""
    from dougong import ConfigError

    from dougong_command_train import Training

    plans = assembly.document.plans
    names = [key for key, plan in plans.items() if Training in plan.loaded.protocol.__mro__]
    if name in names or (name is None and len(names) == 1):
        return name or names[0]
    raise ConfigError(
        f"the config has no training {name!r}"
        if name
        else ("the config has several trainings" if names else "the config has no training"),
        place=assembly.tree.place,
        hint=f"--name {' or '.join(names)}" if names else "write training: {use: objective.training, ...}",
    )


def _facts(task: Any) -> dict[str, Any]:
    from dougong.origin import origin

    found = origin(task)
    return {"version": 1, "training": dict(found.params) if found else {}}


def _same(before: Any, now: Any, place: Path) -> None:
    """Raises StoreError where the checkpoint is of another training."""
    from dougong import Place, StoreError

    old, new = before.get("training", {}), now["training"]
    differing = [key for key in new if key not in _FREE and old.get(key) != new[key]]
    if differing:
        raise StoreError(
            f"this checkpoint is of another training: {', '.join(differing)} differ",
            place=Place(str(place)),
            hint="give another out, or --fresh to remove it",
        )
