"""``dougong doctor [CONFIG]``: what is wrong with this machine, its plugins and a config, and how to mend it."""

from __future__ import annotations

import locale
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import click

from dougong.cli.output import as_json, print_json
from dougong.messages import t

Problem = dict[str, str]
"""``what`` is wrong and its ``cure``."""

SLOW = 1.0
"""Seconds beyond which a plugin's light module is called slow to import."""


ROOM = 1e9
"""Bytes below which a disk is called nearly full."""


@click.command(short_help=t("Say what is wrong with this environment, and how to mend it."))
@click.argument("config", type=click.Path(path_type=Path), required=False)
@as_json
def command(config: Path | None, as_json: bool) -> None:
    """Import every plugin and report the broken, slow, clashing and incompatible ones; look at the machine, too.

    With CONFIG, also what that config needs and this machine lacks: distributions, environment variables, files.
    Exit code 1 if there is a problem; a note is none.
    """
    facts = {
        "dougong": metadata.version("dougong"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "sqlite": sqlite3.sqlite_version,
        "encoding": locale.getpreferredencoding(False),
        "terminal": sys.stdout.encoding,
    }
    good, problems = _plugins()
    notes: list[Problem] = []
    if (sys.stdout.encoding or "").lower().replace("-", "") != "utf8":
        problems.append(_problem(t("the terminal is not UTF-8"), "PYTHONIOENCODING=utf-8"))
    problems += _requirements()
    problems += _disk(config.parent if config else Path())
    notes += _devices()
    if config is not None:
        found, noted = _config(config)
        problems += found
        notes += noted
    if as_json:
        print_json({**facts, "plugins": good, "problems": problems, **({"notes": notes} if config else {})})
    else:
        for name, value in facts.items():
            click.echo(f"{name} {value}")
        click.echo(t("{count} techniques load", count=good))
        for mark, told in (("-", problems), ("·", notes)):
            for item in told:
                click.echo(f"{mark} {item['what']}" + (f"; {item['cure']}" if item["cure"] else ""))
        if not problems:
            click.echo(t("nothing is wrong"))
    raise click.exceptions.Exit(1 if problems else 0)


def _problem(what: str, cure: str = "") -> Problem:
    return {"what": what, "cure": cure}


# ---------------------------------------------------------------- the machine


def _requirements() -> list[Problem]:
    """What distributions of ours require and is absent or of a wrong version, in the words of ``pip check``."""
    from dougong.discovery import discover
    from dougong.distributions import closure

    if find_spec("pip") is None:
        return [_problem(t("this Python has no pip"), "python -m ensurepip")]
    have, _ = closure({"dougong", *(entry.distribution for entry in discover())})
    command = [sys.executable, "-m", "pip", "check", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    found = []
    for line in done.stdout.splitlines():
        if match := _CHECKED.fullmatch(line):
            owner, needed = match[1], match[2]
            if re.sub(r"[-_.]+", "-", owner).lower() in have:
                found.append(_problem(line.rstrip("."), f'pip install "{needed}"'))
    return found


_CHECKED = re.compile(r"(\S+) \S+ (?:requires|has requirement) ([^,;]+(?:,[<>=!~][^,;]*)*).*")


def _disk(folder: Path) -> list[Problem]:
    """Whether stores, journals and answers can be written."""
    from platformdirs import user_cache_path

    found = []
    for place in (folder / ".dougong", Path(os.environ.get("DOUGONG_CACHE") or user_cache_path("dougong"))):
        there = next((parent for parent in (place, *place.absolute().parents) if parent.exists()), Path())
        if not os.access(there, os.W_OK):
            found.append(_problem(t("{path} cannot be written", path=place), t("change its rights, or work elsewhere")))
        elif (free := shutil.disk_usage(there).free) < ROOM:
            found.append(_problem(t("{path}: only {size:.1f} GB free", path=place, size=free / 1e9), t("make room")))
    return found


def _devices() -> list[Problem]:
    """What torch can use, told without importing it; whether source-only distributions can be compiled."""
    notes = []
    spec = find_spec("torch")
    if spec is not None and spec.origin:
        version = Path(spec.origin).with_name("version.py")
        text = version.read_text(encoding="utf-8") if version.exists() else ""
        match = re.search(r"^cuda\b[^=]*= '([\d.]+)'", text, re.MULTILINE)
        gpu = shutil.which("nvidia-smi") is not None
        if gpu and not match:
            notes.append(
                _problem(t("torch is a build without CUDA, and there is a GPU"), "https://pytorch.org/get-started")
            )
        elif not gpu:
            notes.append(_problem(t("no NVIDIA GPU; torch computes on the CPU")))
    if not any(map(shutil.which, ("cc", "gcc", "clang", "cl"))):
        notes.append(_problem(t("no C compiler; distributions without a wheel for this machine cannot be installed")))
    return notes


# ---------------------------------------------------------------- a config


def _config(config: Path) -> tuple[list[Problem], list[Problem]]:
    """What `config` lacks here: problems, and notes on files that are not there, which a first run may make."""
    from dougong.assemble import Assembly, read_tree
    from dougong.distributions import closure
    from dougong.environment import filled, needs, paths, stand_ins, unset
    from dougong.errors import ConfigError
    from dougong.registry import Registry

    problems: list[Problem] = []
    notes: list[Problem] = []
    try:
        tree = read_tree(config)
    except ConfigError as error:
        return [_problem(str(error))], []
    problems += [_problem(t("environment variable {name} is not set", name=name), t("set it")) for name in unset(tree)]
    registry = Registry()
    wanted = needs(tree, registry)
    _, absent = closure(need.distribution for need in wanted.values())
    if absent:  # the config's own mistakes below name the techniques
        problems.append(_problem(t("not installed: {names}", names=", ".join(absent)), f"dougong sync {config}"))
    with filled(stand_ins(tree, registry)):
        try:
            document = Assembly(tree, registry).document
        except ConfigError as error:
            return problems + [_problem(str(problem)) for problem in error.problems], notes
        for name, path, written in paths(document):
            if written and not path.exists():
                notes.append(_problem(f"{name}: {path}", t("is not there; the first run makes it, or it is missing")))
    return problems, notes


# ---------------------------------------------------------------- plugins


def _plugins() -> tuple[int, list[Problem]]:
    """How many techniques load, and what is wrong with the others."""
    from dougong.cli import load_command
    from dougong.discovery import COMMANDS
    from dougong.errors import PluginError
    from dougong.kinds import KINDS
    from dougong.registry import Registry

    registry = Registry()
    good = 0
    problems: list[Problem] = []
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
            problems.append(_problem(f"{name}{where}: {error.message}", error.hint))
            continue
        seconds = time.perf_counter() - start
        good += name.partition(".")[0] in KINDS
        if seconds > SLOW:
            what = t("{name} took {seconds:.1f} s to import", name=name, seconds=seconds)
            problems.append(_problem(what, t("tell its author")))
    return good, problems
