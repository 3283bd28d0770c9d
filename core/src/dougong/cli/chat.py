"""``dougong chat CONFIG``: a conversation at the terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dougong.cli.output import config_options, echo, open_assembly, print_answer
from dougong.messages import t


@click.command(short_help=t("Talk with what a config describes."))
@config_options
@click.option("--session", default="chat", help=t("Name of the memory that this conversation belongs to."))
def command(config: Path, sets: tuple[str, ...], plugins: tuple[str, ...], locked: bool, session: str) -> None:
    """Give what you type, line by line, to the pattern that CONFIG calls ``main``. An empty line or Ctrl-D ends it.

    Ctrl-C stops an answer, not the conversation. What is remembered between lines is up to the pattern.
    """
    from dougong.cli.journals import ask, header, new_path
    from dougong.errors import DougongError
    from dougong.journal import Journal

    with open_assembly(config, sets, plugins, locked) as assembly:
        assembly.main()
        while task := _line():
            log = Journal(new_path(config), header(config, sets, plugins, task, session))
            try:
                print_answer(assembly.run(task, session=session, journal=log, ask=ask))
            except KeyboardInterrupt:
                echo(t("interrupted"), err=True)
            except DougongError as error:
                echo(f"{t('error')}: {error}", err=True)
            finally:
                log.close()


def _line() -> str:
    try:
        line = input("> " if sys.stdin.isatty() else "")
    except EOFError:
        return ""
    return line.strip()
