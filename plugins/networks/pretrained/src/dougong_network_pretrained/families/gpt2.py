"""Radford et al. 2019. Its maps are Conv1D, inputs first; query, key and value are one matrix."""

from typing import Any

NETWORK = "network.decoder"
TRAINS_PAD = True  # padding was an ordinary token to it
KEYS = [
    ("^transformer.", "model."),
    ("ln_f.", "norm."),
    (r"h\.(\d+)\.", r"layers.\1."),
    ("wte.", "embed_tokens."),
    ("wpe.", "positions.table."),
    ("ln_1.", "input_layernorm."),
    ("ln_2.", "post_attention_layernorm."),
    ("attn.c_proj.bias", "self_attn.o_proj.bias"),
    ("mlp.c_fc.bias", "mlp.up_proj.bias"),
    ("mlp.c_proj.bias", "mlp.down_proj.bias"),
    ("attn.c_attn.weight", [f"self_attn.{x}_proj.weight" for x in "qkv"], "transposed-split"),
    ("attn.c_attn.bias", [f"self_attn.{x}_proj.bias" for x in "qkv"], "split"),
    ("attn.c_proj.weight", "self_attn.o_proj.weight", "transposed"),
    ("mlp.c_fc.weight", "mlp.up_proj.weight", "transposed"),
    ("mlp.c_proj.weight", "mlp.down_proj.weight", "transposed"),
]
IGNORED = [r"attn\.bias", r"attn\.masked_bias"]  # causal masks that early versions saved


def tree(config: Any) -> dict[str, Any]:
    width, norm = config.n_embd, {"use": "block.layernorm", "eps": config.layer_norm_epsilon}
    attention = {
        "use": "block.attention",
        "heads": config.n_head,
        "positions": "none",
        "bias": "all",
        "dropout": config.attn_pdrop,
    }
    inner = config.n_inner or 4 * width
    activation = config.activation_function
    return {
        "layers": config.n_layer,
        "max_positions": config.n_positions,
        "dropout": config.embd_pdrop,
        "positions": {"use": "block.positions-learned"},
        "norm": norm,
        "layer": {
            "use": "block.transformer",
            "norm": norm,
            "dropout": config.resid_pdrop,
            "attention": attention,
            "ffn": {"use": "block.ffn", "inner": inner, "activation": activation, "gated": False, "bias": True},
        },
    }


def unlike(config: Any) -> dict[str, bool]:
    """Options that the blocks do not have, by name: True where the checkpoint uses one."""
    return {
        "add_cross_attention": config.add_cross_attention,
        "scale_attn_by_inverse_layer_idx": config.scale_attn_by_inverse_layer_idx,
        "scale_attn_weights false": not config.scale_attn_weights,
    }
