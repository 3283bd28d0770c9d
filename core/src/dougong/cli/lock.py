"""``dougong lock CONFIG``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dougong.cli.output import config_options, open_assembly
from dougong.messages import t


@click.command(short_help=t("Write down the exact distributions that a config needs."))
@config_options
def command(config: Path, sets: tuple[str, ...], plugins: tuple[str, ...], locked: bool) -> None:
    """Write CONFIG.lock: the distributions that CONFIG needs, their versions, and a hash of the config.

    '--locked' on any command verifies it; here it only verifies.
    """
    from dougong.lock import lock, lock_path

    assembly = open_assembly(config, sets, plugins, locked)
    data = lock(assembly)
    path = lock_path(config)
    if not locked:
        path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    click.echo(t("{path}: {count} distributions", path=path, count=len(data["distributions"])))
