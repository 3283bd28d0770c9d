"""retriever.cross-encoder passes the kit, and scores as its network does pair by pair. The network is made here: random
weights, small."""

from __future__ import annotations

import logging
from pathlib import Path

import dougong
import pytest
import torch
from dougong import Chunk, Hit, LoadError, Run, Span
from dougong.testing import MemoryIndex, RetrieverConformance, chunks
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
)

torch.set_num_threads(1)  # the kit's six threads share few cores

WORDS = [
    *["the", "of", "timber", "roof", "hall", "bracket", "carries", "column", "cache", "model", "attention"],
    *"斗拱柱梁屋檐木连接与",
]


def cross_encoder(folder: Path, labels: int = 1, seed: int = 0) -> Path:
    """A BERT of two layers with random weights; English words and Chinese characters."""
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=512, num_labels=labels, initializer_range=1.0,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


class TestCrossEncoder(RetrieverConformance):
    name = "retriever.cross-encoder"
    tolerance = 1e-4  # in float32, beside other pairs
    exact = True
    finds = 0.0  # weights are random
    refused = ({"pool": 0}, {"max_tokens": 7}, {"batch": 0})
    accepted = ({"pool": 1}, {"max_tokens": 8}, {"batch": 1})

    def parameters(self):
        folder = self.folder / "model"
        return {"of": MemoryIndex(chunks()), "model": str(folder if folder.exists() else cross_encoder(folder))}


class Fixed:
    def __init__(self, texts):
        self.hits = [Hit(chunk(number, text), float(-number)) for number, text in enumerate(texts)]
        self.asked = []

    def search(self, query, k=10, where=None):
        self.asked.append((query, k, where))
        return self.hits[:k]


def chunk(number, text):
    return Chunk(f"c{number:02d}", "d", text, Span(0, len(text)), headings=("the hall",))


TEXTS = ["the timber roof", "斗拱连接柱与梁", "roof " * 600, "", "attention cache model of the hall 屋檐", "zebra"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return cross_encoder(tmp_path_factory.mktemp("model"))


def rerank(of, folder, **params):
    return dougong.make("retriever.cross-encoder", of=of, model=str(folder), **params)


@pytest.mark.parametrize("query", ["what carries the roof?", "斗拱与柱 attention"])
@pytest.mark.parametrize("batch", [1, 2, 32])
def test_scores_are_those_of_the_network_pair_by_pair(folder, query, batch):
    """Whatever pairs go through it together: one at a time, unpadded, gives the same."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    hits = rerank(Fixed(TEXTS), folder, batch=batch, max_tokens=64).search(query)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert sorted(hit.chunk.text for hit in hits) == sorted(TEXTS)
    for hit in hits:
        pair = tokenizer(query, hit.chunk.index_text, return_tensors="pt", truncation=True, max_length=64)
        assert pair["input_ids"].shape[1] <= 64
        with torch.inference_mode():
            assert hit.score == pytest.approx(float(network(**pair).logits), abs=1e-4)
    assert hits[0].score - hits[-1].score > 0.01  # the network does tell them apart


def test_what_lies_beyond_the_pool_follows_in_its_own_order(folder):
    of = Fixed(TEXTS)
    hits = rerank(of, folder, pool=3).search("roof", 5, {"lang": "zh"})
    assert of.asked == [("roof", 5, {"lang": "zh"})]
    assert {hit.chunk.id for hit in hits[:3]} == {"c00", "c01", "c02"}
    assert [hit.chunk.id for hit in hits[3:]] == ["c03", "c04"]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert rerank(Fixed([]), folder).search("roof") == []


@pytest.mark.parametrize("failing", ["NaN", "no memory"])
def test_a_network_that_fails_leaves_the_wrapped_order_and_says_so(tmp_path, failing, caplog, monkeypatch):
    made = cross_encoder(tmp_path / "model")
    if failing == "NaN":
        network = AutoModelForSequenceClassification.from_pretrained(made)
        network.classifier.weight.data.fill_(float("nan"))
        network.save_pretrained(made)
    else:

        def exhausted(self, *args, **keywords):
            raise torch.OutOfMemoryError("out of memory")

        monkeypatch.setattr(BertForSequenceClassification, "forward", exhausted)
    of, events = Fixed(TEXTS), []
    built = rerank(of, made)
    with caplog.at_level(logging.WARNING, "dougong.retriever.cross-encoder"), Run(listener=events.append).active():
        assert built.search("roof", 4) == of.hits[:4]
    assert "the network failed" in caplog.text
    assert "not ranked" in [event.data["detail"] for event in events if event.kind == "progress"][-1]


def test_a_folder_that_is_no_cross_encoder_is_told(tmp_path, folder):
    with pytest.raises(LoadError, match="there is no config"):
        rerank(Fixed(TEXTS), tmp_path)
    with pytest.raises(LoadError, match="3 labels"):
        rerank(Fixed(TEXTS), cross_encoder(tmp_path / "three", labels=3))
    bare = cross_encoder(tmp_path / "bare")
    (bare / "model.safetensors").unlink()
    with pytest.raises(LoadError, match=r"no cross-encoder.*safetensors"):
        rerank(Fixed(TEXTS), bare).search("roof")
