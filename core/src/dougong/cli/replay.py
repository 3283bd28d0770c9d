"""``dougong replay RUN``: the same run again out of its journal, with no model and no network."""

from __future__ import annotations

from pathlib import Path

import click

from dougong.cli.output import answer_data, as_json, print_answer, print_json
from dougong.messages import t


@click.command(short_help=t("Play a run again from its journal, with no model and no network."))
@click.argument("journal", type=click.Path(path_type=Path))
@as_json
def command(journal: Path, as_json: bool) -> None:
    """Play the run in JOURNAL again: every call is read back, none is made.

    The pattern runs as it did; where it would now do something else, the first difference is named.
    """
    from dougong.cli.journals import begun_by
    from dougong.journal import Journal

    assembly, header = begun_by(journal)
    past = Journal(journal)
    try:
        with assembly:
            answer = assembly.run(header["task"], session=header["session"], journal=past, replay=True)
    finally:
        past.close()
    if as_json:
        print_json(answer_data(answer))
    else:
        print_answer(answer)
