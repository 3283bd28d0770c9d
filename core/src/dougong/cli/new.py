"""``dougong new KIND NAME``: a plugin's package, ready to publish from its author's own repository."""

from __future__ import annotations

import datetime
import difflib
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dougong.messages import language, t

if TYPE_CHECKING:
    from dougong.scaffold import Package


@click.command(short_help=t("Make a package for a plugin of your own."))
@click.argument("kind", required=False)
@click.argument("name", required=False)
@click.option("--author", help=t("Who holds the copyright; otherwise git's user.name."))
@click.option("--license", help=t("Apache-2.0 (the default), MIT or BSD-3-Clause."))
@click.option("--into", type=click.Path(path_type=Path), default=".", help=t("Where to make it; otherwise here."))
@click.option("--lang", help=t("Language of its README, en or zh; otherwise yours."))
def command(
    kind: str | None, name: str | None, author: str | None, license: str | None, into: Path, lang: str | None
) -> None:
    """Make dougong-KIND-NAME, a package with a small technique that works, for you to change into your own.

    KIND is loader, tokenizer, chunker, embedder, retriever, llm, tool, pattern, middleware, block, network, cache,
    adapter, objective or command; NAME is that of the technique. On a terminal, what is missing is asked for.
    """
    from dougong.scaffold import KINDS, LICENSES, Package, write

    terminal = sys.stdin.isatty()
    if kind is None and terminal:
        kind = click.prompt(t("Kind ({choices})", choices=", ".join(KINDS)))
    kind = _choice(_given(kind, "KIND"), KINDS, t("kind"))
    if name is None and terminal:
        name = click.prompt(t("Name of the technique, such as my-{kind}", kind=kind))
    name = _checked(kind, _given(name, "NAME"))
    if license is None:
        license = click.prompt(t("Licence"), default=LICENSES[0]) if terminal else LICENSES[0]
    author = author if author is not None else _git_user()
    if author is None and terminal:
        author = click.prompt(t("Author"))
    package = Package(
        kind,
        name,
        _author(author),
        _choice(license, LICENSES, t("licence")),
        _choice(lang or language(), ("en", "zh"), t("language")),
        datetime.date.today().year,
    )
    folder = into / package.distribution
    _check_place(package, folder)
    files = package.files()
    write(files, folder)
    _tell(package, folder, files)


def _wrong(message: str, hint: str = "") -> click.UsageError:
    return click.UsageError(message + (t("; ") + hint if hint else ""), click.get_current_context())


def _given(value: str | None, what: str) -> str:
    if value is None:
        raise _wrong(t("missing argument {name}", name=what))
    return value


def _choice(value: str, choices: Sequence[str], what: str) -> str:
    """The one of `choices` that `value` names, whatever its case."""
    by_lower = {choice.lower(): choice for choice in choices}
    if found := by_lower.get(value.lower()):
        return found
    close = difflib.get_close_matches(value.lower(), by_lower, 1, 0.5)
    hint = (
        t("did you mean '{name}'?", name=by_lower[close[0]])
        if close
        else t("there are {choices}", choices=", ".join(choices))
    )
    raise _wrong(t("there is no {what} '{value}'", what=what, value=value), hint)


def _checked(kind: str, name: str) -> str:
    """`name`, where a distribution, a module and a config can say it."""
    from dougong.cli import _COMMANDS
    from dougong.scaffold import LONGEST, NAME

    if not NAME.fullmatch(name) or len(name) > LONGEST:
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()
        near = re.sub(r"[^a-z0-9]+", "-", words).strip("-0123456789")[:LONGEST].rstrip("-")
        raise _wrong(
            t("'{name}' cannot be a name: write up to {most} lower-case letters, digits and single hyphens, "
              "a letter first", name=name, most=LONGEST),
            t("did you mean '{name}'?", name=near) if NAME.fullmatch(near) else "",
        )  # fmt: skip
    if name.startswith((f"dougong-{kind}-", f"{kind}-")):
        rest = name.removeprefix("dougong-").removeprefix(f"{kind}-")
        raise _wrong(
            t("'{name}' says its kind, which the package's name says already", name=name),
            t("did you mean '{name}'?", name=rest),
        )
    if kind == "command" and name in _COMMANDS:
        raise _wrong(t("'{name}' is a command of dougong's own; choose another name", name=name))
    return name


def _author(author: str | None) -> str:
    if author is None:
        raise _wrong(t("no author is known, and the licence needs one; give --author 'Your Name'"))
    if not author.strip() or not author.isprintable():
        raise _wrong(t("the author must be a name on one line"))
    return author.strip()


def _git_user() -> str | None:
    command = ["git", "config", "user.name"]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=5, check=True)
    except (OSError, ValueError, subprocess.SubprocessError):  # no git, no such setting, an odd encoding
        return None
    return done.stdout.strip() or None


def _check_place(package: Package, folder: Path) -> None:
    from dougong.discovery import discover
    from dougong.known import index

    if not folder.parent.is_dir():
        raise _wrong(t("there is no folder {folder}; make it first", folder=folder.parent))
    if os.path.lexists(folder):
        raise _wrong(t("{folder} is there already; choose another name, or move it away", folder=folder))
    full = package.name if package.kind == "command" else f"{package.kind}.{package.name}"
    owners = [entry.origin for entry in discover() if entry.name == full]
    if full in index():
        owners.append(index()[full].distribution)
    if owners:
        raise _wrong(t("{origin} declares {name} already; choose another name", origin=owners[0], name=full))


def _tell(package: Package, folder: Path, files: Iterable[str]) -> None:
    """What was written, and what to type next."""
    from dougong.cli.output import table

    source = t("the command") if package.kind == "command" else t("its parameters, and the hook that declares it")
    meanings = {
        "README.md": t("what it is, how it is used, its limits"),
        f"src/{package.module}/__init__.py": source,
        f"src/{package.module}/{package.kind}.py": t("the technique: change it into yours"),
        "tests/test_conformance.py": t("what holds for every {kind}", kind=package.kind),
        f"tests/test_{package.kind}.py": t("what only this one does"),
        "example.yaml": t("a config that runs"),
        "pyproject.toml": t("name, version, what it needs"),
        "LICENSE": f"{package.license}, {package.author}",
        ".github/workflows/ci.yml": t("tests, build, release on a tag"),
    }
    click.echo(t("made {folder}", folder=f"{folder}{os.sep}"))
    for line in table([(f"  {name}", meanings.get(name, "")) for name in files]):
        click.echo(line)
    click.echo("\n" + t("next:"))
    click.echo(f'  cd "{folder}"' if " " in str(folder) else f"  cd {folder}")
    click.echo('  pip install -e ".[dev]"')
    click.echo("  pytest")
