"""What another process prepares is added as if the chunk had been."""

from __future__ import annotations

import json

import dougong
import pytest
from dougong import Chunk, Span
from hypothesis import given
from hypothesis import strategies as st

TEXTS = [
    "brackets carry the roof",
    "the roof's eaves, 1,000 of them",
    "斗拱承托屋檐，第100号",
    "",
    "ﬁne \ud800 text",
    "ไทย かな",
]


def chunk(number: int, text: str) -> Chunk:
    span = Span(0, len(text))
    return Chunk(f"d{number}#{span.start}-{span.end}", f"d{number}", text, span, ("Title 标题",))


def hits(index, query):
    return [(hit.chunk, hit.score) for hit in index.search(query, 20)]


@given(st.lists(st.sampled_from(TEXTS) | st.text(max_size=30), max_size=8), st.text(max_size=8))
def test_prepared_chunks_give_the_hits_of_added_ones(texts, query):
    """Also over JSON, and beside chunks added before."""
    chunks = {c.id: c for c in map(chunk, range(len(texts)), texts)}
    added, prepared = dougong.make("retriever.bm25"), dougong.make("retriever.bm25")
    added.add(chunks.values())
    first = list(chunks)[: len(chunks) // 2]
    prepared.add(chunks[id] for id in first)
    pairs = json.loads(json.dumps([(id, prepared.prepare(c)) for id, c in chunks.items()]))
    prepared.add_prepared(pairs, chunks)
    for asked in (query, "roof 斗拱 标题", *texts):
        assert hits(prepared, asked) == hits(added, asked)


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_prepared_parts_into_the_terms(text):
    from dougong_analyzer import terms

    index = dougong.make("retriever.bm25")
    assert index.prepare(Chunk("a", "a", text, Span(0, len(text)))).split() == terms(text)


def test_a_prepared_chunk_takes_the_place_of_an_older_one(tmp_path):
    index = dougong.make("retriever.bm25")
    old, new = Chunk("a", "a", "roof", Span(0, 4)), Chunk("a", "a", "beam", Span(0, 4))
    index.add([old])
    index.add_prepared([("a", index.prepare(new))], {"a": new})
    assert hits(index, "roof") == []
    assert [found for found, _ in hits(index, "beam")] == [new]
    (tmp_path / "saved").mkdir()
    index.save(tmp_path / "saved")
    index.load(tmp_path / "saved", {"a": new})
    assert [found for found, _ in hits(index, "beam")] == [new]
