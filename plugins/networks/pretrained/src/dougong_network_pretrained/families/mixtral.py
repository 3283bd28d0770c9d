"""Jiang et al. 2024: Mistral with experts. w1, w3 and w2 are the gate, what it multiplies, and the way back."""

from typing import Any

from dougong_network_pretrained.families.llama import IGNORED, NETWORK, attention, decoder, in_turn
from dougong_network_pretrained.families.llama import unlike as unlike_llama

__all__ = ["IGNORED", "KEYS", "NETWORK", "tree", "unlike"]
KEYS = [
    (".block_sparse_moe.", ".mlp."),
    (r"experts\.(\d+)\.w1\.", r"experts.\1.gate_proj."),
    (r"experts\.(\d+)\.w3\.", r"experts.\1.up_proj."),
    (r"experts\.(\d+)\.w2\.", r"experts.\1.down_proj."),
]


def tree(config: Any) -> dict[str, Any]:
    # Theirs is one loss over all layers, wanted where router logits are; blocks have one each, which is Switch's.
    balance = config.router_aux_loss_coef / config.num_hidden_layers if config.output_router_logits else 0.0
    moe = {
        "use": "block.moe",
        "experts": config.num_local_experts,
        "router": {"use": "block.router-mixtral", "k": config.num_experts_per_tok, "balance": balance},
        "expert": {"use": "block.ffn", "inner": config.intermediate_size, "activation": config.hidden_act},
    }
    return decoder(config, in_turn(config, attention(config)), moe)


def unlike(config: Any) -> dict[str, bool]:
    return unlike_llama(config) | {"router_jitter_noise": bool(config.router_jitter_noise)}
