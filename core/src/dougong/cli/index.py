"""``dougong index CONFIG``: bring libraries up to date."""

from __future__ import annotations

from pathlib import Path

import click

from dougong.cli.output import as_json, config_options, open_assembly, print_json, print_sync, progress
from dougong.messages import t


@click.command(short_help=t("Bring a config's libraries up to date with their sources."))
@config_options
@as_json
def command(config: Path, sets: tuple[str, ...], plugins: tuple[str, ...], locked: bool, as_json: bool) -> None:
    """Read what is new or changed in the sources of every library that CONFIG names, and forget what is gone.

    Interrupting loses nothing: the next call goes on where this one stopped.
    """
    import attrs

    from dougong.errors import ConfigError
    from dougong.kinds import Library

    with open_assembly(config, sets, plugins, locked) as assembly:
        names = [name for name, plan in assembly.document.plans.items() if Library in plan.loaded.protocol.__mro__]
        if not names:
            raise ConfigError(
                t("there is no library to index"),
                place=assembly.tree.place,
                hint=t("name one: library: {{use: retriever.library, sources: [docs/]}}"),
            )
        reports = {}
        for name in names:
            with progress() as listener, assembly.start(listener=listener):
                reports[name] = assembly[name].sync()
            if not as_json:
                print_sync(name, reports[name])
    if as_json:
        print_json({name: attrs.asdict(report) for name, report in reports.items()})
