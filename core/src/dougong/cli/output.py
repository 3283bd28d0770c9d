"""What commands share: options, tables that line up in Chinese too, progress, printed answers."""

from __future__ import annotations

import json
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dougong.messages import t

if TYPE_CHECKING:
    from dougong.assemble import Assembly
    from dougong.types import Answer, Event, SyncReport

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help=t("Print JSON, for programs."))


def config_options(function: F) -> F:
    """``CONFIG --set --plugin --locked``, as every command that reads a config takes them."""
    for decorate in (
        click.option("--locked", is_flag=True, help=t("Fail unless the lock file beside the config still holds.")),
        click.option(
            "--plugin", "plugins", multiple=True, metavar="FILE", help=t("Load a local plugin file; repeatable.")
        ),
        click.option(
            "--set", "sets", multiple=True, metavar="PATH=VALUE", help=t("Override a value of the config; repeatable.")
        ),
        click.argument("config", type=click.Path(path_type=Path)),
    ):
        function = decorate(function)
    return function


def open_assembly(config: Path, sets: Sequence[str], plugins: Sequence[str], locked: bool) -> Assembly:
    from dougong.assemble import load

    assembly = load(config, set=sets, plugins=plugins)
    if locked:
        from dougong.lock import verify

        verify(assembly, config)
    return assembly


def echo(text: str = "", *, err: bool = False) -> None:
    """Print without secrets: a model may have said one letter by letter."""
    from dougong.secret import Secret

    click.echo(Secret.scrub(text), err=err)


def print_json(value: Any) -> None:
    readable = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    echo(json.dumps(value, ensure_ascii=not readable, indent=2, default=str))


def width(text: str) -> int:
    """Columns that a terminal gives to `text`: a wide character takes two."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows as lines of aligned columns."""
    widths = [max(width(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = [cell + " " * (size - width(cell)) for cell, size in zip(row, widths, strict=True)]
        yield "  ".join(padded).rstrip()


@contextmanager
def progress() -> Iterator[Callable[[Event], None]]:
    """A listener that shows ``progress`` on stderr: a bar on a terminal, a plain line every few seconds elsewhere."""
    if sys.stderr.isatty():
        with _bars() as listener:
            yield listener
    else:
        yield _lines()


@contextmanager
def _bars() -> Iterator[Callable[[Event], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def listen(event: Event) -> None:
            if event.kind == "progress":
                data = event.data
                if data["stage"] not in tasks:
                    tasks[data["stage"]] = bars.add_task(data["stage"], total=data["total"], detail="")
                bars.update(
                    tasks[data["stage"]], completed=data["done"], total=data["total"], detail=data["detail"][:40]
                )

        yield listen


def _lines(every: float = 2.0) -> Callable[[Event], None]:
    last = time.monotonic()

    def listen(event: Event) -> None:
        nonlocal last
        if event.kind == "progress" and time.monotonic() - last > every:
            last = time.monotonic()
            total = f"/{event.data['total']}" if event.data["total"] is not None else ""
            echo(f"{event.data['stage']} {event.data['done']}{total} {event.data['detail']}".rstrip(), err=True)

    return listen


def counts(report: SyncReport) -> str:
    """What a sync did, in a line."""
    return t(
        "{added} added, {updated} updated, {deleted} deleted, {unchanged} unchanged; {chunks} chunks; {seconds:.1f} s",
        added=report.added, updated=report.updated, deleted=report.deleted, unchanged=report.unchanged,
        chunks=report.chunks, seconds=report.seconds,
    )  # fmt: skip


def print_sync(name: str, report: SyncReport) -> None:
    """What a sync did, and each document that it could not read."""
    echo(f"{name}: {counts(report)}", err=True)
    if report.redone:
        echo("  " + t("done again, since settings changed: {stages}", stages=", ".join(report.redone)), err=True)
    for source, reason in report.failed:
        echo("  " + t("skipped {source}: {reason}", source=source, reason=reason), err=True)


def print_answer(answer: Answer) -> None:
    """An answer and where each citation stands: ``[1] docs/a.md:12  Heading``."""
    echo(answer.text)
    if answer.status == "stopped":
        echo(t("stopped: {reason}", reason=answer.reason), err=True)
    if answer.citations:
        echo()
    for citation in answer.citations:
        place = citation.source + (f":{citation.line}" if citation.line else "")
        page = "  " + t("page {page}", page=citation.page) if citation.page else ""
        echo(f"[{citation.label}] {place}{page}  {' > '.join(citation.headings)}".rstrip())


def answer_data(answer: Answer) -> dict[str, Any]:
    import attrs

    return attrs.asdict(answer)
