"""What dougong bench-model says of a 7B model's cache, and planned bytes beside allocated ones."""

from __future__ import annotations

import dougong
import torch
from _bench import row
from dougong_command_bench_model import plan
from transformers import LlamaConfig, LlamaForCausalLM

LAYER = {
    "use": "transformer",
    "attention": {"use": "attention", "heads": 8, "kv_heads": 4},
    "ffn": {"use": "ffn", "inner": 344},
}
CACHES = {"dynamic": {}, "quantized": {"format": "int8"}}


class Seven:
    """A network of Llama-2-7B's sizes; only its shapes are made."""

    def build(self) -> LlamaForCausalLM:
        return LlamaForCausalLM(LlamaConfig())


def main() -> None:
    torch.set_num_threads(1)
    memory = 24 * 10**9
    for row_ in plan.longest(Seven(), {"dynamic": dougong.make("cache.dynamic")}, memory, "float16"):
        rate = row_["bytes a token"]
        row("bench-model: Llama-2-7B, float16, 1,000 tokens", rate / 1e6, "GB", bar="0.524", holds=rate == 524_288)
        row("bench-model: Llama-2-7B, float16, context in 24 GB", row_["tokens"], "tokens")
    network = dougong.make("network.decoder", vocab=512, width=128, layers=4, layer=LAYER)
    caches = {name: dougong.make(f"cache.{name}", **params) for name, params in CACHES.items()}
    model = network.build().eval()
    for found in plan.longest(network, caches, 10 * 10**6, None):
        cache, tokens = caches[found["cache"]].build(model), found["tokens"]
        with torch.no_grad():
            model(torch.arange(tokens)[None] % 512, past_key_values=cache, use_cache=True, logits_to_keep=1)
        ratio = found["bytes"] / plan.stored(cache)
        name = f"bench-model: {found['cache']}, planned bytes of {tokens} tokens"
        row(name, found["bytes"], "bytes", against="allocated", ratio=ratio, bar="1", holds=ratio == 1)


if __name__ == "__main__":
    main()
