"""Where ``dougong run`` and ``chat`` keep journals, and what a journal's header says of how its run was begun."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dougong.errors import Place, StoreError
from dougong.messages import t

if TYPE_CHECKING:
    from dougong.assemble import Assembly
    from dougong.journal import Journal


def new_path(config: Path) -> Path:
    """``.dougong/runs/<time>.jsonl`` beside the config; the name sorts by time and is never one that exists."""
    folder = config.parent / ".dougong" / "runs"
    stem = time.strftime("%Y%m%d-%H%M%S")
    number = 0
    while (path := folder / f"{stem}{f'-{number}' if number else ''}.jsonl").exists():
        number += 1
    return path


def header(config: Path, sets: Sequence[str], plugins: Sequence[str], task: str, session: str) -> dict[str, Any]:
    """What it takes to begin the run again. ``--set`` stands in it as typed: secrets belong into the environment."""
    return {
        "config": str(config.absolute()),
        "set": list(sets),
        "plugins": [str(Path(plugin).absolute()) for plugin in plugins],
        "task": task,
        "session": session,
    }


@contextmanager
def recorded(config: Path, first: dict[str, Any]) -> Iterator[Journal]:
    """A new journal with the header `first`; taken away again where nothing was asked that it could show."""
    from dougong.journal import Journal

    journal = Journal(new_path(config), first)
    try:
        yield journal
    finally:
        asked = journal.keys("intent")
        journal.close()
        if not asked:
            journal.path.unlink()


def begun_by(journal: Path) -> tuple[Assembly, dict[str, Any]]:
    """The assembly that a journal's run was begun with, and its header. Raises StoreError where it names none."""
    from dougong.assemble import load
    from dougong.journal import read

    first = next(read(journal), None)
    if first is None or "config" not in first:
        raise StoreError(t("this journal does not say which config began it"), place=Place(str(journal), 1),
                         hint=t("replay it from Python: assembly.run(task, journal=..., replay=True)"))  # fmt: skip
    return load(first["config"], set=first["set"], plugins=first["plugins"]), first


def ask(question: str, choices: Sequence[str]) -> str:
    """Put a question to the person at the terminal."""
    kind = click.Choice(list(choices)) if choices else None
    return str(click.prompt(question, type=kind, err=True))
