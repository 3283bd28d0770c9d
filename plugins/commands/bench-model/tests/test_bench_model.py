"""What is planned is what is allocated; what is measured is what transformers says."""

from __future__ import annotations

import json
from pathlib import Path

import dougong
import pytest
import torch
from click.testing import CliRunner
from dougong_command_bench_model import command, measure, plan
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

CONFIG = """\
net:
  use: network.decoder
  vocab: 300
  width: 32
  layers: 2
  layer:
    use: transformer
    attention: {use: attention, heads: 4, kv_heads: 2}
    ffn: FFN
exact: {use: cache.dynamic}
small: {use: cache.quantized, format: int8, group: 8, residual: 8}
window: {use: cache.sliding}
"""
FFN = "{use: ffn, inner: 48}"
MOE = "{use: moe, experts: 4, expert: {use: ffn, inner: 24}, router: {use: router-mixtral}}"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    torch.set_num_threads(1)
    place = tmp_path / "c.yaml"
    place.write_text(CONFIG.replace("FFN", FFN))
    return place


def call(*arguments: object) -> list[dict]:
    done = CliRunner().invoke(command, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


class Seven:
    """A network of Llama-2-7B's sizes."""

    def build(self):
        return LlamaForCausalLM(LlamaConfig())


class Exact:
    def build(self, network):
        return DynamicCache(config=network.config)


def test_a_7b_model_keeps_half_a_gigabyte_for_a_thousand_tokens_in_fp16() -> None:
    """2 (keys and values) * 32 layers * 4,096 features * 2 bytes; weights 6.74 billion * 2 bytes."""
    weights = 6_738_415_616 * 2
    (row,) = plan.longest(Seven(), {"exact": Exact()}, weights + 1000 * 524_288 + 5000, "float16")
    assert (row["tokens"], row["bytes"], row["bytes a token"]) == (1000, 524_288_000, 524_288)
    assert weights <= row["weights"] <= weights + 1000  # and the frequencies of the rotation


def test_planned_bytes_are_those_allocated(config: Path) -> None:
    rows = {row["cache"]: row for row in call(config, "--plan", "500kB")}
    assert list(rows) == ["exact", "small", "window"]
    with dougong.load(config) as assembly, torch.no_grad():
        network = assembly["net"].build().eval()
        for name in ("exact", "small"):
            tokens = rows[name]["tokens"]
            cache = assembly[name].build(network)
            network(torch.arange(tokens)[None] % 300, past_key_values=cache, use_cache=True)
            assert plan.stored(cache) == rows[name]["bytes"], name
            assert rows[name]["bytes"] + rows[name]["weights"] <= 500_000
    assert rows["exact"]["bytes a token"] == 2 * 2 * 2 * 8 * 4
    assert rows["small"]["tokens"] > 2.5 * rows["exact"]["tokens"]


def test_a_memory_too_small_for_the_weights_holds_no_token(config: Path) -> None:
    assert {row["tokens"] for row in call(config, "--plan", "1kB")} == {0}


@pytest.mark.parametrize(
    ("text", "size"), [("8GB", 8 * 10**9), ("1.5 MiB", 3 * 2**19), ("500k", 500_000), ("12", 12), ("2tb", 2 * 10**12)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert plan.parse(text) == size


@pytest.mark.parametrize("text", ["", "8XB", "GB", "1.2.3MB", "-1GB"])
def test_what_is_no_size_is_told(text: str) -> None:
    with pytest.raises(dougong.ConfigError, match="is no size"):
        plan.parse(text)


def test_caches_are_measured(config: Path, tmp_path: Path) -> None:
    rows = call(config, "--length", 16, "--length", 40, "--steps", 4, "--rounds", 1, "--plot", tmp_path / "p.png")
    found = {(row["cache"], row["length"]): row for row in rows}
    assert set(found) == {(name, length) for name in ("none", "exact", "small", "window") for length in (16, 40)}
    assert found["exact", 40]["bytes"] == 44 * 256
    assert found["none", 40]["bytes"] == 0
    assert abs(found["exact", 40]["drift %"]) < 1e-3
    assert all(row["tokens/s"] > 0 for row in rows)
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    with dougong.load(config) as assembly, torch.no_grad():
        network = measure.built(assembly["net"], None)
        ids = measure.read(network, (), None)["random"][None, :21]
        logits = network(ids).logits[0, 15:-1]
    wanted = torch.nn.functional.cross_entropy(logits, ids[0, 16:]).exp().item()
    assert found["none", 16]["perplexity"] == pytest.approx(wanted, rel=1e-5)


def test_networks_are_measured(config: Path) -> None:
    (row,) = call(config, "--networks", "--length", 8, "--rounds", 1)
    assert row["network"] == "net"
    assert row["forward tokens/s"] > 0
    assert row["training tokens/s"] > 0


def test_the_load_of_experts_is_what_the_router_chose(config: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    config.write_text(CONFIG.replace("FFN", MOE))
    words = {chr(97 + n): n for n in range(26)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "t.json"))
    for name, letters in (("one", "abcdefghijklm"), ("two", "nopqrstuvwxyz")):
        (tmp_path / f"{name}.txt").write_text(" ".join(letters))
    texts = ("--text", f"first={tmp_path / 'one.txt'}", "--text", tmp_path / "two.txt")
    rows = call(config, "--experts", *texts, "--tokenizer", tmp_path / "t.json")
    assert {row["text"] for row in rows} == {"first", "two"}
    with dougong.load(config) as assembly, torch.no_grad():
        network = measure.built(assembly["net"], None)
        logits = network(torch.arange(13)[None], output_router_logits=True).router_logits
    for layer, of in enumerate(logits):
        chosen = of.reshape(-1, 4).topk(2).indices.flatten().bincount(minlength=4) / 26
        found = [row["share"] for row in rows if row["text"] == "first" and row["layer"] == layer]
        assert found == pytest.approx(chosen.tolist())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--network", "nowhere"], "no network 'nowhere'"),
        (["--experts"], "no experts"),
        (["--text", "x.txt"], "read by a tokenizer"),
        (["--length", "70000"], "lower --length"),
    ],
)
def test_what_cannot_be_measured_is_told(config: Path, arguments: list[str], told: str) -> None:
    with pytest.raises(dougong.DougongError) as caught:
        CliRunner().invoke(command, [str(config), *arguments], catch_exceptions=False)
    assert told in str(caught.value)
