"""``dougong show CONFIG``: a tree, the config with every default, or a graph."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dougong.cli.output import as_json, config_options, open_assembly, print_json
from dougong.messages import t

if TYPE_CHECKING:
    from dougong.assemble import Assembly


@click.command(short_help=t("Show what a config resolves to: a tree, YAML with defaults, or a graph."))
@config_options
@click.option("--resolved", "form", flag_value="resolved", help=t("As YAML with every default and prompt."))
@click.option("--graph", "form", flag_value="graph", help=t("As a Mermaid graph."))
@as_json
def command(
    config: Path, sets: tuple[str, ...], plugins: tuple[str, ...], locked: bool, form: str | None, as_json: bool
) -> None:
    """Show the techniques of CONFIG: who fills which slot, from which distribution."""
    from dougong.config import from_python
    from dougong.errors import Place

    assembly = open_assembly(config, sets, plugins, locked)
    data = resolved(assembly)
    if as_json:
        print_json(data)
    elif form == "resolved":
        from ruamel.yaml import YAML

        yaml = YAML()
        yaml.width = 120
        yaml.dump(data, sys.stdout)
    elif form == "graph":
        click.echo("\n".join(_graph(data)))
    else:
        origins = {plan.loaded.name: plan.loaded.entry.origin for plan in assembly.plans()}
        for name, value in data.items():
            written = assembly.tree.value.get(name) or from_python(value, Place(""))
            click.echo("\n".join(_tree(name, value, written, origins)))


def resolved(assembly: Assembly) -> dict[str, Any]:
    """The whole document as data, every default written out."""
    from dougong.resolve import Plan, Ref, described

    data: dict[str, Any] = {name: described(plan) for name, plan in assembly.document.plans.items()}
    layers = [
        described(part) if isinstance(part, Plan) else {"ref": part.name}
        for part in assembly.document.middleware
        if isinstance(part, (Plan, Ref))
    ]
    return {**data, "middleware": layers} if layers else data


def _tree(name: str, value: Any, written: Any, origins: dict[str, str], indent: str = "") -> Iterator[str]:
    """A line a technique; below it the params that the config sets, then its slots."""
    if isinstance(value, dict) and "ref" in value:
        yield f"{indent}{name} -> {value['ref']}"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _tree(f"{name}[{index}]", item, _inside(written, index), origins, indent)
    elif isinstance(value, dict) and "use" in value:
        yield f"{indent}{name}: {value['use']}  ({origins.get(value['use'], '')})"
        for key, item in value.items():
            inner = _inside(written, key)
            if _is_technique(item):
                yield from _tree(key, item, inner, origins, indent + "  ")
            elif key != "use" and inner is not None:
                yield f"{indent}  {key} = {item}"


def _inside(written: Any, key: str | int) -> Any:
    try:
        return written.value[key]
    except (AttributeError, LookupError, TypeError):
        return None


def _is_technique(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_technique(item) for item in value)
    return isinstance(value, dict) and ("use" in value or "ref" in value)


def _graph(data: dict[str, Any]) -> Iterator[str]:
    yield "graph TD"
    for name, value in data.items():
        for index, item in enumerate(value) if isinstance(value, list) else [("", value)]:
            yield from _edges(f"{name}{index}", item)


def _edges(node: str, value: dict[str, Any]) -> Iterator[str]:
    if "use" not in value:
        return
    yield f'  {node}["{value["use"]}"]'
    for key, item in value.items():
        for index, part in enumerate(item) if isinstance(item, list) else [("", item)]:
            if isinstance(part, dict) and "ref" in part:
                yield f"  {node} -->|{key}| {part['ref']}"
            elif isinstance(part, dict) and "use" in part:
                inner = f"{node}_{key}{index}"
                yield from _edges(inner, part)
                yield f"  {node} -->|{key}| {inner}"
