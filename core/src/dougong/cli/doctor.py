"""``dougong doctor``: import every plugin, and say what is wrong and how to mend it."""

from __future__ import annotations

import locale
import platform
import sqlite3
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import metadata
from typing import Any

import click

from dougong.cli.output import as_json, print_json
from dougong.messages import t

SLOW = 1.0
"""Seconds beyond which a plugin's light module is called slow to import."""


@click.command(short_help=t("Say what is wrong with this environment, and how to mend it."))
@as_json
def command(as_json: bool) -> None:
    """Import every plugin and report the broken, slow, clashing and incompatible ones. Exit code 1 if there are any."""
    facts = {
        "dougong": metadata.version("dougong"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "sqlite": sqlite3.sqlite_version,
        "encoding": locale.getpreferredencoding(False),
        "terminal": sys.stdout.encoding,
    }
    good, problems = _plugins()
    if (sys.stdout.encoding or "").lower().replace("-", "") != "utf8":
        problems.append({"what": t("the terminal is not UTF-8"), "cure": "PYTHONIOENCODING=utf-8"})
    if as_json:
        print_json({**facts, "plugins": good, "problems": problems})
    else:
        for name, value in facts.items():
            click.echo(f"{name} {value}")
        click.echo(t("{count} techniques load", count=good))
        for problem in problems:
            click.echo(f"- {problem['what']}" + (f"; {problem['cure']}" if problem["cure"] else ""))
        if not problems:
            click.echo(t("nothing is wrong"))
    raise click.exceptions.Exit(1 if problems else 0)


def _plugins() -> tuple[int, list[dict[str, Any]]]:
    """How many techniques load, and what is wrong with the others."""
    from dougong.cli import load_command
    from dougong.discovery import COMMANDS
    from dougong.errors import PluginError
    from dougong.kinds import KINDS
    from dougong.registry import Registry

    registry = Registry()
    good = 0
    problems: list[dict[str, Any]] = []
    loads: dict[str, Callable[[], object]] = {}
    for entry in registry.entries:
        if entry.group == COMMANDS:
            loads[entry.name] = partial(load_command, entry)
        elif entry.group.startswith("dougong.v"):
            loads[entry.name] = partial(registry.find, entry.name)
    for name, load in sorted(loads.items()):
        start = time.perf_counter()
        try:
            load()
        except PluginError as error:
            where = error.distribution and f" ({error.distribution})"
            problems.append({"what": f"{name}{where}: {error.message}", "cure": error.hint})
            continue
        seconds = time.perf_counter() - start
        good += name.partition(".")[0] in KINDS
        if seconds > SLOW:
            what = t("{name} took {seconds:.1f} s to import", name=name, seconds=seconds)
            problems.append({"what": what, "cure": t("tell its author")})
    return good, problems
