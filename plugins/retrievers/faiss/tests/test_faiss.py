"""Lists and graph find what exact search finds, after any changes; what is learned from, and when."""

from __future__ import annotations

import random

import dougong
import faiss
import numpy as np
import pytest
from dougong import Chunk, Span, StoreError
from dougong.testing import CORPUS, HashEmbedder, ScriptedLLM, chunks
from dougong_retriever_faiss import TRAINING
from dougong_retriever_faiss.search import Faiss

DIM, K, COUNT = 16, 10, 14_000


class Numbers:
    """A text is a number: that of its vector among random ones around 60 centres."""

    dim = DIM

    def __init__(self):
        rng = np.random.default_rng(3)
        vectors = rng.normal(size=(60, DIM))[rng.integers(0, 60, COUNT)] + 0.7 * rng.normal(size=(COUNT, DIM))
        self.vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def embed(self, texts, role="passage"):
        return self.vectors[[int(text) for text in texts]]


NUMBERS = Numbers()
QUERIES = NUMBERS.vectors[-100:]


def chunk(id, number):
    return Chunk(f"c{id:05d}", "d", str(number), Span(0, len(str(number))), meta={"page": id})


def made(kind, **params):
    small = {} if kind == "ivf-pq" else {"exact_below": 500}
    return dougong.make("retriever.faiss", embedder=NUMBERS, kind=kind, **{**small, **params})


def recall(index, live, where=None):
    """Of the ten nearest of `live`, id to number of its vector, the share that is found; none other than live ones."""
    matches = dougong.where(where)
    names = [id for id in live if matches(chunk(int(id[1:]), 0).meta)]
    vectors = NUMBERS.vectors[[live[id] for id in names]]
    found = index.nearest(QUERIES, K, where)[0].tolist()
    assert {id for row in found for id in row} <= {*names, None}
    products = dict(zip(names, (QUERIES @ vectors.T).T))
    shares = []
    for query, row in enumerate(found):
        best = sorted((products[id][query] for id in names), reverse=True)[:K]
        shares.append(sum(products[id][query] >= best[-1] - 1e-6 for id in row if id) / len(best))  # ties are as good
    return np.mean(shares)


@pytest.mark.parametrize(("kind", "least"), [("flat", 1), ("hnsw", 0.98), ("ivf-pq", 0.95)])
def test_after_any_changes_it_is_as_good_as_a_fresh_build(kind, least, tmp_path):
    """Adds, replacements, deletes, saves and loads at random: the same live ids, and recall at most .005 lower."""
    chance = random.Random(1)
    start = 12_000 if kind == "ivf-pq" else 2_000
    live, index = {f"c{n:05d}": n for n in range(start)}, made(kind)
    index.add(chunk(n, n) for n in range(start))
    assert index._inner._held[1] is not None
    for step in range(10):
        what = ("add", "replace", "delete", "reopen")[step % 4]
        new = {}
        if what == "add":
            new = {f"c{chance.randrange(20_000):05d}": chance.randrange(COUNT - 100) for _ in range(700)}
        elif what == "replace":
            new = {id: chance.randrange(COUNT - 100) for id in chance.sample(sorted(live), 200)}
        index.add(chunk(int(id[1:]), number) for id, number in new.items())
        live.update(new)
        if what == "delete":
            gone = chance.sample(sorted(live), len(live) // 20)
            index.delete(gone)
            live = {id: number for id, number in live.items() if id not in set(gone)}
        elif what == "reopen":
            index.save(tmp_path / str(step))
            index = made(kind)
            index.load(tmp_path / str(step), {id: chunk(int(id[1:]), number) for id, number in live.items()})
    fresh = made(kind)
    fresh.add(chunk(int(id[1:]), number) for id, number in sorted(live.items()))
    every = index.nearest(QUERIES[:1], len(live) + 1)[0][0].tolist()
    assert sorted(every[:-1]) == sorted(live)
    assert recall(index, live) >= max(least, recall(fresh, live) - 0.005)
    assert recall(index, live, {"page": {"lt": 300}}) >= least
    assert recall(index, live, {"page": {"gte": 400}}) >= least - 0.02


def test_lists_wait_until_there_is_enough_to_learn_from(tmp_path):
    """Every vector is compared until then; at 9,984 lists are made, also if that is after a load."""
    index = made("ivf-pq", exact_below=TRAINING)
    index.add(chunk(n, n) for n in range(TRAINING - 1))
    assert recall(index, {f"c{n:05d}": n for n in range(TRAINING - 1)}) == 1
    index.save(tmp_path / "few")
    assert not (tmp_path / "few" / "neighbours.bin").exists()
    index.load(tmp_path / "few", {})
    index.add([chunk(TRAINING, TRAINING)])
    index.save(tmp_path / "enough")
    assert faiss.read_index(str(tmp_path / "enough" / "neighbours.bin")).ntotal == TRAINING


def test_lists_are_made_anew_when_there_are_four_times_the_vectors():
    held = Faiss(dougong_params("ivf-pq"), DIM)
    held.add(NUMBERS.vectors[:TRAINING])
    lists = held._index.nlist
    assert lists == min(4 * int(TRAINING**0.5), TRAINING // 39)
    assert not held.outgrown
    for _ in range(5):
        held.add(NUMBERS.vectors[:TRAINING])
    assert held.outgrown


def dougong_params(kind, **params):
    from dougong_retriever_faiss import Params

    return Params(NUMBERS, kind, **params)


def test_vectors_are_cut_into_codes_that_fit():
    for asked, dim, code in ((None, 384, 96), (None, 7, 1), (None, 30, 6), (8, 32, 8)):
        index = Faiss(dougong_params("ivf-pq", code_size=asked), dim)._empty(TRAINING)
        assert code == index.pq.M
    with pytest.raises(StoreError, match="code_size 5 is no divisor of 16"):
        made("ivf-pq", code_size=5).add(chunk(n, n) for n in range(10_000))


def test_graphs_built_by_one_thread_are_the_same(tmp_path):
    for name in ("one", "two"):
        index = made("hnsw")
        index.add(chunk(n, n) for n in range(1500))
        index.save(tmp_path / name)
    assert (tmp_path / "one" / "neighbours.bin").read_bytes() == (tmp_path / "two" / "neighbours.bin").read_bytes()


def test_a_library_a_hybrid_and_hyde_stand_on_it(tmp_path):
    (tmp_path / "docs").mkdir()
    for number, text in enumerate(CORPUS):
        (tmp_path / "docs" / f"{number}.txt").write_text(text)
    dense = {"use": "faiss", "kind": "flat", "embedder": HashEmbedder()}
    index = {"use": "hybrid", "of": [{"use": "bm25"}, dense]}
    params = {"sources": [str(tmp_path / "docs")], "path": str(tmp_path / "library"), "index": index}
    library = dougong.make("retriever.library", **params)
    assert library.sync().added == len(CORPUS)
    (tmp_path / "docs" / "0.txt").write_text("A zebra crossing. 斑马线")
    assert library.sync().updated == 1
    again = dougong.make("retriever.library", **params)
    assert "zebra" in again.search("zebra 斑马线", 1)[0].chunk.text
    of = dougong.make("retriever.faiss", kind="flat", embedder=HashEmbedder())
    of.add(chunks())
    hyde = dougong.make("retriever.hyde", of=of, embedder=HashEmbedder(), llm=ScriptedLLM(CORPUS[5], again=True))
    assert hyde.search("?", 1)[0].chunk == chunks()[5]
