"""llm.transformers beside transformers' own generate, and how often a random network's calls and replies are valid.

    python tests/benchmarks/llm_transformers.py

Needs no data and no network: the weights are random, so every figure is of speed or of form, none of quality. CPU, one
thread. The peer streams by `TextIteratorStreamer` and a thread, as transformers' documentation shows.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import jsonschema
import torch
from _bench import row, side_by_side
from dougong import Message, Sampling, make, tool
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers import TextIteratorStreamer as Streamer

TOKENS, CHATS = 32, 8
SIZES = {"tiny": (64, 2, 176), "22M": (384, 8, 1024), "69M": (640, 10, 1792)}  # width, layers, inner
TEXTS = ["Refunds take one week after the parcel arrives. 退款需要一周。屋檐的重量由斗拱传给柱子。"] * 4
ASKED = [
    (Message("user", f"{'How long do refunds take? 多久？ ' * (1 + number % 4)}{number}"),) for number in range(CHATS)
]
SCHEMA = {
    "type": "object",
    "properties": {
        "answer": {"type": "string", "minLength": 1},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "sources": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
        "语言": {"enum": ["中文", "English"]},
    },
    "required": ["answer", "confidence", "sources", "语言"],
    "additionalProperties": False,
}


@tool
def weather(city: str, days: int = 1) -> str:
    """The weather of a city. 城市天气。"""
    return f"{city}: {days}"


@tool
def refund(order: str, reason: str, whole: bool) -> str:
    """Give money back. 退款。"""
    return f"{order} {reason} {whole}"


TOOLS: Sequence[Any] = (weather, refund)


def checkpoint(folder: Path, width: int, layers: int, inner: int) -> Path:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=400, initial_alphabet=alphabet, special_tokens=["<|im_end|>"], show_progress=False
        ),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|im_end|>")
    # A vocabulary of usual size: its logits are a good part of the work.
    vocabulary = 400 if width < 100 else 16000
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        num_key_value_heads=width // 64,
        intermediate_size=inner,
        bos_token_id=None,
        eos_token_id=None,
        initializer_range=0.05,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def ours(llm: Any, asked: Sequence[Any]) -> None:
    """Chats at once, each on a thread of its own."""
    threads = [threading.Thread(target=lambda one=one: list(llm.chat(one))) for one in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def theirs(network: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], at_once: bool) -> None:
    """generate on a thread, text by TextIteratorStreamer; chats one after another, or all threads at once."""

    def one(prompt: Sequence[int]) -> None:
        streamer, given = Streamer(tokenizer, skip_prompt=True, skip_special_tokens=True), torch.tensor([list(prompt)])
        settings = {"max_new_tokens": TOKENS, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
        work = threading.Thread(
            target=network.generate,
            kwargs={"input_ids": given, "attention_mask": torch.ones_like(given), "streamer": streamer, **settings},
        )
        work.start()
        for _ in streamer:
            pass
        work.join()

    if not at_once:
        for prompt in prompts:
            one(prompt)
        return
    threads = [threading.Thread(target=one, args=(prompt,)) for prompt in prompts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def speed(name: str, folder: Path) -> None:
    endless = {"max_tokens": TOKENS, "device": "cpu"}
    llm = make("llm.transformers", folder=folder, **endless)
    model = getattr(llm, "_inner", llm)
    model._ends = frozenset()  # random weights would end at random; both sides write all their tokens
    prompts = [model._prompter.tokens(asked, (), None) for asked in ASKED]
    network = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = model._tokenizer
    plain = make("llm.transformers", folder=folder, **endless, batch=1)
    getattr(plain, "_inner", plain)._ends = frozenset()
    runs: dict[str, Callable[[], Any]] = {
        "one chat": lambda: ours(llm, ASKED[:1]),
        "one chat, theirs": lambda: theirs(network, tokenizer, prompts[:1], False),
        "batched": lambda: ours(llm, ASKED),
        "in turn": lambda: ours(plain, ASKED),
        "theirs in turn": lambda: theirs(network, tokenizer, prompts, False),
        "theirs on threads": lambda: theirs(network, tokenizer, prompts, True),
    }
    for run in runs.values():
        run()
    seconds = side_by_side(runs)
    per = {key: (1 if key.startswith("one") else CHATS) * TOKENS / value for key, value in seconds.items()}
    against = "generate + TextIteratorStreamer"
    row(
        f"{name}: one chat",
        per["one chat"],
        "tokens/s",
        against=against,
        ratio=per["one chat"] / per["one chat, theirs"],
    )
    best = max(("theirs in turn", "theirs on threads"), key=per.__getitem__)
    row(f"{name}: {CHATS} chats at once, batch 8", per["batched"], "tokens/s", against=f"{against}, {best[7:]}",
        ratio=per["batched"] / per[best])  # fmt: skip
    row(f"{name}: {CHATS} chats at once, batch 1", per["in turn"], "tokens/s", against="batch 8",
        ratio=per["in turn"] / per["batched"])  # fmt: skip


def form(folder: Path) -> None:
    llm = make("llm.transformers", folder=folder, max_tokens=200, tool_choice="required", device="cpu")
    good, names = 0, set()
    for seed in range(40):
        deltas = list(llm.chat(ASKED[0], tools=TOOLS, sampling=Sampling(temperature=1.0, seed=seed)))
        calls = [call for delta in deltas for call in delta.tool_calls]
        names |= {call.name for call in calls}
        good += bool(calls) and not any(
            one.call(call.arguments).error for call in calls for one in TOOLS if one.name == call.name
        )
    row(f"valid tool calls of a random network, {len(names)} tools called", good, "of 40", bar="40", holds=good == 40)
    good = 0
    for seed in range(40):
        text = "".join(d.text for d in llm.chat(ASKED[0], schema=SCHEMA, sampling=Sampling(temperature=1.0, seed=seed)))
        try:
            jsonschema.validate(json.loads(text), SCHEMA)
            good += 1
        except (ValueError, jsonschema.ValidationError):
            pass
    row("replies of a random network that satisfy the schema", good, "of 40", bar="40", holds=good == 40)
    free = make("llm.transformers", folder=folder, max_tokens=200, device="cpu")
    getattr(free, "_inner", free)._ends = frozenset()
    tokens = {"free": 0, "held": 0}

    def write(key: str, **request: Any) -> None:
        for seed in range(4):
            sampling = Sampling(temperature=1.0, seed=seed)
            tokens[key] = tokens[key] + list(free.chat(ASKED[0], sampling=sampling, **request))[-1].usage.output_tokens

    seconds = {"free": 0.0, "held": 0.0}
    for _ in range(5):
        for key, request in (("free", {}), ("held", {"schema": {"type": "array", "items": {"type": "string"}}})):
            start = time.perf_counter()
            write(key, **request)
            seconds[key] += time.perf_counter() - start
    speeds = {key: tokens[key] / seconds[key] for key in tokens}
    row("tiny: held to a schema", speeds["held"], "tokens/s", against="free", ratio=speeds["held"] / speeds["free"])


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name, sizes in SIZES.items():
        with tempfile.TemporaryDirectory() as place:
            folder = checkpoint(Path(place), *sizes)
            if name == "tiny":
                form(folder)
            speed(name, folder)


if __name__ == "__main__":
    main()
