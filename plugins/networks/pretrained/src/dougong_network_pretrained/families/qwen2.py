"""Yang et al. 2024: Llama's names; query, key and value have biases, the output has none."""

from typing import Any

from dougong_network_pretrained.families.llama import IGNORED, KEYS, NETWORK, attention, decoder, in_turn, unlike

__all__ = ["IGNORED", "KEYS", "NETWORK", "tree", "unlike"]


def tree(config: Any) -> dict[str, Any]:
    ffn = {"use": "block.ffn", "inner": config.intermediate_size, "activation": config.hidden_act}
    return decoder(config, in_turn(config, attention(config, bias="qkv")), ffn)
