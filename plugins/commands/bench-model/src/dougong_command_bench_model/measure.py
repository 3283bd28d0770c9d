"""Speed, bytes and perplexity of caches; speed of networks; load of experts."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from dougong import ConfigError, LoadError, Place
from dougong.run import report

from dougong_command_bench_model.plan import stored

Rows = list[dict[str, Any]]


def named(assembly: Any, kind: str) -> dict[str, Any]:
    """The config's techniques of a kind, by name."""
    return {name: assembly[name] for name, plan in assembly.document.plans.items() if plan.loaded.kind == kind}


def one(found: Mapping[str, Any], name: str | None, assembly: Any) -> Any:
    """The network that is meant. Raises ConfigError."""
    if name in found or (name is None and len(found) == 1):
        return found[name] if name else next(iter(found.values()))
    what = f"no network {name!r}" if name else ("several networks" if found else "no network")
    hint = f"--network {' or '.join(found)}" if found else "write net: {use: network.decoder, ...}"
    raise ConfigError(f"the config has {what}", place=assembly.tree.place, hint=hint)


def built(network: Any, dtype: str | None) -> Any:
    torch.manual_seed(0)
    model = network.build().eval()
    return model.to(getattr(torch, dtype)) if dtype else model


def read(network: Any, texts: Sequence[str], tokenizer: Path | None) -> dict[str, torch.Tensor]:
    """Token ids ``(n,)`` of each text; random ones where there is none. Raises ConfigError, LoadError."""
    if not texts:
        chance = torch.Generator().manual_seed(0)
        return {"random": torch.randint(network.config.vocab_size, (1 << 16,), generator=chance)}
    if tokenizer is None:
        raise ConfigError("a text is read by a tokenizer", hint="give --tokenizer tokenizer.json")
    from tokenizers import Tokenizer

    found = {}
    try:
        cutter = Tokenizer.from_file(str(tokenizer))
    except Exception as error:  # the library raises plain Exceptions
        raise LoadError(f"it is no tokenizer: {error}", place=Place(str(tokenizer))) from None
    for text in texts:
        name, _, path = text.rpartition("=")
        try:
            ids = cutter.encode(Path(path).read_text(encoding="utf-8"), add_special_tokens=False).ids
        except (OSError, UnicodeDecodeError) as error:
            raise LoadError(f"it cannot be read: {error}", place=Place(path), hint="give UTF-8 text") from None
        if not ids or max(ids) >= network.config.vocab_size:
            raise ConfigError(f"{path}: the tokenizer is not the network's, or the text is empty", hint="check both")
        found[name or Path(path).stem] = torch.tensor(ids)
    return found


@torch.no_grad()
def caches(
    network: Any, found: Mapping[str, Any], lengths: Sequence[int], steps: int, rounds: int, texts: Mapping[str, Any]
) -> Rows:
    """Each cache at each length: `steps` tokens one by one after `length` others, as they stand in the text."""
    ids = torch.cat(list(texts.values()))
    rows: Rows = []
    for length in lengths:
        if len(ids) < length + steps + 1:
            raise ConfigError(f"the text has {len(ids)} tokens", hint=f"give {length + steps + 1}, or lower --length")
        line = ids[None, : length + steps + 1]
        exact = network(line, use_cache=False).logits[0, length - 1 : -1].float()
        wanted = _perplexity(exact, line[0, length:])
        times: dict[str, list[float]] = {"none": [], **{name: [] for name in found}}
        sizes, odds = {"none": 0}, {"none": wanted}
        for turn in range(rounds):
            report(f"length {length}", turn + 1, rounds)
            for name in times:
                cache = found[name].build(network) if name in found else None
                seconds, logits = _steps(network, line, length, steps, cache)
                times[name].append(seconds)
                if cache is not None and turn == 0:
                    sizes[name] = stored(cache)
                    odds[name] = _perplexity(logits, line[0, length : length + steps + 1])
        rows += [
            {
                "cache": name,
                "length": length,
                "tokens/s": steps / statistics.median(seconds),
                "bytes": sizes[name],
                "perplexity": odds[name],
                "drift %": 100 * (odds[name] / wanted - 1),
            }
            for name, seconds in times.items()
        ]
    return rows


