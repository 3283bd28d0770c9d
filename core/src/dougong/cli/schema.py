"""``dougong schema``: JSON Schema of everything installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from dougong.messages import t


@click.command(short_help=t("Write the JSON Schema of all that is installed, for editors."))
@click.option("-o", "--output", type=click.Path(path_type=Path), help=t("A file; standard output otherwise."))
def command(output: Path | None) -> None:
    """Write a JSON Schema of configs, made from every plugin that is installed.

    Point an editor at it (first line of a config: '# yaml-language-server: $schema=dougong.schema.json') and it
    completes names and checks values as you type.
    """
    text = json.dumps(config_schema(), ensure_ascii=False, indent=2)
    if output is None:
        click.echo(text)
    else:
        output.write_text(text + "\n", encoding="utf-8")


def config_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a config; a broken plugin is left out, and named on stderr."""
    from dougong.errors import PluginError
    from dougong.kinds import KINDS
    from dougong.registry import Registry
    from dougong.schema import schema

    registry = Registry()
    kinds: dict[str, Any] = {}
    top: list[Any] = []
    ref = {
        "type": "object",
        "properties": {"ref": {"type": "string"}},
        "required": ["ref"],
        "additionalProperties": False,
    }
    for kind in KINDS:
        fitting: list[Any] = [ref]
        for name in registry.names(kind):
            try:
                loaded = registry.find(name, kind)
            except PluginError as error:
                click.echo(f"{kind}.{name}: {error}", err=True)
                continue
            full = schema(loaded.technique.params, loaded.name)
            full["description"] = loaded.technique.summary
            top.append(full)
            short = {**full, "properties": {**full["properties"], "use": {"enum": [name, loaded.name]}}}
            fitting.append(short)
        kinds[kind] = {"anyOf": fitting}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dougong config",
        "type": "object",
        "properties": {"middleware": {"type": "array", "items": {"$ref": "#/$defs/middleware"}}},
        "additionalProperties": {"anyOf": top},
        "$defs": kinds,
    }
