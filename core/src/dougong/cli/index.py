"""``dougong index CONFIG``: bring libraries up to date."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dougong.cli.output import as_json, config_options, counts, open_assembly, print_json, print_sync, progress
from dougong.messages import t

if TYPE_CHECKING:
    from dougong.kinds import Library
    from dougong.run import Run
    from dougong.types import Answer


@click.command(short_help=t("Bring a config's libraries up to date with their sources."))
@config_options
@as_json
def command(config: Path, sets: tuple[str, ...], plugins: tuple[str, ...], locked: bool, as_json: bool) -> None:
    """Read what is new or changed in the sources of every library that CONFIG names, and forget what is gone.

    Interrupting loses nothing: the next call goes on where this one stopped. Where reading asks models (a chunker
    may), the calls are written down in .dougong/runs/ beside CONFIG: 'dougong trace' shows them, and what they cost.
    """
    import attrs

    from dougong.cli.journals import header, recorded
    from dougong.errors import ConfigError
    from dougong.kinds import Library

    with open_assembly(config, sets, plugins, locked) as assembly, _little_garbage():
        names = [name for name, plan in assembly.document.plans.items() if Library in plan.loaded.protocol.__mro__]
        if not names:
            raise ConfigError(
                t("there is no library to index"),
                place=assembly.tree.place,
                hint=t("name one: library: {{use: retriever.library, sources: [docs/]}}"),
            )
        asks = any(plan.loaded.kind == "llm" for plan in assembly.plans())
        reports = {}
        for name in names:
            first = header(config, sets, plugins, f"index {name}", "")
            with (
                progress() as listener,
                recorded(config, first) if asks else nullcontext() as log,
                assembly.start(listener=listener, journal=log) as run,
            ):
                reports[name] = run.work(_Sync(assembly[name]), name).data["report"]
            if not as_json:
                print_sync(name, reports[name])
    if as_json:
        print_json({name: attrs.asdict(report) for name, report in reports.items()})


@contextmanager
def _little_garbage() -> Iterator[None]:
    """Indexing makes many objects and hardly a cycle: looking for cycles all the time takes a tenth of the work."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class _Sync:
    """Bringing a library up to date, as what a run works on."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def run(self, task: str, run: Run) -> Answer:
        from dougong.types import Answer

        report = self._library.sync()
        return Answer(counts(report), data={"report": report})
