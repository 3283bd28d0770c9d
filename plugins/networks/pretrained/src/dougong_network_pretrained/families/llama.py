"""Touvron et al. 2023. Our blocks have its key names."""

from typing import Any

NETWORK = "network.decoder"
KEYS: list[Any] = []
IGNORED = [r"rotary_emb\.inv_freq"]  # frequencies that early versions saved


def rope(config: Any) -> dict[str, Any]:
    """Params of rotary positions out of transformers' ``rope_parameters``."""
    given = dict(config.rope_parameters)
    theta, kind = given.pop("rope_theta"), given.pop("rope_type", "default")
    lists = {f"rope_{name}": given.pop(f"{name}_factor") for name in ("short", "long") if f"{name}_factor" in given}
    given.pop("partial_rotary_factor", None)
    factors = {name: float(value) for name, value in given.items() if value is not None}
    return {"rope_theta": float(theta), "rope_type": kind, "rope_factors": factors, **lists}


def head_dim(config: Any) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def attention(config: Any, **more: Any) -> dict[str, Any]:
    return {
        "use": "block.attention",
        "heads": config.num_attention_heads,
        "kv_heads": config.num_key_value_heads,
        "head_dim": head_dim(config),
        "dropout": config.attention_dropout,
        **rope(config),
        **more,
    }


def in_turn(config: Any, mixer: dict[str, Any]) -> dict[str, Any]:
    """`mixer` with a window in those layers that have one."""
    types = getattr(config, "layer_types", None)
    windowed = {**mixer, "window": config.sliding_window} if getattr(config, "sliding_window", None) else mixer
    if types is None:
        return windowed
    if len(set(types)) == 1:
        return windowed if types[0] == "sliding_attention" else mixer
    return {"use": "block.cycle", "of": [windowed if kind == "sliding_attention" else mixer for kind in types]}


def decoder(config: Any, mixer: dict[str, Any], ffn: dict[str, Any]) -> dict[str, Any]:
    norm = {"use": "block.rmsnorm", "eps": config.rms_norm_eps}
    return {
        "layers": config.num_hidden_layers,
        "max_positions": config.max_position_embeddings,
        "norm": norm,
        "layer": {"use": "block.transformer", "norm": norm, "attention": mixer, "ffn": ffn},
    }


def tree(config: Any) -> dict[str, Any]:
    ffn = {"use": "block.ffn", "inner": config.intermediate_size, "activation": config.hidden_act}
    ffn["bias"] = getattr(config, "mlp_bias", False)
    bias = "all" if getattr(config, "attention_bias", False) else "none"
    return decoder(config, in_turn(config, attention(config, bias=bias)), ffn)


def unlike(config: Any) -> dict[str, bool]:
    partial = (config.rope_parameters or {}).get("partial_rotary_factor") or 1.0
    return {"partial_rotary_factor": partial != 1.0}
