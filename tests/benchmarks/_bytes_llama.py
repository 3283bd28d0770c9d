"""A small Llama over bytes, trained on WikiText-2's validation text for at most five minutes and kept in a folder: what
figures about quality are measured on. Its test text is never seen in training."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

SECONDS, LONG, SHORT = 290, 4096, 512
SHARE_SHORT = 0.7  # of the time is spent on short pieces, the rest on pieces as long as those that are measured


def tokens(file: Path) -> torch.Tensor:
    """The bytes of `file`, ``(length,)``."""
    return torch.frombuffer(bytearray(file.read_bytes()), dtype=torch.uint8).long()


def trained(text: Path, cache: Path) -> LlamaForCausalLM:
    """The network, out of `cache` where it is; else it is trained on `text` and put there."""
    place = cache / "bytes-llama"
    if not (place / "model.safetensors").exists():
        _train(tokens(text)).save_pretrained(place)
    return LlamaForCausalLM.from_pretrained(place).eval()


def _train(data: torch.Tensor) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=256,
        hidden_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=688,
        max_position_embeddings=2 * LONG,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    network = LlamaForCausalLM(config).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, betas=(0.9, 0.95), weight_decay=0.1)
    start, step = time.monotonic(), 0
    while (spent := (time.monotonic() - start) / SECONDS) < 1:
        length = SHORT if spent < SHARE_SHORT else LONG
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 50) * (0.55 + 0.45 * math.cos(math.pi * spent))
        at = torch.randint(0, len(data) - length, (LONG // length,))
        batch = torch.stack([data[i : i + length] for i in at])
        loss = network(batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        if step % 20 == 0:
            print(f"step {step}, {spent:.0%}: loss {loss.item():.3f} nats a byte", file=sys.stderr, flush=True)
    return network
