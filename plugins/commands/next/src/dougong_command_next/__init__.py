"""``dougong next FOLDER TEXT``: what a language model expects next, and how its tokenizer cuts a text."""

from __future__ import annotations

from pathlib import Path

import click
from dougong.cli.output import as_json

from dougong_command_next.words import w


@click.command(short_help=w("Show what a language model expects next, and how a text is cut into tokens."))
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("text")
@click.option("--top", default=10, type=click.IntRange(1), help=w("How many tokens to show."))
@click.option("--write", default=0, type=click.IntRange(0), metavar="N", help=w("Then write N tokens."))
@click.option("--temperature", default=0.0, type=click.FloatRange(0), help=w("0 writes the likeliest token each time."))
@click.option("--seed", default=0, help=w("Of what is drawn by chance."))
@click.option("--tokens", is_flag=True, help=w("Show how the tokenizer cuts the text; loads no network."))
@as_json
def command(
    folder: Path, text: str, top: int, write: int, temperature: float, seed: int, tokens: bool, as_json: bool
) -> None:
    import os

    from dougong.cli.output import echo, print_json

    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is looked up in the network
    from dougong_command_next import show

    if tokens:
        from dougong_command_next.cut import cut, open_tokenizer

        found = cut(open_tokenizer(folder), text)
        print_json(found) if as_json else echo("\n".join(show.cut_lines(found)))
        return
    from dougong_command_next.model import Model

    model = Model(folder)
    odds = model.odds(text, top)
    if as_json:
        written = "".join(model.write(text, write, temperature, seed)) if write else ""
        print_json({"next": odds, "written": written})
        return
    echo("\n".join(show.bars(odds)))
    if write:
        echo()
        click.echo(show.plain(text), nl=False)
        for piece in model.write(text, write, temperature, seed):
            click.echo(show.plain(piece), nl=False)
        click.echo()


command.help = w(
    "Show the likeliest tokens after TEXT by the language model in FOLDER (config.json, safetensors, tokenizer.json), "
    "and write on from there."
)
