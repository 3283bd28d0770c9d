"""``dougong show CONFIG``: a tree, the config with every default, or a graph."""

from __future__ import annotations

import itertools
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
    """The whole document as data, every default written out: a config again, beside the one it came from."""
    from dougong.plan import Plan, Ref, described

    def one(plan: Plan) -> dict[str, Any]:
        return _loadable(described(plan), plan.node)  # type: ignore[no-any-return]

    data: dict[str, Any] = {name: one(plan) for name, plan in assembly.document.plans.items()}
    layers = [
        one(part) if isinstance(part, Plan) else {"ref": part.name}
        for part in assembly.document.middleware
        if isinstance(part, (Plan, Ref))
    ]
    return {**data, "middleware": layers} if layers else data


def _loadable(value: Any, written: Any) -> Any:
    """`value` as one would write it: a secret as where it is read from, and ``${`` that is meant as such."""
    if isinstance(value, dict):
        return {key: _loadable(item, _inside(written, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_loadable(item, _inside(written, index)) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    source = getattr(written, "value", None)
    if value == "***" and isinstance(source, str) and source.startswith("${"):
        return source
    return value.replace("${", "$${")


def _tree(name: str, value: Any, written: Any, origins: dict[str, str], indent: str = "") -> Iterator[str]:
    """A line a technique; below it the params that the config sets, then its slots."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _tree(f"{name}[{index}]", item, _inside(written, index), origins, indent)
    elif "ref" in value:
        yield f"{indent}{name} -> {value['ref']}"
    elif "use" in value:
        yield f"{indent}{name}: {value['use']}  ({origins.get(value['use'], '')})"
        for key, item in value.items():
            inner = _inside(written, key)
            if _is_technique(item):
                yield from _tree(key, item, inner, origins, indent + "  ")
            elif key != "use" and inner is not None:
                yield f"{indent}  {key} = {item}"
    else:
        for key, item in value.items():
            yield from _tree(f"{name}.{key}", item, _inside(written, key), origins, indent)


def _inside(written: Any, key: str | int) -> Any:
    try:
        return written.value[key]
    except (AttributeError, LookupError, TypeError):
        return None


def _is_technique(value: Any) -> bool:
    """Whether `value` fills a slot, or a list or mapping of them."""
    if isinstance(value, list):
        return bool(value) and all(_is_technique(item) for item in value)
    if not isinstance(value, dict):
        return False
    return "use" in value or "ref" in value or (bool(value) and all(_is_technique(item) for item in value.values()))


def _graph(data: dict[str, Any]) -> Iterator[str]:
    """Mermaid. Nodes are numbered: not every name is an id there ('end', Chinese, a dash)."""
    nodes = {name: f"n{index}" for index, name in enumerate(data)}
    count = itertools.count(len(nodes))

    def draw(node: str, label: str, value: dict[str, Any]) -> Iterator[str]:
        yield f'  {node}["{label}"]'
        for key, item in value.items():
            for edge, part in _parts(key, item) if _is_technique(item) else ():
                if "ref" in part:
                    yield f'  {node} -->|"{edge}"| {nodes.get(part["ref"], node)}'
                else:
                    inner = f"n{next(count)}"
                    yield from draw(inner, part["use"], part)
                    yield f'  {node} -->|"{edge}"| {inner}'

    yield "graph TD"
    for name, value in data.items():
        if isinstance(value, list):  # middleware
            yield f'  {nodes[name]}["{name}"]'
            yield from list(draw(nodes[name], name, {name: value}))[1:]
        else:
            yield from draw(nodes[name], f"{name}: {value['use']}", value)


def _parts(name: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The techniques in a slot, or in a list or mapping of slots, each with its place in it."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _parts(f"{name}[{index}]", item)
    elif "use" in value or "ref" in value:
        yield name, value
    else:
        for key, item in value.items():
            yield from _parts(f"{name}.{key}", item)
