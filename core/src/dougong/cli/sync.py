"""``dougong sync CONFIG``: the distributions that a config names, installed; those of a lock file, exactly."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dougong.cli.output import config_options, table
from dougong.messages import t

if TYPE_CHECKING:
    from dougong.config import Node
    from dougong.environment import Need

pip_arguments = click.argument("pip_args", nargs=-1, type=click.UNPROCESSED, metavar="[-- PIP ARGS]")


@click.command(short_help=t("Install the distributions that a config names."))
@config_options
@click.option("--yes", "-y", is_flag=True, help=t("Do not ask before installing."))
@click.option("--exact", is_flag=True, help=t("Also remove distributions of dougong that the config does not need."))
@pip_arguments
def command(
    config: Path, sets: tuple[str, ...], plugins: tuple[str, ...], locked: bool, yes: bool, exact: bool,
    pip_args: tuple[str, ...],
) -> None:  # fmt: skip
    """Install what CONFIG names into this environment, after showing it; then check CONFIG.

    With a lock file beside CONFIG, the versions that it names. What stands after '--' goes to 'pip install':
    'dougong sync rag.yaml -- --no-index --find-links wheels'.
    """
    from dougong.assemble import read_tree
    from dougong.environment import needs, pins
    from dougong.errors import ConfigError, Place
    from dougong.lock import lock_path
    from dougong.registry import Registry

    only_options(pip_args)
    tree = read_tree(config, sets)
    pinned = pins(config)
    if locked and not pinned:
        raise ConfigError(
            t("there is no lock file"), place=Place(str(lock_path(config))), hint=f"dougong lock {config}"
        )
    tried: set[str] = set()
    while True:
        importlib.invalidate_caches()
        wanted = needs(tree, Registry(files=map(Path, plugins)))
        todo = _changes(wanted, pinned)
        if not tried or todo:
            _show(config, wanted, todo, pinned)
        if not todo:
            break
        _stop_at_guesses(wanted, pinned, tried)
        if not yes and not agreed(t("Install?")):
            raise click.exceptions.Exit(1)
        _install([*wanted] if pinned else todo, pinned, pip_args)
        tried |= set(todo)
    if exact:
        _remove(wanted, yes)
    _check(config, tree, sets, plugins, bool(pinned))


def only_options(pip_args: Sequence[str]) -> None:
    """Refuse what is no option of pip, a forgotten ``--`` or a second config."""
    if pip_args and not pip_args[0].startswith("-"):
        raise click.UsageError(t("extra argument '{argument}'; pip's options stand after '--'", argument=pip_args[0]))


def agreed(question: str) -> bool:
    """A person's yes or no. Raises UsageError where nobody is there."""
    try:
        return click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise click.UsageError(t("nobody is there to be asked; give --yes")) from None


def _changes(wanted: dict[str, Need], pinned: dict[str, str]) -> list[str]:
    """Names of what is absent, or of another version than the lock file asks."""
    from dougong.distributions import closure

    have, absent = closure(need.distribution for need in wanted.values())
    others = [name for name, version in have.items() if pinned.get(name, version) != version]
    return sorted({*absent, *others})


def _show(config: Path, wanted: dict[str, Need], todo: list[str], pinned: dict[str, str]) -> None:
    from dougong.distributions import installed
    from dougong.environment import Need

    rows = []
    for name in [*wanted, *sorted(set(todo) - set(wanted))]:
        need, have = wanted.get(name) or Need(name, "", "known"), installed(name)
        state = t("there") if name not in todo else t("to change") if have else t("to install")
        version = have if name not in todo else " -> ".join(part for part in (have, pinned.get(name, "")) if part)
        guess = t("(not in the index: a guess)") if need.why == "guessed" and not have else ""
        rows.append((state, need.distribution, version, ", ".join(need.techniques), guess))
    click.echo(t("{config} names {count} distributions; {todo} to install or change",
                 config=config, count=len(wanted), todo=len(todo)))  # fmt: skip
    for line in table(rows):
        click.echo("  " + line)


def _stop_at_guesses(wanted: dict[str, Need], pinned: dict[str, str], tried: set[str]) -> None:
    """A slip of the pen must not install whatever an index holds under that name; nor is one thing tried twice."""
    from dougong.errors import ConfigError, PluginError

    problems: list[PluginError] = []
    for name, need in wanted.items():
        if need.version or name in pinned:
            continue
        for technique, (path, place) in need.techniques.items():
            kind, _, short = technique.partition(".")
            if name in tried:
                message = t("{distribution} was installed and does not declare it", distribution=need.distribution)
                problems.append(PluginError(message, path=path, place=place, technique=technique,
                                            hint=t("correct the config")))  # fmt: skip
            elif need.near:
                hint = t("did you mean '{name}'?", name=need.near) + " " + t(
                    "If not, name its distribution: {{use: {use}}}", use=f"{need.distribution}:{short}")  # fmt: skip
                problems.append(PluginError(t("no {kind} '{name}' is known", kind=kind, name=short), path=path,
                                            place=place, hint=hint))  # fmt: skip
    if problems:
        raise ConfigError(problems)


def _install(names: Sequence[str], pinned: dict[str, str], pip_args: Sequence[str]) -> None:
    from dougong.distributions import pip

    cure = t("where there is no network, say where wheels lie: '-- --no-index --find-links FOLDER'; 'dougong bundle' "
             "makes them elsewhere")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "constraints.txt"
        pins.write_text("".join(f"{name}=={version}\n" for name, version in pinned.items()), encoding="utf-8")
        pip(["install", *(["--constraint", str(pins)] if pinned else []), *names, *pip_args], cure)


def _remove(wanted: dict[str, Need], yes: bool) -> None:
    from dougong.distributions import canonical, closure, pip

    needed, _ = closure(need.distribution for need in wanted.values())
    ours = {canonical(found.metadata["Name"] or "") for found in metadata.distributions()}
    extra = sorted(name for name in ours - set(needed) if name.startswith("dougong-"))
    if not extra:
        return
    click.echo(t("not needed: {names}", names=", ".join(extra)))
    if not yes and not agreed(t("Remove?")):
        raise click.exceptions.Exit(1)
    pip(["uninstall", "--yes", *extra])


def _check(config: Path, tree: Node, sets: Sequence[str], plugins: Sequence[str], locked: bool) -> None:
    """In a process of its own, which sees what was installed; unset variables are only told of."""
    from dougong.environment import stand_ins
    from dougong.registry import Registry

    missing = stand_ins(tree, Registry(files=map(Path, plugins)))
    arguments = ["check", str(config), *(["--locked"] if locked else [])]
    arguments += [part for value in sets for part in ("--set", value)]
    arguments += [part for file in plugins for part in ("--plugin", str(file))]
    sys.stdout.flush()
    done = subprocess.run([sys.executable, "-m", "dougong", *arguments], env={**os.environ, **missing}, check=False)
    if missing:
        click.echo(t("to be set before it runs: {names}", names=", ".join(missing)), err=True)
    if done.returncode:
        raise click.exceptions.Exit(done.returncode)
