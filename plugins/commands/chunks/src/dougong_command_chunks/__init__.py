"""``dougong chunks PATH``: how chunkers cut a file, or a library's documents, side by side."""

from __future__ import annotations

from pathlib import Path

import click
from dougong.cli.output import as_json

from dougong_command_chunks.words import w


@click.command(short_help=w("Compare chunkers on a file or a library: figures, chunks, one HTML page."))
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--chunker", "chunkers", metavar="A,B", help=w("Chunkers to compare: techniques, or names in the config.")
)
@click.option("--size", type=click.IntRange(1), help=w("The size of each of them, in its tokens."))
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help=w("Override a value: fixed.overlap=10."))
@click.option("--plugin", "plugins", multiple=True, metavar="FILE", help=w("Load a local plugin file; repeatable."))
@click.option("--documents", default=10, type=click.IntRange(1), help=w("Documents of a library, at most."))
@click.option("--first", default=3, type=click.IntRange(0), help=w("Chunks to show of each."))
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help=w("Write one self-contained page."))
@click.option("--learn", is_flag=True, help=w("First have the rules of chunkers that learn written anew."))
@as_json
def command(
    path: Path,
    chunkers: str | None,
    size: int | None,
    sets: tuple[str, ...],
    plugins: tuple[str, ...],
    documents: int,
    first: int,
    html: Path | None,
    learn: bool,
    as_json: bool,
) -> None:
    from dougong.cli.output import print_json, progress

    from dougong_command_chunks.compare import Comparison
    from dougong_command_chunks.terminal import show

    names = [name.strip() for name in (chunkers or "").split(",") if name.strip()]
    with Comparison(path, names, size, sets, plugins, documents) as comparison:
        with progress() as listener, comparison.assembly.start(listener=listener):
            if learn:
                for written in comparison.learn():
                    click.echo(written, err=True)
            cuts = comparison.cuts()
        if html is not None:
            from dougong_command_chunks.page import page

            html.write_text(page(path, comparison.documents, cuts), encoding="utf-8", errors="backslashreplace")
        if as_json:
            print_json({cut.label: cut.figures() for cut in cuts})
        else:
            show(comparison, cuts, first)
            if html is not None:
                click.echo(html)
    if any(cut.error or cut.violations for cut in cuts):
        raise click.exceptions.Exit(1)


command.help = w(
    "Cut PATH, a file or the documents of the library in a config (.yaml, .yml, .json), by several chunkers; show "
    "how many chunks of which sizes they make, where they cut, and whether each chunk is a piece of its document."
)
