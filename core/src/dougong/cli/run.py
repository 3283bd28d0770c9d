"""``dougong run CONFIG TASK``."""

from __future__ import annotations

from pathlib import Path

import click

from dougong.cli.output import answer_data, as_json, config_options, open_assembly, print_answer, print_json, progress
from dougong.messages import t


@click.command(short_help=t("Give a task to what a config describes."))
@config_options
@click.argument("task")
@as_json
def command(
    config: Path, task: str, sets: tuple[str, ...], plugins: tuple[str, ...], locked: bool, as_json: bool
) -> None:
    """Give TASK to the pattern that CONFIG calls ``main``, and print its answer."""
    if not task.strip():
        raise click.UsageError(t("the task is empty"))
    with open_assembly(config, sets, plugins, locked) as assembly, progress() as listener:
        answer = assembly.run(task, listener=listener)
    if as_json:
        print_json(answer_data(answer))
    else:
        print_answer(answer)
