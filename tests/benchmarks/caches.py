"""Key-value caches: exactness, speed against no cache, bytes and quality of quantised ones, windows, pages.

    python tests/benchmarks/caches.py --data DIR [--cache DIR] [--only NAME]        (or DOUGONG_DATA)

Figures of quality are of a small Llama over bytes, trained here on WikiText-2 for five minutes; `--cache` keeps it.
hqq and optimum-quanto, where installed, are transformers' own quantised caches. `--only`: exact, speed, quantized,
sliding, paged. One thread.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from _bench import data, row, side_by_side, skipped
from _bytes_llama import LONG, tokens, trained
from dougong import make
from transformers import Cache, DynamicCache, LlamaConfig, LlamaForCausalLM, QuantizedCache

PROMPT, NEW = 32, 1000
LOSSLESS: dict[str, dict[str, Any]] = {
    "dynamic": {},
    "static": {"tokens": PROMPT + NEW},
    "sliding": {"window": PROMPT + NEW},
    "paged": {},
}


def llama(spread: float = 0.02) -> LlamaForCausalLM:
    """Seven million random weights; 0.02 is the standard deviation that transformers draws them with."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=1000,
        hidden_size=256,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=4,
        intermediate_size=688,
        max_position_embeddings=4096,
        initializer_range=spread,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config).eval()


def build(network: Any, name: str, **params: Any) -> Cache:
    return make(f"cache.{name}", **params).build(network)


