"""Splits, rows and figures; the tokenizer; what is wrong with a text."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import dougong
import numpy as np
import pytest
import torch
from dougong.testing.tiny import llama
from dougong_objective_causal_lm.tokens import token_bytes, train_bpe

TEXT = "".join(f"第{n * 7919 % 1000}回 斗拱承重。 Bracket {n} carries {n * 31 % 97} beams.\n" for n in range(120))


@pytest.fixture
def make(tmp_path: Path):
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")

    def made(files: tuple[str, ...] = ("text.txt",), **params):
        here = {"files": [str(tmp_path / name) for name in files], "tokenizer": str(tmp_path / "tokenizer.json")}
        return dougong.make("objective.causal-lm", **{**here, "vocab": 300, "length": 16, "batch": 2, **params})

    return made


def line_of(objective, split: str) -> list[int]:
    """The ids of a split, put together again out of its rows."""
    rows = [row for batch in objective.batches(split) for row in batch["input_ids"].tolist()]
    assert all(before[-1] == after[0] for before, after in pairwise(rows))
    return rows[0] + [token for row in rows[1:] for token in row[1:]]


def test_rows_hold_the_whole_of_a_split_in_its_order(make):
    objective = make(holdout=0.25)
    tokenizer = objective.tokenizer()
    cut = int(len(TEXT) * 0.75)
    assert tokenizer.decode(line_of(objective, "validation")) == TEXT[cut:]
    assert line_of(objective, "validation")[-1] == tokenizer.token_to_id("<|endoftext|>")


def test_every_row_of_an_epoch_comes_once_and_orders_differ(make):
    batches = make(epochs=2, seed=3).batches("train")
    half = len(batches) // 2
    first, second = ([tuple(r) for b in part for r in b["input_ids"].tolist()] for part in (
        [batches[i] for i in range(half)], [batches[i] for i in range(half, 2 * half)]))  # fmt: skip
    assert len(set(first)) == len(first)
    assert first != second
    assert len(set(first) ^ set(second)) <= 4  # rows that fill no batch are others in each epoch
    with pytest.raises(IndexError):
        batches[len(batches)]


def test_tokens_see_their_own_document_only(make):
    network = llama(vocab_size=300)
    objective = make(separator="\n")
    batch = next(b for b in objective.batches("train") if (b["position_ids"][0] == 0).sum() > 1)
    start = int((batch["position_ids"][0] == 0).nonzero()[-1])
    other = {name: value.clone() for name, value in batch.items()}
    other["input_ids"][0, 0] = (other["input_ids"][0, 0] + 1) % 300
    with torch.no_grad():
        apart = (_logits(network, batch) - _logits(network, other)).abs().amax(-1)[0]
    assert (apart[start:] == 0).all()
    assert apart[:start].min() > 0
    assert batch["labels"][0, start] == -100
    crossing = next(iter(make(separator="\n", cross_documents=True).batches("train")))
    assert (crossing["labels"] == crossing["input_ids"]).all()
    assert crossing["position_ids"].tolist() == [list(range(16))] * 2


def _logits(network, batch):
    return network(batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits


def test_metrics_are_those_worked_out_by_hand(make):
    """One sequence of one document: a nat a token, and bits over the bytes after the first token."""
    network = llama(vocab_size=300, max_position_embeddings=4096)
    objective = make(holdout=0.1, length=4096)
    ids = torch.tensor([line_of(objective, "validation")])
    with torch.no_grad():
        odds = network(ids).logits[0, :-1].log_softmax(-1)
    nats = -odds.gather(1, ids[0, 1:, None]).sum().item()
    text = TEXT[int(len(TEXT) * 0.9) :]
    found = objective.metric(network, "validation")
    assert found["loss"] == pytest.approx(nats / (ids.shape[1] - 1), rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(found["loss"]))
    first = len(objective.tokenizer().decode([ids[0, 0].item()]).encode())
    assert found["bits_per_byte"] == pytest.approx(nats / math.log(2) / (len(text.encode()) - first), rel=1e-2)


@pytest.mark.parametrize("name", ["lines.jsonl", "parted.txt"])
def test_documents_are_held_out_whole(make, tmp_path: Path, name: str):
    texts = [f"document {n}" for n in range(10)]
    form = "\n".join(json.dumps({"text": t}) for t in texts) if name == "lines.jsonl" else "\n--\n".join(texts)
    (tmp_path / name).write_text(form, encoding="utf-8")
    objective = make((name,), holdout=0.25, separator="\n--\n", length=4)
    found = objective.tokenizer().decode(line_of(objective, "validation"))
    assert found == "".join(texts[7:])


def test_ids_kept_in_files_are_those_held_in_memory(make, tmp_path: Path):
    held, kept = make(holdout=0.2), make(holdout=0.2, store=str(tmp_path / "ids"))
    for split in ("train", "validation"):
        for one, two in zip(held.batches(split), kept.batches(split), strict=True):
            assert all(torch.equal(one[name], two[name]) for name in one)
    files = sorted((tmp_path / "ids").iterdir())
    times = [file.stat().st_mtime_ns for file in files]
    list(make(holdout=0.2, store=str(tmp_path / "ids")).batches("train"))
    assert [file.stat().st_mtime_ns for file in files] == times
    (tmp_path / "text.txt").write_text(TEXT + "more", encoding="utf-8")
    list(make(holdout=0.2, store=str(tmp_path / "ids")).batches("validation"))
    assert len(list((tmp_path / "ids").iterdir())) > len(files)


def test_the_tokenizer_writes_any_text_and_reads_it_back():
    tokenizer = train_bpe([TEXT], 280, ["<|endoftext|>"])
    for text in ("榫卯 unseen 👩‍👩‍👧\r\n\t\x00 ½", TEXT, ""):
        ids = tokenizer.encode(text).ids
        assert tokenizer.decode(ids) == text
        assert sum(token_bytes(tokenizer, token) for token in ids) == len(text.encode())
    assert tokenizer.get_vocab_size() == 280
    assert tokenizer.to_str() == train_bpe([TEXT], 280, ["<|endoftext|>"]).to_str()


def test_text_that_reads_like_a_special_token_is_text(make, tmp_path: Path):
    (tmp_path / "sly.txt").write_text("a<|endoftext|>b", encoding="utf-8")
    objective = make(("sly.txt",), length=2)
    ids = {int(token) for batch in objective.batches("train") for token in batch["input_ids"].flatten()}
    eos = objective.tokenizer().token_to_id("<|endoftext|>")
    assert np.sum([token == eos for token in ids]) <= 1
    assert len(objective.tokenizer().encode("a<|endoftext|>b").ids) > 3


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("gb.txt", "斗拱".encode("gb18030"), "iconv"),
        ("bad.jsonl", b'{"text": "a"}\n{"other": 1}\n', "bad.jsonl:2"),
        ("cut.jsonl", b'{"text": "a', "set field"),
    ],
)
def test_a_text_that_cannot_be_read_is_told(make, tmp_path: Path, name: str, data: bytes, told: str):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(dougong.LoadError) as caught:
        make((name,)).batches("train")
    assert told in str(caught.value)


def test_a_missing_tokenizer_is_told(make, tmp_path: Path):
    with pytest.raises(dougong.LoadError, match="set vocab to train one"):
        make(vocab=None).batches("train")
    make().tokenizer()
    with pytest.raises(dougong.LoadError, match="no token '<eos>'"):
        make(eos="<eos>").batches("train")
