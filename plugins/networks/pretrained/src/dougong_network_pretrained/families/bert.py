"""Devlin et al. 2019, with the head for masked tokens."""

from typing import Any

NETWORK = "network.encoder"
KEYS = [
    ("^bert.", "model."),
    ("embeddings.word_embeddings.", "embed_tokens."),
    ("embeddings.position_embeddings.", "positions.table."),
    ("embeddings.token_type_embeddings.", "token_types."),
    ("embeddings.LayerNorm.", "embed_norm."),
    ("pooler.dense.", "pooler."),
    ("encoder.layer.", "layers."),
    ("attention.self.query.", "self_attn.q_proj."),
    ("attention.self.key.", "self_attn.k_proj."),
    ("attention.self.value.", "self_attn.v_proj."),
    ("attention.output.dense.", "self_attn.o_proj."),
    ("attention.output.LayerNorm.", "post_attention_layernorm."),
    ("intermediate.dense.", "mlp.up_proj."),
    (r"(\d+)\.output\.dense\.", r"\1.mlp.down_proj."),
    (r"(\d+)\.output\.LayerNorm\.", r"\1.post_feedforward_layernorm."),
    ("cls.predictions.transform.dense.", "head.dense."),
    ("cls.predictions.transform.LayerNorm.", "head.norm."),
    ("cls.predictions.decoder.weight", "lm_head.weight"),
    ("cls.predictions.bias", "lm_head.bias"),
]
# The bias is saved once more as the decoder's; whether sentences follow each other is a head that no block has.
IGNORED = [r"embeddings\.position_ids", r"predictions\.decoder\.bias", r"cls\.seq_relationship"]


def tree(config: Any) -> dict[str, Any]:
    norm = {"use": "block.layernorm", "eps": config.layer_norm_eps}
    activation = config.hidden_act
    return {
        "layers": config.num_hidden_layers,
        "max_positions": config.max_position_embeddings,
        "dropout": config.hidden_dropout_prob,
        "types": config.type_vocab_size,
        "positions": {"use": "block.positions-learned"},
        "embed_norm": norm,
        "head_norm": norm,
        "head_activation": activation,
        "layer": {
            "use": "block.transformer",
            "placement": "post",
            "norm": norm,
            "dropout": config.hidden_dropout_prob,
            "attention": {
                "use": "block.attention",
                "heads": config.num_attention_heads,
                "positions": "none",
                "bias": "all",
                "dropout": config.attention_probs_dropout_prob,
            },
            "ffn": {
                "use": "block.ffn",
                "inner": config.intermediate_size,
                "activation": activation,
                "gated": False,
                "bias": True,
            },
        },
    }


def unlike(config: Any) -> dict[str, bool]:
    return {"is_decoder": config.is_decoder, "add_cross_attention": config.add_cross_attention}
