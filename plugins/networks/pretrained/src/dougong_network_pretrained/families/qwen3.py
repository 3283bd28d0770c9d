"""Yang et al. 2025: Llama's names; a norm over each head's query and key."""

from typing import Any

from dougong_network_pretrained.families.llama import IGNORED, KEYS, NETWORK, attention, decoder, in_turn, unlike

__all__ = ["IGNORED", "KEYS", "NETWORK", "tree", "unlike"]


def tree(config: Any) -> dict[str, Any]:
    ffn = {"use": "block.ffn", "inner": config.intermediate_size, "activation": config.hidden_act}
    norm = {"use": "block.rmsnorm", "eps": config.rms_norm_eps}
    bias = "all" if config.attention_bias else "none"
    return decoder(config, in_turn(config, attention(config, qk_norm=norm, bias=bias)), ffn)
