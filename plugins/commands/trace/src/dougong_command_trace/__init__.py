"""``dougong trace RUN``: a run as a tree in the terminal, and as one self-contained page."""

from __future__ import annotations

from pathlib import Path

import click

from dougong_command_trace.words import w


@click.command(short_help=w("Show a run from its journal: a tree, or one HTML page."))
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help=w("Write one self-contained page."))
def command(run: Path, html: Path | None) -> None:
    from dougong_command_trace.terminal import lines
    from dougong_command_trace.tree import Trace

    trace = Trace.read(run)
    if html is not None:
        from dougong_command_trace.page import page

        html.write_text(page(trace), encoding="utf-8", errors="backslashreplace")
        click.echo(html)
        return
    for line in lines(trace):
        click.echo(line)


command.help = w("Show what the run of the journal RUN did: its calls as a tree, or as one HTML page.")
