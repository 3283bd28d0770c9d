"""``dougong bench-model CONFIG``: caches, networks and experts, measured."""

from __future__ import annotations

from pathlib import Path

import click
from dougong.cli.output import as_json, config_options

from dougong_command_bench_model.words import w


@click.command(short_help=w("Measure the caches, networks and experts of a config; plan a memory."))
@config_options
@click.option("--network", "name", help=w("Name of the network in the config, where there are several."))
@click.option("--length", "lengths", multiple=True, type=click.IntRange(1), help=w("Tokens in the cache; repeatable."))
@click.option("--steps", default=16, type=click.IntRange(1), help=w("Tokens after them that are timed."))
@click.option("--rounds", default=5, type=click.IntRange(1), help=w("Rounds; figures are their medians."))
@click.option("--plan", "memory", metavar="SIZE", help=w("The longest context in a memory, 8GB say."))
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), help=w("Of weights and caches."))
@click.option("--networks", is_flag=True, help=w("Compare the networks of the config."))
@click.option("--experts", is_flag=True, help=w("Which expert reads which text."))
@click.option("--text", "texts", multiple=True, metavar="[NAME=]FILE", help=w("Text to read; repeatable."))
@click.option("--tokenizer", type=click.Path(path_type=Path), help=w("The tokenizer.json of the network."))
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help=w("Draw the figures as PNG or SVG."))
@as_json
def command(
    config: Path,
    sets: tuple[str, ...],
    plugins: tuple[str, ...],
    locked: bool,
    name: str | None,
    lengths: tuple[int, ...],
    steps: int,
    rounds: int,
    memory: str | None,
    dtype: str | None,
    networks: bool,
    experts: bool,
    texts: tuple[str, ...],
    tokenizer: Path | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    from dougong.cli.output import echo, open_assembly, print_json, progress, table

    from dougong_command_bench_model import measure, plan

    with (
        open_assembly(config, sets, plugins, locked) as assembly,
        progress() as listener,
        assembly.start(listener=listener),
    ):
        found = measure.named(assembly, "network")
        caches = measure.named(assembly, "cache")
        if memory is not None:
            rows = plan.longest(measure.one(found, name, assembly), caches, plan.parse(memory), dtype)
        elif networks:
            rows = measure.networks(found, lengths or (128,), rounds, dtype)
        else:
            network = measure.built(measure.one(found, name, assembly), dtype)
            read = measure.read(network, texts, tokenizer)
            if experts:
                rows = measure.experts(network, read)
            else:
                rows = measure.caches(network, caches, lengths or (128, 512), steps, rounds, read)
    if plot is not None:
        measure.draw(rows, plot)
    if as_json:
        print_json(rows)
    elif rows:
        echo("\n".join(table([list(map(w, rows[0])), *([measure.cell(v) for v in row.values()] for row in rows)])))


command.help = w(
    "Measure what CONFIG describes: by default each technique of kind cache on its network, by speed, bytes and "
    "perplexity."
)
