"""The graph finds what exact search finds, after any changes, and keeps its ef."""

from __future__ import annotations

import random

import dougong
import numpy as np
import pytest
from dougong import Chunk, Span
from dougong.testing import HashEmbedder, ScriptedLLM, chunks

DIM, K = 24, 10


class Numbers:
    """A text is a number: that of its vector among random ones around 40 centres."""

    dim = DIM

    def __init__(self, count=6000):
        rng = np.random.default_rng(5)
        vectors = rng.normal(size=(40, DIM))[rng.integers(0, 40, count)] + 0.6 * rng.normal(size=(count, DIM))
        self.vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def embed(self, texts, role="passage"):
        return self.vectors[[int(text) for text in texts]]


NUMBERS = Numbers()
QUERIES = NUMBERS.vectors[5900:]


def chunk(id, number):
    return Chunk(f"c{id:05d}", "d", str(number), Span(0, len(str(number))), meta={"page": id, "even": id % 2 == 0})


def made(**params):
    return dougong.make("retriever.hnsw", embedder=NUMBERS, **{"exact_below": 500, "ef": 60, **params})


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


def test_what_exact_search_finds_is_found():
    index = made()
    index.add(chunk(number, number) for number in range(3000))
    assert recall(index, {f"c{n:05d}": n for n in range(3000)}) >= 0.98


@pytest.mark.parametrize("seed", range(4))
def test_after_any_changes_it_is_as_good_as_a_fresh_build(seed, tmp_path):
    """Adds, replacements, deletes, saves and loads at random: the same live ids, and recall at most .005 lower."""
    chance, live, index = random.Random(seed), {}, made()
    for step in range(30):
        what = chance.choice(["add", "add", "replace", "delete", "reopen"]) if step else "add"
        if what == "add":
            new = {f"c{chance.randrange(5000):05d}": chance.randrange(5900) for _ in range(500)}
        elif what == "replace":
            new = {id: chance.randrange(5900) for id in chance.sample(sorted(live), len(live) // 5)}
        else:
            new = {}
        index.add(chunk(int(id[1:]), number) for id, number in new.items())
        live.update(new)
        if what == "delete":
            gone = chance.sample(sorted(live), len(live) // 4)
            index.delete(gone)
            live = {id: number for id, number in live.items() if id not in set(gone)}
        elif what == "reopen":
            index.save(tmp_path / str(step))
            index = made()
            index.load(tmp_path / str(step), {id: chunk(int(id[1:]), number) for id, number in live.items()})
    fresh = made()
    fresh.add(chunk(int(id[1:]), number) for id, number in sorted(live.items()))
    every = index.nearest(QUERIES[:1], len(live) + 1)[0][0].tolist()
    assert sorted(every[:-1]) == sorted(live)
    assert every[-1] is None
    assert recall(index, live) >= recall(fresh, live) - 0.005


def test_a_save_after_many_deletes_builds_the_graph_anew(tmp_path):
    index = made()
    index.add(chunk(number, number) for number in range(4000))
    index.delete([f"c{number:05d}" for number in range(0, 4000, 5)])
    index.save(tmp_path / "few")
    index.delete([f"c{number:05d}" for number in range(1, 4000, 5)])
    index.save(tmp_path / "many")
    rows = {name: np.load(tmp_path / name / "dead.npy") for name in ("few", "many")}
    assert (len(rows["few"]), rows["few"].sum()) == (4000, 800)
    assert (len(rows["many"]), rows["many"].sum()) == (2400, 0)
    assert recall(index, {f"c{n:05d}": n for n in range(4000) if n % 5 > 1}) >= 0.98


def test_ef_is_kept_when_it_is_opened_again(tmp_path):
    """hnswlib forgets it, and searches with 10."""
    live = {f"c{n:05d}": n for n in range(5800)}
    index = made(ef=200, m=4, ef_construction=20)
    index.add(chunk(number, number) for number in range(5800))
    before = recall(index, live)
    index.save(tmp_path / "saved")
    again = made(ef=200, m=4, ef_construction=20)
    again.load(tmp_path / "saved", {})
    assert recall(again, live) == before
    less = made(ef=10, m=4, ef_construction=20)  # a matter of searching: what is stored fits
    less.load(tmp_path / "saved", {})
    assert recall(less, live) < before - 0.05


def test_filters_narrow_and_wide():
    index, live = made(), {f"c{n:05d}": n for n in range(3000)}
    index.add(chunk(number, number) for number in range(3000))
    assert recall(index, live, {"page": {"lt": 7}}) == 1
    assert recall(index, live, {"page": {"gte": 1000, "lt": 1400}}) == 1
    assert recall(index, live, {"even": True}) >= 0.97
    assert index.nearest(QUERIES, K, {"page": -1})[0].tolist() == [[None] * K] * len(QUERIES)


def test_more_hits_than_ef_can_be_asked_for():
    index = made(ef=1)
    index.add(chunk(number, number) for number in range(2000))
    assert len(index.search_vector(QUERIES[0], 700)) == 700
    assert len(index.search_vector(QUERIES[0], 5000)) == 2000


def test_two_graphs_of_the_same_chunks_are_the_same(tmp_path):
    for name in ("one", "two"):
        index = made()
        index.add(chunk(number, number) for number in range(1500))
        index.save(tmp_path / name)
    assert (tmp_path / "one" / "neighbours.bin").read_bytes() == (tmp_path / "two" / "neighbours.bin").read_bytes()


# ---------------------------------------------------------------- with the techniques around it


DENSE = {"use": "hnsw", "exact_below": 0, "embedder": HashEmbedder()}


def test_a_library_keeps_it_up_to_date(tmp_path):
    (tmp_path / "docs").mkdir()
    for number in range(30):
        (tmp_path / "docs" / f"{number}.md").write_text(f"# Hall {number}\n\nIts bracket has {number} arms. 斗拱。\n")
    params = {"sources": [str(tmp_path / "docs")], "path": str(tmp_path / "library"), "index": DENSE}
    library = dougong.make("retriever.library", **params)
    assert library.sync().added == 30
    (tmp_path / "docs" / "7.md").write_text("# Zebra\n\nA zebra crossing. 斑马线。\n")
    (tmp_path / "docs" / "8.md").unlink()
    report = library.sync()
    assert (report.updated, report.deleted) == (1, 1)
    again = dougong.make("retriever.library", **params)
    assert "zebra" in again.search("a zebra crossing", 1)[0].chunk.text
    assert again.search("斑马线", 1)[0].chunk.document == "docs/7.md"
    assert len({hit.chunk.document for hit in again.search("bracket arms", 100)}) == 29


def test_it_is_a_part_of_a_hybrid(tmp_path):
    hybrid = dougong.make("retriever.hybrid", of=[{"use": "bm25"}, DENSE])
    hybrid.add(chunks())
    hybrid.delete([chunks()[0].id])
    hybrid.save(tmp_path / "saved")
    hybrid.load(tmp_path / "saved", {chunk.id: chunk for chunk in chunks()})
    for chunk in chunks()[1:]:
        assert hybrid.search(chunk.text, 3)[0].chunk == chunk


def test_hyde_searches_it_by_vector():
    index = dougong.make("retriever.hnsw", **{name: value for name, value in DENSE.items() if name != "use"})
    index.add(chunks())
    told = chunks()[5].text
    hyde = dougong.make(
        "retriever.hyde", of=index, embedder=HashEmbedder(), llm=ScriptedLLM(told, again=True), answers=3
    )
    assert hyde.search("?", 1)[0].chunk == chunks()[5]
