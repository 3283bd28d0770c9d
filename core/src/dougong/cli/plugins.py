"""``dougong plugins [NAME]``: what is installed, imported only when one is asked for by name."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from dougong.cli.output import as_json, print_json, table
from dougong.discovery import COMMANDS, GROUP, Entry, discover
from dougong.messages import t


@click.command(short_help=t("List the techniques that are installed."))
@click.argument("name", default="")
@click.option("--all", "everything", is_flag=True, help=t("Also those that are known and not installed."))
@click.option("--search", default="", metavar="WORD", help=t("Those, installed or not, that WORD is said of."))
@as_json
def command(name: str, everything: bool, search: str, as_json: bool) -> None:
    """List the techniques that are installed; of kind NAME only; or say all about the technique NAME.

    Listing imports nothing. 'dougong doctor' imports every plugin and names the broken ones. What is known and not
    installed is read from an index that comes with dougong, and from the files that DOUGONG_INDEX lists.
    """
    if everything or search:
        _known(name, search, as_json)
        return
    if "." in name:
        _describe(name, as_json)
        return
    entries = [entry for entry in discover() if name in ("", entry.kind)]
    twice = Counter((entry.name, entry.group) for entry in entries)
    states = [_state(entry, twice[entry.name, entry.group]) for entry in entries]
    if as_json:
        print_json([{**entry._asdict(), "state": state} for entry, state in zip(entries, states, strict=True)])
        return
    if not entries:
        click.echo(t("no {name} is installed", name=name or "technique"), err=True)
        return
    words = [_words(e, state, twice[e.name, e.group]) for e, state in zip(entries, states, strict=True)]
    for line in table([(entry.name, entry.origin, word) for entry, word in zip(entries, words, strict=True)]):
        click.echo(line)


def _known(kind: str, word: str, as_json: bool) -> None:
    """Installed techniques and those of the index, with what pip would be told."""
    from dougong.kinds import KINDS
    from dougong.known import Known, index

    here = {entry.name: entry for entry in discover() if entry.group == GROUP}
    rows = dict(index())
    for entry in here.values():  # of no index: its own folder or another repository
        rows.setdefault(entry.name, Known(entry.name, entry.distribution, "", ""))
    found = [
        row
        for name, row in sorted(rows.items())
        if kind in ("", name.partition(".")[0]) and all(row.matches(part) for part in word.split())
    ]
    if as_json:
        print_json([{"name": row.name, "distribution": row.distribution, "summary": row.summary, "source": row.source,
                     "installed": row.name in here} for row in found])  # fmt: skip
        return
    if not found:
        click.echo(t("no technique is known that fits; known kinds: {kinds}", kinds=", ".join(KINDS)), err=True)
    for row in found:
        state = here[row.name].origin if row.name in here else t("not installed; pip install {distribution}",
                                                                 distribution=row.distribution)  # fmt: skip
        click.echo(f"{row.name}  ({state})" + (f"\n    {row.summary}" if row.summary else ""))


def _state(entry: Entry, count: int) -> str:
    """``ok``, ``incompatible`` (of another API version) or ``ambiguous`` (declared by several distributions)."""
    if entry.group not in (GROUP, COMMANDS):
        return "incompatible"
    return "ambiguous" if count > 1 else "ok"


def _words(entry: Entry, state: str, count: int) -> str:
    if state == "incompatible":
        return t("incompatible: made for {group}", group=entry.group)
    if state == "ambiguous":
        return t("declared by {count} distributions; choose by 'use: distribution:name'", count=count)
    return ""


def _describe(name: str, as_json: bool) -> None:
    import inspect

    from dougong.params import fields_of
    from dougong.registry import Registry
    from dougong.schema import schema

    loaded = Registry().find(name)
    technique = loaded.technique
    if as_json:
        print_json({"name": loaded.name, "distribution": loaded.entry.origin, "summary": technique.summary,
                    "source": technique.source, "schema": schema(technique.params, loaded.name)})  # fmt: skip
        return
    click.echo(f"{loaded.name}  ({loaded.entry.origin})")
    click.echo(f"  {technique.summary}")
    click.echo("  " + t("source: {source}", source=technique.source))
    if doc := inspect.getdoc(technique.params):
        click.echo("\n  " + doc.replace("\n", "\n  ") + "\n")
    rows = [
        (key, _type_name(field.type), _default(field.default)) for key, field in fields_of(technique.params).items()
    ]
    if rows:
        click.echo("\n".join("  " + line for line in table(rows)))


def _type_name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("dougong.kinds.", "")


def _default(default: Any) -> str:
    import attrs

    from dougong.technique import Use

    if default is attrs.NOTHING:
        return t("required")
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        default = default.factory()
    if isinstance(default, Use):
        return f"{{use: {default.name}}}"
    text = repr(default)
    return text if len(text) <= 60 else text[:57] + "..."
