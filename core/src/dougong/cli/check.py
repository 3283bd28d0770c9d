"""``dougong check CONFIG``."""

from __future__ import annotations

from pathlib import Path

import click

from dougong.cli.output import as_json, config_options, open_assembly, print_json
from dougong.messages import t


@click.command(short_help=t("Check a config; reports every mistake with its line and cure."))
@config_options
@as_json
def command(config: Path, sets: tuple[str, ...], plugins: tuple[str, ...], locked: bool, as_json: bool) -> None:
    """Check CONFIG without building anything: no model is loaded, no file of yours is read.

    Exit code 0 if it is right, 2 if not; every mistake is reported at once.
    """
    from dougong.errors import ConfigError

    try:
        count = sum(1 for _ in open_assembly(config, sets, plugins, locked).plans())
    except ConfigError as error:
        if not as_json:
            raise
        print_json({"ok": False, "problems": [_problem(problem) for problem in error.problems]})
        raise click.exceptions.Exit(2) from None
    if as_json:
        print_json({"ok": True, "techniques": count, "problems": []})
    else:
        click.echo(t("{config}: right; techniques: {count}", config=config, count=count))


def _problem(problem: object) -> dict[str, object]:
    place = getattr(problem, "place", None)
    fields = {name: getattr(problem, name, "") for name in ("path", "message", "hint", "technique", "distribution")}
    return {"file": place.file, "line": place.line, "column": place.column, **fields} if place else fields