def _steps(network: Any, line: torch.Tensor, length: int, steps: int, cache: Any) -> tuple[float, torch.Tensor]:
    """Seconds of the steps, and the logits ``(steps + 1, vocab)`` after `length` tokens and after each step."""
    if cache is None:
        start = time.perf_counter()
        for at in range(length, length + steps):
            network(line[:, : at + 1], use_cache=False, logits_to_keep=1)
        return time.perf_counter() - start, torch.empty(0)
    found = [network(line[:, :length], past_key_values=cache, use_cache=True, logits_to_keep=1).logits[0, -1]]
    start = time.perf_counter()
    for at in range(length, length + steps):
        found.append(network(line[:, at : at + 1], past_key_values=cache, use_cache=True).logits[0, -1])
    return time.perf_counter() - start, torch.stack(found).float()


def _perplexity(logits: torch.Tensor, ids: torch.Tensor) -> float:
    return math.exp(torch.nn.functional.cross_entropy(logits, ids).item())


def networks(found: Mapping[str, Any], lengths: Sequence[int], rounds: int, dtype: str | None) -> Rows:
    """Each network at each length, forward and as a training step without the optimizer, one sequence at a time."""
    rows: Rows = []
    models = {name: built(network, dtype) for name, network in found.items()}
    for length in lengths:
        forward: dict[str, list[float]] = {name: [] for name in models}
        training: dict[str, list[float]] = {name: [] for name in models}
        for turn in range(rounds + 1):  # the first warms up
            report(f"length {length}", turn, rounds)
            for name, model in models.items():
                ids = torch.arange(length)[None] % model.config.vocab_size
                start = time.perf_counter()
                with torch.no_grad():
                    model(ids, use_cache=False)
                middle = time.perf_counter()
                model.train()(ids, labels=ids, use_cache=False).loss.backward()
                end = time.perf_counter()
                model.eval().zero_grad()
                if turn:
                    forward[name].append(middle - start)
                    training[name].append(end - middle)
        rows += [
            {
                "network": name,
                "length": length,
                "parameters": model.num_parameters(),
                "forward tokens/s": length / statistics.median(forward[name]),
                "training tokens/s": length / statistics.median(training[name]),
            }
            for name, model in models.items()
        ]
    return rows


@torch.no_grad()
def experts(network: Any, texts: Mapping[str, torch.Tensor], tokens: int = 512) -> Rows:
    """The share of a layer's choices that each expert gets from the first `tokens` tokens of each text."""
    modules = {name: m for name, m in network.named_modules() if name.rpartition(".")[2] == "experts"}
    if not modules:
        raise ConfigError("the network has no experts", hint="use block.moe as ffn of its layers")
    rows: Rows = []
    for text, ids in texts.items():
        chosen: dict[str, torch.Tensor] = {}
        handles = [module.register_forward_pre_hook(_noting(chosen, name)) for name, module in modules.items()]
        try:
            network(ids[None, :tokens], use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        for layer, (name, index) in enumerate(chosen.items()):
            count = int(getattr(modules[name], "num_experts", 0)) or len(modules[name])
            loads = index.bincount(minlength=count + 1)[:count]  # the last stands for a choice that was dropped
            rows += [
                {"text": text, "layer": layer, "expert": expert, "share": load / max(1, len(index))}
                for expert, load in enumerate(loads.tolist())
            ]
    return rows


def _noting(chosen: dict[str, torch.Tensor], name: str) -> Any:
    def note(module: Any, given: Any) -> None:
        chosen[name] = given[1].flatten()

    return note


def cell(value: Any) -> str:
    if value is None:
        return "?"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def draw(rows: Rows, place: Path) -> None:
    """The figures: a panel for each, a line for each name over length, or bars where there is no length."""
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    keys = list(rows[0])
    label = keys[0]
    figures = [key for key in keys[1:] if key not in ("length", "parameters", "layer", "expert", "weights")]
    figure = Figure(figsize=(4.5 * len(figures), 3.5), layout="constrained")
    for axes, key in zip(figure.subplots(1, len(figures), squeeze=False)[0], figures, strict=True):
        for name in dict.fromkeys(row[label] for row in rows):
            mine = [row for row in rows if row[label] == name and row[key] is not None]
            if "length" in keys:
                axes.plot([row["length"] for row in mine], [row[key] for row in mine], marker="o", label=name)
                axes.set_xlabel("length")
            else:
                names = [f"{row['layer']}.{row['expert']}" if "expert" in keys else name for row in mine]
                axes.plot(names, [row[key] for row in mine], "o", label=name)
        axes.set_title(key)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(place, dpi=120)
