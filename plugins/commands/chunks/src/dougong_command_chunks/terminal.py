"""Figures as a table, and the first chunks of each chunker, their boundaries coloured."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from dougong import Chunk
from dougong.cli.output import table

from dougong_command_chunks.compare import Comparison, Cut
from dougong_command_chunks.words import w

if TYPE_CHECKING:
    from rich.console import Console

COLUMNS = ("chunks", "mean", "median", "max", "size", "fill", "oversize", "seconds", "violations")
LONGEST = 400  # characters shown of a chunk
_COLOURS = ("cyan", "yellow", "green", "magenta")


def show(comparison: Comparison, cuts: Sequence[Cut], first: int) -> None:
    """Print everything."""
    from rich.console import Console

    characters = sum(len(document.text) for document in comparison.documents)
    click.echo(w("documents: {n}, characters: {characters}", n=len(comparison.documents), characters=f"{characters:,}"))
    if comparison.total > len(comparison.documents) + len(comparison.failed):
        click.echo(
            w(
                "the first {n} of {all} documents; --documents takes more",
                n=len(comparison.documents),
                all=comparison.total,
            ),
            err=True,
        )
    for source, reason in comparison.failed:
        click.echo(shown(w("skipped {source}: {reason}", source=source, reason=reason)), err=True)
    for line in table(rows(cuts)):
        click.echo(line)
    for cut in cuts:
        if cut.error:
            click.echo(f"{cut.label}: {w('error')}: {shown(cut.error)}", err=True)
        for problem, count in cut.violations.items():
            click.echo(f"{cut.label}: {w(problem)} ({count})", err=True)
    console = Console(highlight=False, soft_wrap=True)
    for cut in cuts if first else ():
        _first(console, cut, first)


def rows(cuts: Sequence[Cut]) -> list[list[str]]:
    """The table's rows as texts, its head first."""
    found = [[w(name) for name in ("chunker", *COLUMNS)]]
    return found + [[cut.label, *values(cut)] for cut in cuts]


def values(cut: Cut) -> list[str]:
    """The figures of a cut as texts, in the order of `COLUMNS`."""
    figures = cut.figures()
    fill = "-" if figures["fill"] is None else f"{figures['fill']:.0%}"
    return [
        f"{figures['chunks']:,}",
        f"{figures['mean']:.1f}",
        f"{figures['median']:g}",
        f"{figures['max']:,}",
        "-" if cut.size is None else f"{cut.size:,}",
        fill,
        str(figures["oversize"]),
        f"{cut.seconds:.3f}",
        str(sum(cut.violations.values())),
    ]


def about(chunk: Chunk) -> str:
    """``12 tokens, line 3, Chapter > Section``."""
    place = w("line {n}", n=chunk.meta["line"]) if "line" in chunk.meta else ""
    return ", ".join(filter(None, [f"{chunk.tokens} {w('tokens')}", place, " > ".join(chunk.headings)]))


def shown(text: str) -> str:
    """What a terminal would obey is shown instead: a document may hold control sequences."""
    return "".join(c if unicodedata.category(c) not in ("Cc", "Cf", "Cs") else f"\\u{ord(c):04x}" for c in text)


def _first(console: Console, cut: Cut, first: int) -> None:
    from rich.text import Text

    console.print()
    console.print(Text(cut.label, "bold"))
    chunks = next((some for some in cut.chunks if some), ())
    for number, chunk in enumerate(chunks[:first], 1):
        colour = _COLOURS[number % len(_COLOURS)]
        head = Text("┏ ", colour) + Text(shown(f"{w('chunk {n}', n=number)}: {about(chunk)}"), f"bold {colour}")
        console.print(head)
        text = chunk.text if len(chunk.text) <= LONGEST else chunk.text[:LONGEST] + "…"
        for line in text.splitlines() or [""]:
            console.print(Text("┃ ", colour) + Text(shown(line)))
