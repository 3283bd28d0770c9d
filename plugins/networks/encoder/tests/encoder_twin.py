"""An encoder as BERT has it, and transformers' BERT with its weights."""

from transformers import BertConfig, BertForMaskedLM

NORM = {"use": "layernorm", "eps": 1e-12}
PARAMS = {
    "vocab": 37,
    "width": 16,
    "layers": 2,
    "pad": 0,
    "types": 2,
    "positions": {"use": "positions-learned"},
    "embed_norm": NORM,
    "head_norm": NORM,
    "layer": {
        "use": "transformer",
        "placement": "post",
        "norm": NORM,
        "attention": {"use": "attention", "heads": 4, "positions": "none", "bias": "all"},
        "ffn": {"use": "ffn", "inner": 24, "activation": "gelu", "gated": False, "bias": True},
    },
}
NAMES = (
    ("model.embed_tokens", "bert.embeddings.word_embeddings"),
    ("model.positions.table", "bert.embeddings.position_embeddings"),
    ("model.token_types", "bert.embeddings.token_type_embeddings"),
    ("model.embed_norm", "bert.embeddings.LayerNorm"),
    ("model.layers", "bert.encoder.layer"),
    ("self_attn.q_proj", "attention.self.query"),
    ("self_attn.k_proj", "attention.self.key"),
    ("self_attn.v_proj", "attention.self.value"),
    ("self_attn.o_proj", "attention.output.dense"),
    ("post_attention_layernorm", "attention.output.LayerNorm"),
    ("mlp.up_proj", "intermediate.dense"),
    ("mlp.down_proj", "output.dense"),
    ("post_feedforward_layernorm", "output.LayerNorm"),
    ("head.dense", "cls.predictions.transform.dense"),
    ("head.norm", "cls.predictions.transform.LayerNorm"),
    ("lm_head", "cls.predictions.decoder"),
)


def bert(network):
    """transformers' BERT with the network's weights."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24}
    theirs = BertForMaskedLM(BertConfig(vocab_size=37, max_position_embeddings=512, pad_token_id=0, **sizes)).eval()
    weights = {}
    for key, value in network.state_dict().items():
        for ours, other in NAMES:
            key = key.replace(ours, other)
        weights[key] = value
    weights["cls.predictions.bias"] = weights["cls.predictions.decoder.bias"]
    theirs.load_state_dict(weights)
    return theirs