def held_bytes(cache: Cache) -> int:
    """Bytes of every storage that the layers of `cache` hold, each counted once."""
    found: dict[int, int] = {}

    def visit(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            found[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        elif hasattr(value, "codes"):  # of cache.quantized
            for part in (value.codes, value.scale, value.zero):
                visit(part)

    for layer in cache.layers:
        for value in vars(layer).values():
            visit(value)
    return sum(found.values())


def read(network: Any, cache: Cache | None, ids: torch.Tensor, piece: int) -> torch.Tensor:
    """Nats of each byte of `ids` but the first, ``(batch, length - 1)``, read in pieces through `cache`."""
    found = []
    for at in range(0, ids.shape[1], piece):
        logits = network(ids[:, at : at + piece], past_key_values=cache, use_cache=True).logits
        wanted = ids[:, at + 1 : at + piece + 1]
        found.append(
            torch.nn.functional.cross_entropy(logits[:, : wanted.shape[1]].transpose(1, 2), wanted, reduction="none")
        )
    return torch.cat(found, 1)


# ---------------------------------------------------------------- exact


def exact() -> None:
    """Logits are compared where weights are drawn as usual; tokens also where they are drawn so widely that no token
    comes twice in a row, and every weight shows."""
    ids = torch.randint(1, 1000, (2, PROMPT), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    ids[1, :11], mask[1, :11] = 0, 0
    made = {"max_new_tokens": NEW, "do_sample": False, "eos_token_id": None, "disable_compile": True}
    for spread in (0.02, 0.06):
        network, head = llama(spread), f"weights of {spread}"
        for name, params in LOSSLESS.items():
            cache = build(network, name, **params)
            given = {"attention_mask": mask, "output_logits": True, "return_dict_in_generate": True}
            said = network.generate(ids, past_key_values=cache, **given, **made)
            # What the network says without a cache, had it said the same so far.
            whole = torch.cat([mask, torch.ones(2, NEW, dtype=torch.long)], 1)
            positions = (whole.cumsum(1) - 1).clamp(min=0)
            plain = network(said.sequences, attention_mask=whole, position_ids=positions, use_cache=False).logits
            plain = plain[:, PROMPT - 1 : -1]
            apart = (torch.stack(said.logits, 1) - plain).abs().max().item()
            barred = spread == 0.02
            row(f"{name}, {head}: largest difference of logits from no cache, {NEW} tokens, left padding", apart, "",
                bar="<= 1e-5" * barred, holds=apart <= 1e-5 if barred else None)  # fmt: skip
            found = said.sequences[:, PROMPT:]
            same, variety = (plain.argmax(-1) == found).double().mean().item(), len(set(found.flatten().tolist()))
            row(f"{name}, {head}: greedy tokens equal, {variety} different ones", same, "", bar="1", holds=same == 1)
            beams = {**made, "max_new_tokens": 60, "num_beams": 4}
            wanted = network.generate(ids, attention_mask=mask, use_cache=False, **beams)
            cache = build(network, name, **params)
            found = network.generate(ids, attention_mask=mask, past_key_values=cache, **beams)
            row(f"{name}, {head}: four beams give equal tokens", float(torch.equal(found, wanted)), "", bar="1",
                holds=torch.equal(found, wanted))  # fmt: skip


# ---------------------------------------------------------------- speed


def speed() -> None:
    """The cost of a step is measured at five lengths, medians of five, and summed over the steps between."""
    network = llama()
    ids = torch.randint(1, 1000, (1, PROMPT + NEW + 60), generator=torch.Generator().manual_seed(1))
    at = [PROMPT + NEW * part // 4 for part in range(5)]
    contenders = {"none": None, **LOSSLESS, "quantized": {}}
    contenders["static"] = {"tokens": PROMPT + NEW + 60}
    contenders["sliding"] = {"window": 256}
    cost: dict[str, list[float]] = {name: [] for name in contenders}
    for length in at:
        steps: dict[str, Callable[[], Any]] = {"none": lambda length=length: network(ids[:, :length], use_cache=False)}
        for name, params in contenders.items():
            if params is not None:
                cache = build(network, name, **params)
                network(ids[:, : length - 1], past_key_values=cache)
                steps[name] = lambda cache=cache, length=length: network(
                    ids[:, length : length + 1], past_key_values=cache
                )
        for name, seconds in side_by_side(steps).items():
            cost[name].append(seconds)
    for name in cost:
        for upto in (1, 2, 4):
            total = {
                who: sum((a + b) / 2 for a, b in pairwise(costs[: upto + 1])) * NEW / 4 for who, costs in cost.items()
            }
            ratio = total["none"] / total[name]
            barred = upto == 4 and name in LOSSLESS
            row(f"{name}: {NEW * upto // 4} tokens", NEW * upto / 4 / total[name], "tokens/s", against="no cache",
                ratio=ratio, bar=">= 10" if barred else "", holds=ratio >= 10 if barred else None)  # fmt: skip


# ---------------------------------------------------------------- quantized

FORMATS = {"int8": (0.55, 1.001), "fp8": (0.55, 1.01), "int4": (0.32, 1.01)}


def quantized(network: LlamaForCausalLM, text: torch.Tensor) -> None:
    config = network.config
    of_half = 2 * 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * LONG
    one = text[None, :LONG]
    for dtype in (torch.float16, torch.float32):
        network.to(dtype)
        for name, (bar, _) in FORMATS.items():
            cache = build(network, "quantized", format=name)
            network(one, past_key_values=cache, logits_to_keep=1)
            share = held_bytes(cache) / of_half
            barred = dtype == torch.float16
            row(f"{name}: bytes at {LONG} tokens of a network in {str(dtype)[6:]}", held_bytes(cache), "bytes",
                against="FP16", ratio=share, bar=f"<= {bar}" * barred,
                holds=share <= bar if barred else None)  # fmt: skip
    network.to(torch.float32)
    several = text[: 4 * LONG].view(4, LONG)
    plain = read(network, DynamicCache(config=config), several, 16).mean().item()
    row("full precision: perplexity a byte", math.exp(plain), "")
    whole = network(several[:1, :1024], labels=several[:1, :1024]).loss.item()
    row("full precision, 1,024 bytes in one piece: perplexity a byte", math.exp(whole), "")
    for name, (_, bar) in FORMATS.items():
        nats = read(network, build(network, "quantized", format=name), several, 16).mean().item()
        ratio = math.exp(nats - plain)
        row(f"{name}: perplexity over {LONG} bytes, sixteen at a time", math.exp(nats), "", against="full precision",
            ratio=ratio, bar=f"<= {bar}", holds=ratio <= bar)  # fmt: skip
    # How much that says: the same with no residual window, and with all but the last 64 bytes forgotten.
    for name, cache in {
        "int4, residual 0": build(network, "quantized", format="int4", residual=0),
        "no more than 64 bytes": build(network, "sliding", window=64, sinks=0),
    }.items():
        nats = read(network, cache, several, 16).mean().item()
        row(f"{name}: perplexity", math.exp(nats), "", against="full precision", ratio=math.exp(nats - plain))

    caches: dict[str, Cache] = {f"ours {name}": build(network, "quantized", format=name) for name in FORMATS}
    theirs = {"quanto int4": ("quanto", 4, 0), "hqq int8": ("hqq", 8, 1), "hqq int4": ("hqq", 4, 1)}
    for name, (backend, bits, axis) in theirs.items():
        try:
            caches[name] = QuantizedCache(
                backend, config, nbits=bits, axis_key=axis, axis_value=axis, q_group_size=64, residual_length=128
            )
        except ImportError:
            skipped(f"{name}: transformers' quantised cache", f"{backend} is not installed")
    try:
        caches["transformers fp8"] = QuantizedCache("fp8", config)
    except (ImportError, ValueError) as error:
        skipped("transformers fp8", str(error))
    caches["dynamic"] = DynamicCache(config=config)
    for cache in caches.values():
        network(one, past_key_values=cache, logits_to_keep=1)

    def steps(cache: Cache) -> None:
        for _ in range(128):  # as many as their residual window: each pays for quantising it once
            network(one[:, :1], past_key_values=cache)

    seconds = side_by_side({name: lambda cache=cache: steps(cache) for name, cache in caches.items()}, 5)
    for ours, peers in (("int8", ["hqq int8"]), ("int4", ["hqq int4", "quanto int4"]), ("fp8", ["transformers fp8"])):
        for peer in peers:
            if peer in seconds:
                ratio = seconds[f"ours {ours}"] / seconds[peer]
                row(f"{ours}: a token after {LONG}", seconds[f"ours {ours}"] / 128 * 1e3, "ms", against=peer,
                    ratio=ratio, bar="<= 1", holds=ratio <= 1)  # fmt: skip
        ratio = seconds[f"ours {ours}"] / seconds["dynamic"]
        row(f"{ours}: a token after {LONG}", seconds[f"ours {ours}"] / 128 * 1e3, "ms", against="dynamic", ratio=ratio)


# ---------------------------------------------------------------- sliding


def sliding(network: LlamaForCausalLM, text: torch.Tensor) -> None:
    total, sinks, batch, stride = 256, 4, 4, 5
    ids = text[: batch * 10 * total].view(batch, -1)
    at = torch.arange(2 * total, ids.shape[1] - 1, stride)  # the byte after each of these is foretold
    wanted = []
    for end in at.tolist():
        logits = network(ids[:, end + 1 - total : end + 1], logits_to_keep=1).logits[:, -1]
        wanted.append(torch.nn.functional.cross_entropy(logits, ids[:, end + 1], reduction="none"))
    recomputed = torch.stack(wanted, 1).mean().item()
    row(f"the last {total} tokens recomputed for each: perplexity a byte", math.exp(recomputed), "")
    cases = {f"{sinks} sinks": (total - sinks, sinks), "no sinks": (total, 0)}
    for name, (window, first) in cases.items():
        cache = build(network, "sliding", window=window, sinks=first)
        nats, sizes = [], []
        for window_of_text in range(10):
            piece = ids[:, window_of_text * total : (window_of_text + 1) * total + 1]
            if window_of_text < 9:
                nats.append(read_next(network, cache, piece))
            else:
                nats.append(read_next(network, cache, piece, last=True))
            sizes.append(held_bytes(cache))
        found = torch.cat(nats, 1)[:, at].mean().item()
        ratio = math.exp(found - recomputed)
        row(f"{name}: perplexity over 10 windows of {total}", math.exp(found), "", against="recomputed window",
            ratio=ratio, bar="<= 1.05" if first else "", holds=ratio <= 1.05 if first else None)  # fmt: skip
        grown = sizes[-1] / sizes[1]
        row(f"{name}: bytes after 10 windows", sizes[-1], "bytes", against="after 2 windows", ratio=grown,
            bar="1", holds=grown == 1)  # fmt: skip
    full = read(network, DynamicCache(config=network.config), ids, 64)[:, at].mean().item()
    row("everything kept: perplexity a byte", math.exp(full), "", against="recomputed window",
        ratio=math.exp(full - recomputed))  # fmt: skip


def read_next(network: Any, cache: Cache, piece: torch.Tensor, last: bool = False) -> torch.Tensor:
    """Nats of each byte after the first of `piece`, one token a step."""
    found = []
    for at in range(piece.shape[1] - 1):
        logits = network(piece[:, at : at + 1], past_key_values=cache).logits[:, -1]
        found.append(torch.nn.functional.cross_entropy(logits, piece[:, at + 1], reduction="none"))
    return torch.stack(found, 1)


# ---------------------------------------------------------------- paged


def paged() -> None:
    network, random = llama(), torch.Generator().manual_seed(3)
    lengths = torch.randint(64, 1025, (16,), generator=random).tolist()
    ids, mask = torch.zeros(16, 1024, dtype=torch.long), torch.zeros(16, 1024, dtype=torch.long)
    for number, length in enumerate(lengths):
        ids[number, -length:] = torch.randint(1, 1000, (length,), generator=random)
        mask[number, -length:] = 1
    cache = build(network, "paged")
    network(ids, attention_mask=mask, past_key_values=cache, logits_to_keep=1)
    report = cache.report()
    row("paged: waste, 16 sequences of 64 to 1,024 tokens, blocks of 16, bookkeeping included", report.waste, "",
        bar="< 0.04", holds=report.waste < 0.04)  # fmt: skip
    row("the same in a padded batch", 1 - sum(lengths) / 16 / 1024, "")

    prefix = torch.randint(1, 1000, (512,), generator=random)
    tails = [torch.randint(1, 1000, (9 + 4 * number,), generator=random) for number in range(8)]
    longest = 512 + len(tails[-1])
    ids, mask = torch.zeros(8, longest, dtype=torch.long), torch.zeros(8, longest, dtype=torch.long)
    for number, tail in enumerate(tails):
        ids[number, -512 - len(tail) :], mask[number, -512 - len(tail) :] = torch.cat([prefix, tail]), 1
    cache = build(network, "paged")
    made = {"max_new_tokens": 40, "do_sample": False, "eos_token_id": None, "disable_compile": True}
    found = network.generate(ids, attention_mask=mask, past_key_values=cache, **made)
    wanted = network.generate(ids, attention_mask=mask, past_key_values=DynamicCache(config=network.config), **made)
    kept, apart = cache.report().tokens, sum(len(tail) for tail in tails) + 8 * 39
    row("paged: tokens kept, 8 sequences with 512 in common", kept, "tokens", against="512 + what differs",
        ratio=kept / (512 + apart), bar="1", holds=kept == 512 + apart)  # fmt: skip
    row("paged: their tokens equal those of the dynamic cache", float(torch.equal(found, wanted)), "", bar="1",
        holds=torch.equal(found, wanted))  # fmt: skip

    for batch, length in ((1, 256), (1, 1024), (8, 256), (8, 1024)):
        ids = torch.randint(1, 1000, (batch, length), generator=random)
        caches = {"paged": build(network, "paged"), "dynamic": build(network, "dynamic")}
        for each in caches.values():
            network(ids, past_key_values=each, logits_to_keep=1)
        # A step of each in turn: what disturbs the machine for a moment disturbs both.
        times: dict[str, list[float]] = {name: [] for name in caches}
        for _ in range(64):
            for name, each in caches.items():
                start = time.perf_counter()
                network(ids[:, :1], past_key_values=each)
                times[name].append(time.perf_counter() - start)
        mean = {name: statistics.mean(sorted(values)[6:-6]) for name, values in times.items()}
        ratio = mean["paged"] / mean["dynamic"]
        row(f"paged: a step of {batch} sequences of {length}", mean["paged"] * 1e3, "ms", against="dynamic",
            ratio=ratio, bar="<= 1.3", holds=ratio <= 1.3)  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    parser = argparse.ArgumentParser(parents=[])
    parser.add_argument("--data")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--only", choices=["exact", "speed", "quantized", "sliding", "paged"])
    options = parser.parse_args()
    chosen = [options.only] if options.only else ["exact", "speed", "quantized", "sliding", "paged"]
    for part in (exact, speed, paged):
        if part.__name__ in chosen:
            part()
    if {"quantized", "sliding"} & set(chosen) and (folder := data("text")):
        with tempfile.TemporaryDirectory() as temporary, torch.enable_grad():
            network = trained(folder / "wikitext2-valid.txt", options.cache or Path(temporary))
        text = tokens(folder / "wikitext2-test.txt")
        for part in (quantized, sliding):
            if part.__name__ in chosen:
                part(network, text)
