"""``dougong graph CONFIG``: what a library's knowledge graph holds, in the terminal and as one page."""

from __future__ import annotations

from pathlib import Path

import click
from dougong.cli.output import as_json

from dougong_command_graph.words import w


@click.command(short_help=w("Show a library's knowledge graph: figures, or one HTML page."))
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help=w("Write one self-contained page."))
@click.option("--nodes", default=2000, type=click.IntRange(1), help=w("Entities on the page, at most."))
@click.option("--top", default=10, type=click.IntRange(0), help=w("Entities to print."))
@click.option(
    "--set", "sets", multiple=True, metavar="PATH=VALUE", help=w("Override a value: library.index.term_value=6.")
)
@click.option("--plugin", "plugins", multiple=True, metavar="FILE", help=w("Load a local plugin file; repeatable."))
@as_json
def command(
    config: Path,
    html: Path | None,
    nodes: int,
    top: int,
    sets: tuple[str, ...],
    plugins: tuple[str, ...],
    as_json: bool,
) -> None:
    from dougong.cli.output import print_json, progress

    from dougong_command_graph.view import Held

    with Held(config, sets, plugins) as held:
        with progress() as listener, held.assembly.start(listener=listener):
            held.sync()
            figures = held.figures(top)
        if html is not None:
            from dougong_command_graph.page import page

            html.write_text(page(held, nodes), encoding="utf-8", errors="backslashreplace")
        if as_json:
            print_json(figures)
            return
        for name in ("chunks", "entities", "relations", "claims", "communities", "aliases"):
            click.echo(f"{w(name)}  {figures[name]:,}")
        click.echo(f"{w('orphans')}  {figures['orphans']:,} ({figures['orphan_share']:.0%})")
        if figures["top"]:
            click.echo(f"\n{w('Most joined')}")
        for entity in figures["top"]:
            click.echo(f"  {entity['degree']:>5}  {entity['name']}")
        if html is not None:
            click.echo(html)


command.help = w("Show what the knowledge graph in the library of CONFIG holds: figures, and one page to explore it.")
