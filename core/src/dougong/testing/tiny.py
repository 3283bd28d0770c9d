"""A small real network for the suites of caches, adapters and objectives. Imports torch and transformers."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before transformers is imported

import torch
from transformers import LlamaConfig, LlamaForCausalLM

VOCAB, PAD = 37, 0


def seeded(network: Any, seed: int = 5) -> Any:
    """`network` in evaluation mode, with weights far enough from zero that every part of it shows in the logits."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        value = torch.randn(parameter.shape, generator=generator)
        parameter.data.copy_(1 + 0.1 * value if parameter.ndim == 1 else 0.3 * value)
    return network.eval()


def llama(**changes: Any) -> Any:
    """A Llama of two layers over `VOCAB` tokens, always with the same weights."""
    settings: dict[str, Any] = {
        "vocab_size": VOCAB,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 128,
        "pad_token_id": PAD,
        "bos_token_id": 1,
        "eos_token_id": None,
    }
    return seeded(LlamaForCausalLM(LlamaConfig(**settings | changes)))


def tokens(batch: int, length: int, seed: int = 1, vocab: int = VOCAB) -> torch.Tensor:
    """Token ids ``(batch, length)``; none is padding."""
    return torch.randint(3, vocab, (batch, length), generator=torch.Generator().manual_seed(seed))


def padded(ids: torch.Tensor, left: tuple[int, ...], pad: int = PAD) -> dict[str, torch.Tensor]:
    """Rows of `ids`, each without its first tokens: `left` says how many are padding instead."""
    ids, mask = ids.clone(), torch.ones_like(ids)
    for row, length in enumerate(left):
        ids[row, :length], mask[row, :length] = pad, 0
    return {"input_ids": ids, "attention_mask": mask}


def greedy(network: Any, inputs: dict[str, torch.Tensor], count: int, **settings: Any) -> torch.Tensor:
    """`count` tokens after each row, ``(batch, count)``, by the network's own generate."""
    quiet = {"max_new_tokens": count, "do_sample": False, "eos_token_id": None, "disable_compile": True}
    with torch.no_grad():
        found = network.generate(**inputs, **quiet | settings)
    return found[:, -count:]  # of an encoder-decoder it begins with the start token, not with the input
