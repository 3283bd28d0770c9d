"""A tiny model, made here: nothing is downloaded."""

from __future__ import annotations

import string

import pytest
from dougong.testing import CORPUS

DIM = 24


def tiny_model(folder, prompts=None):
    """A folder as sentence-transformers writes one: BERT of two layers with random weights, mean pooling."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    letters = [
        *string.ascii_lowercase,
        *string.digits,
        *sorted({c for text in CORPUS for c in text.lower() if c > "~"}),
    ]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    tokenizer = Tokenizer(models.WordPiece({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    marks = {
        name: f"[{name[:-6].upper()}]" for name in ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    }
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=DIM, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=128, initializer_range=0.5,
    )  # fmt: skip
    base = folder.with_name("base")
    BertModel(config).save_pretrained(base)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=128, **marks).save_pretrained(base)
    transformer = Transformer(str(base))
    SentenceTransformer(modules=[transformer, Pooling(DIM)], device="cpu", prompts=prompts).save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def model_maker():
    return tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny", {"query": "search: ", "document": "text: "})


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("models") / "plain")
