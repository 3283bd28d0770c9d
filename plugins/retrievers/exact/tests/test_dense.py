"""What a dense index promises beyond the kit: what is embedded, what is looked up, what is refused."""

from __future__ import annotations

import datetime

import dougong
import numpy as np
import pytest
from dougong import CallError, Chunk, Span, StoreError
from dougong.testing import CORPUS, HashEmbedder, chunks
from dougong_retriever_exact.table import Table


class Counting(HashEmbedder):
    """Notes the texts that it is given."""

    def __init__(self, dim=64):
        super().__init__(dim)
        self.passages, self.queries = [], []

    def embed(self, texts, role="passage"):
        (self.passages if role == "passage" else self.queries).extend(texts)
        return super().embed(texts, role)


class Fixed:
    """An embedder that gives what it is told to."""

    dim = 4

    def __init__(self, vectors):
        self.vectors = np.asarray(vectors)

    def embed(self, texts, role="passage"):
        return self.vectors[: len(texts)]


def made(embedder=None, use="exact", **params):
    return dougong.make(f"retriever.{use}", embedder=embedder or HashEmbedder(), **params)


def chunk(id, text, **meta):
    return Chunk(id, "d", text, Span(0, len(text)), meta=meta)


def ids(hits):
    return [hit.chunk.id for hit in hits]


def test_only_new_texts_are_embedded(tmp_path):
    """Not those held, nor those deleted since the last save, under whatever id: an edit shifts the ids after it."""
    embedder = Counting()
    index = made(embedder)
    index.add(chunks())
    assert sorted(embedder.passages) == sorted(CORPUS)
    index.add(chunks())
    index.delete([chunk.id for chunk in chunks()])
    index.add([chunk(f"moved {number}", text) for number, text in enumerate(CORPUS)])
    index.add([chunk("twice", CORPUS[0]), chunk("new", "zebra"), chunk("newer", "zebra")])
    assert embedder.passages[len(CORPUS) :] == ["zebra"]
    index.save(tmp_path / "saved")
    loaded = made(embedder)
    loaded.load(tmp_path / "saved", {})
    loaded.add([chunk("again", CORPUS[1]), chunk("newest", "giraffe")])
    assert embedder.passages[len(CORPUS) :] == ["zebra", "giraffe"]
    assert ids(index.search("zebra", 2)) == ["new", "newer"]


def test_what_is_embedded_is_the_index_text():
    embedder = Counting()
    made(embedder).add([Chunk("c", "d", "text", Span(0, 4), headings=("Halls", "Roof"), context="| a | b |")])
    assert embedder.passages == ["Halls > Roof\n| a | b |\ntext"]


def test_a_filter_looks_up_no_chunk(tmp_path):
    """Metadata lie in the index; those that JSON cannot hold are asked of the chunk."""
    day = datetime.date(2024, 5, 1)
    held = {f"c{n}": chunk(f"c{n}", text, page=n, tags=("a", "b")) for n, text in enumerate(CORPUS)}
    held["dated"] = chunk("dated", "斗拱 dougong", page=99, day=day)
    index = made()
    index.add(held.values())
    index.save(tmp_path / "saved")
    asked = []

    class Store(dict):
        def __getitem__(self, id):
            asked.append(id)
            return super().__getitem__(id)

    loaded = made()
    loaded.load(tmp_path / "saved", Store(held))
    assert ids(loaded.search(CORPUS[3], 3, {"page": 3, "tags": "a"})) == ["c3"]
    assert asked == ["dated", "c3"]
    assert ids(loaded.search("dougong", 3, {"day": {"gte": day}})) == ["dated"]
    loaded.add([chunk("c3", CORPUS[3], page=300)])  # same text, other metadata
    assert loaded.search(CORPUS[3], 3, {"page": 3}) == []
    assert ids(loaded.search(CORPUS[3], 3, {"page": 300})) == ["c3"]


def test_equal_texts_tie_by_id_wherever_they_stand():
    index = made()
    texts = [*CORPUS * 3, "the same", *CORPUS, "the same"]
    index.add([chunk(f"c{99 - number}", text) for number, text in enumerate(texts)])
    hits = index.search(CORPUS[0], 4)
    assert len({hit.score for hit in hits}) == 1
    assert ids(hits) == sorted(ids(hits))
    assert hits[0].score == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("use", ["exact", "hnsw", "faiss"])
def test_a_batch_of_vectors_gives_the_ids_of_single_searches(use):
    more = {} if use == "exact" else {"exact_below": 0}
    index, embedder = made(use=use, **more), HashEmbedder()
    vectors = embedder.embed(list(CORPUS), "query")
    assert index.nearest(vectors, 2)[0].tolist() == [[None, None]] * len(CORPUS)
    index.add(chunks())
    index.delete([chunks()[0].id])
    for where in (None, {"lang": "zh"}, {"page": {"gte": len(CORPUS) - 2}}):
        found, scores = index.nearest(vectors, 5, where)
        assert found.shape == scores.shape == (len(CORPUS), 5)
        for one, products, vector in zip(found.tolist(), scores.tolist(), vectors):
            hits = index.search_vector(vector, 5, where)
            assert one == [*ids(hits), *[None] * (5 - len(hits))]
            assert products == pytest.approx([hit.score for hit in hits] + [0] * (5 - len(hits)), abs=1e-5)
    with pytest.raises(ValueError, match="k must be"):
        index.nearest(vectors, 0)


def test_vectors_that_are_not_as_promised_are_refused():
    with pytest.raises(CallError, match=r"shape \(1, 3\) instead of \(1, 4\)"):
        made(Fixed([[1, 0, 0]])).add([chunk("c", "text")])
    for wrong in ([[1, 1, 0, 0]], [[0, 0, 0, 0]], [[np.nan, 0, 0, 0]]):
        index = made(Fixed(wrong))
        with pytest.raises(CallError, match="unit length"):
            index.add([chunk("c", "text")])
        assert index.search("text") == []
    index = made()
    index.add(chunks())
    with pytest.raises(ValueError, match=r"\(3,\).*\(64,\)"):
        index.search_vector(np.zeros(3, np.float32))


def test_a_saved_index_names_its_embedder(tmp_path):
    index = made()
    index.add(chunks())
    index.save(tmp_path / "saved")
    for other, told in ((HashEmbedder(32), "length 64"), (Counting(), "another embedder")):
        with pytest.raises(StoreError, match=told):
            made(other).load(tmp_path / "saved", {})
    with pytest.raises(StoreError, match="another index"):
        made(use="hnsw").load(tmp_path / "saved", {})


def test_a_folder_that_holds_an_index_is_not_written_again(tmp_path):
    index = made()
    index.save(tmp_path)
    with pytest.raises(StoreError, match="empty folder"):
        index.save(tmp_path)


def test_exact_search_is_that_of_a_plain_sort():
    """Also where many products are almost equal."""
    rng = np.random.default_rng(7)
    vectors = rng.normal(size=(500, 16)) * 1e-4 + rng.normal(size=16)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    embedder = Fixed(vectors)
    embedder.dim = 16
    table = Table(16)
    table.add([chunk(f"c{number:03d}", f"text {number}") for number in range(500)], embedder)
    table.delete([f"c{number:03d}" for number in range(0, 500, 7)])
    live = [number for number in range(500) if number % 7]
    query = vectors[3]
    wanted = sorted((-float((vectors[n].astype(float) * query).sum()), f"c{n:03d}") for n in live)[:20]
    hits = table.hits(query, table.nearest(query, 20), 20)
    assert ids(hits) == [id for _, id in wanted]
