"""``dougong run CONFIG TASK``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dougong.cli.output import answer_data, as_json, config_options, open_assembly, print_answer, print_json, progress
from dougong.messages import t


@click.command(short_help=t("Give a task to what a config describes."))
@config_options
@click.argument("task", required=False, default="")
@click.option("--session", default="", help=t("Name of the memory that this run belongs to."))
@click.option("--journal", type=click.Path(path_type=Path), help=t("Where to write the run down."))
@click.option("--resume", type=click.Path(path_type=Path), help=t("Go on with an interrupted run; give its journal."))
@as_json
def command(
    config: Path,
    task: str,
    sets: tuple[str, ...],
    plugins: tuple[str, ...],
    locked: bool,
    session: str,
    journal: Path | None,
    resume: Path | None,
    as_json: bool,
) -> None:
    """Give TASK to the pattern that CONFIG calls ``main``, and print its answer.

    The run is written down in .dougong/runs/ beside CONFIG: 'dougong trace' shows it, 'dougong replay' plays it again,
    and after an interruption '--resume' goes on where it stopped, finished calls not repeated.
    """
    from dougong.cli.journals import ask, header, new_path
    from dougong.journal import Journal, read

    if resume is not None:
        first = next(read(resume), {})
        task, session = task or first.get("task", ""), session or first.get("session", "")
    if not task.strip():
        raise click.UsageError(t("the task is empty"))
    with open_assembly(config, sets, plugins, locked) as assembly:
        assembly.main()  # what cannot be run leaves no journal
        path = resume or journal or new_path(config)
        log = Journal(path, header(config, sets, plugins, task, session))
        try:
            with progress() as listener:
                answer = assembly.run(
                    task, session=session, listener=listener, journal=log, ask=ask if sys.stdin.isatty() else None
                )
        except BaseException:
            click.echo(t("to go on: {command}", command=f"dougong run {config} --resume {path}"), err=True)
            raise
        finally:
            log.close()
    if as_json:
        print_json(answer_data(answer))
    else:
        print_answer(answer)
