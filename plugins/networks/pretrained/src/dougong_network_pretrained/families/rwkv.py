"""Peng et al. 2023, RWKV-4, which is the version that transformers has. Our mixings' parts have its names."""

from typing import Any

NETWORK = "network.decoder"
TRAINS_PAD = True  # padding was an ordinary token to it
KEYS = [
    ("^rwkv.blocks.0.pre_ln.", "model.embed_norm."),
    ("^rwkv.blocks.", "model.layers."),
    ("^rwkv.embeddings.", "model.embed_tokens."),
    ("^rwkv.ln_out.", "model.norm."),
    ("^head.", "lm_head."),
    (r"(\d+)\.attention\.", r"\1.self_attn."),
    (r"(\d+)\.feed_forward\.", r"\1.mlp."),
    (r"(\d+)\.ln1\.", r"\1.input_layernorm."),
    (r"(\d+)\.ln2\.", r"\1.post_attention_layernorm."),
]
IGNORED: list[str] = []


def tree(config: Any) -> dict[str, Any]:
    norm = {"use": "block.layernorm", "eps": config.layer_norm_epsilon}
    return {
        "layers": config.num_hidden_layers,
        "max_positions": config.context_length,
        "embed_norm": norm,
        "norm": {"use": "block.layernorm", "eps": 1e-5},  # whatever the config says of the others
        "layer": {
            "use": "block.transformer",
            "norm": norm,
            "attention": {"use": "block.rwkv4", "inner": config.attention_hidden_size},
            "ffn": {"use": "block.rwkv4-channel", "inner": config.intermediate_size},
        },
    }


def unlike(config: Any) -> dict[str, bool]:
    return {}
