"""Gu and Dao 2023: layers of one mixer each. Our mixer's parts have its names."""

from typing import Any

NETWORK = "network.decoder"
TRAINS_PAD = True  # padding was an ordinary token to it
KEYS = [
    ("^backbone.", "model."),
    ("^model.embeddings.", "model.embed_tokens."),
    ("^model.norm_f.", "model.norm."),
]
IGNORED: list[str] = []


def tree(config: Any) -> dict[str, Any]:
    norm = {"use": "block.rmsnorm", "eps": config.layer_norm_epsilon}
    mixer = {
        "use": "block.mamba",
        "state": config.state_size,
        "expand": config.expand,
        "conv": config.conv_kernel,
        "dt_rank": config.time_step_rank,
        "conv_bias": config.use_conv_bias,
        "bias": config.use_bias,
    }
    layer = {"use": "block.mamba-layer", "mixer": mixer, "norm": norm}
    return {"layers": config.num_hidden_layers, "norm": norm, "layer": layer}


def unlike(config: Any) -> dict[str, bool]:
    return {f"activation {config.hidden_act}": config.hidden_act != "silu"}
