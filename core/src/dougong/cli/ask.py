"""``dougong ask PATH QUESTION``: from a folder to a cited answer, with no config, no key and no network."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import click

from dougong.cli.output import answer_data, as_json, print_answer, print_json, print_sync, progress
from dougong.messages import t


@click.command(short_help=t("Ask a question of a folder of documents; answers with citations."))
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("question")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help=t("Override a value; see --print-config."))
@click.option("--print-config", is_flag=True, help=t("Print the config that this amounts to, and stop."))
@as_json
def command(path: Path, question: str, sets: tuple[str, ...], print_config: bool, as_json: bool) -> None:
    """Answer QUESTION from the documents at PATH, a file or a folder.

    The first call reads and indexes the documents; later ones only what changed. The index lies in the user's cache
    folder, never beside the documents. Nothing leaves the machine.
    """
    from dougong.assemble import Assembly, installed
    from dougong.config import from_python
    from dougong.errors import LoadError, Place
    from dougong.overrides import override, parse_set

    if not path.exists():
        raise LoadError(t("there is no such file or folder"), place=Place(str(path)), hint=t("check the path"))
    if not question.strip():
        raise click.UsageError(t("the question is empty"))
    config = ask_config(path)
    tree = from_python(config, Place("ask"))
    for key, node in map(parse_set, sets):
        tree = override(tree, key, node, node.place)
    with Assembly(tree, installed()) as assembly:
        if print_config:
            _print_config(assembly)
            return
        with progress() as listener, assembly.start(listener=listener):
            report = assembly["library"].sync()
        if report.added or report.updated or report.deleted or report.failed or report.redone:
            print_sync(str(path), report)
        if not (report.added or report.updated or report.unchanged):
            raise LoadError(
                t("no documents found that can be read"),
                place=Place(str(path)),
                hint=t("'dougong plugins loader' lists what can be read"),
            )
        answer = assembly.run(question)
    if as_json:
        print_json(answer_data(answer))
    else:
        print_answer(answer)


def ask_config(path: Path) -> dict[str, Any]:
    """The config of ``dougong ask`` for `path`."""
    return {
        "main": {"use": "pattern.rag", "retriever": {"ref": "library"}},
        "library": {"use": "retriever.library", "sources": [str(path)], "path": str(store_folder(path))},
    }


def store_folder(path: Path) -> Path:
    """Where the library of `path` is kept: in ``DOUGONG_CACHE`` or the user's cache folder, by a hash of the path."""
    from platformdirs import user_cache_path

    root = Path(os.environ.get("DOUGONG_CACHE") or user_cache_path("dougong", appauthor=False))
    full = os.fsencode(path.resolve())
    return root / "ask" / f"{path.resolve().name or 'root'}-{hashlib.sha256(full).hexdigest()[:12]}"


def _print_config(assembly: Any) -> None:
    from ruamel.yaml import YAML

    from dougong.cli.show import resolved

    YAML().dump(resolved(assembly), sys.stdout)
