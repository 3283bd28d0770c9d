"""The library's own object, fed with the same terms, is the reference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import rank_bm25
from dougong import Chunk, Index, Span, StoreError
from dougong_analyzer import terms
from dougong_retriever_rank_bm25 import Params, dougong_retrievers
from dougong_retriever_rank_bm25.index import RankBM25

TEXTS = [
    "Cats purr; a cat that purrs is content. 猫咪满足时会打呼噜。",
    "Dogs bark at cats, and at other dogs.",
    "The quick brown fox jumps over the lazy dog.",
    "北京大学位于北京市海淀区,是中国的一所著名大学。",
    "清华大学也位于海淀区。",
    "",
    "國家圖書館在臺北。",
]
CLASSES = {"okapi": rank_bm25.BM25Okapi, "l": rank_bm25.BM25L, "plus": rank_bm25.BM25Plus}


def chunk(id: str, text: str, **meta: object) -> Chunk:
    return Chunk(id, "d", text, Span(0, len(text)), meta=meta)


def made(**params: object) -> RankBM25:
    retriever = RankBM25(Params(**params))  # type: ignore[arg-type]
    retriever.add(chunk(str(i), text, even=i % 2 == 0) for i, text in enumerate(TEXTS))
    return retriever


@pytest.mark.parametrize("settings", [{}, {"k1": 0.9, "b": 0.4}])
@pytest.mark.parametrize("variant", CLASSES)
def test_scores_and_order_are_the_library_s(variant: str, settings: dict[str, float]) -> None:
    library = CLASSES[variant]([terms(text) for text in TEXTS], **settings)
    for query in ("cat dog dog", "海淀区的大学", "图书馆", "fox 大学"):
        scores = library.get_scores(terms(query))
        holders = [i for i, text in enumerate(TEXTS) if set(terms(text)) & set(terms(query))]
        expected = sorted(((str(i), scores[i]) for i in holders), key=lambda hit: (-hit[1], hit[0]))
        hits = made(variant=variant, **settings).search(query)
        assert [(hit.chunk.id, hit.score) for hit in hits] == expected
        assert hits


def test_delta_and_epsilon_reach_the_library() -> None:
    corpus = [terms(text) for text in TEXTS]
    plus, okapi = rank_bm25.BM25Plus(corpus, delta=3), rank_bm25.BM25Okapi([["cat"], ["cat"], ["dog"]], epsilon=0.5)
    assert made(variant="plus", delta=3.0).search("fox")[0].score == plus.get_scores(["fox"])[2]
    retriever = RankBM25(Params(epsilon=0.5))
    retriever.add([chunk("a", "cat"), chunk("b", "cat"), chunk("c", "dog")])
    assert [hit.score for hit in retriever.search("cat")] == okapi.get_scores(["cat"])[:2].tolist()


def test_ties_come_by_id_and_a_filter_keeps_the_order() -> None:
    retriever = RankBM25(Params(variant="l"))
    retriever.add(chunk(id, "cat", even=id in "bd") for id in "dcba")
    assert [hit.chunk.id for hit in retriever.search("cat", 3)] == ["a", "b", "c"]
    assert [hit.chunk.id for hit in retriever.search("cat", 3, {"even": True})] == ["b", "d"]


def test_changes_give_what_a_fresh_build_gives() -> None:
    retriever = made()
    retriever.search("cat")
    retriever.add([chunk("0", "A bear."), chunk("9", "cats")])
    retriever.delete(["1", "unknown"])
    fresh = RankBM25(Params())
    fresh.add(
        [chunk("0", "A bear."), chunk("9", "cats"), *(chunk(str(i), TEXTS[i], even=i % 2 == 0) for i in range(2, 7))]
    )
    for query in ("cat", "bear", "dog", "大学"):
        assert retriever.search(query) == fresh.search(query)


def test_a_saved_index_finds_the_same(tmp_path: Path) -> None:
    retriever = made()
    retriever.save(tmp_path / "index")
    again = RankBM25(Params())
    again.load(tmp_path / "index", {str(i): chunk(str(i), text, even=i % 2 == 0) for i, text in enumerate(TEXTS)})
    for query in ("cat dog", "海淀区"):
        assert again.search(query) == retriever.search(query)


@pytest.mark.parametrize(
    ("change", "says"), [({"version": 2}, "newer"), ({"params": {}}, "other parameters"), ({"analyzer": 0}, "analyzer")]
)
def test_what_does_not_fit_is_refused(tmp_path: Path, change: dict[str, object], says: str) -> None:
    made().save(tmp_path / "index")
    header = tmp_path / "index" / "rank-bm25.json"
    header.write_text(json.dumps(json.loads(header.read_text()) | change))
    with pytest.raises(StoreError, match=says):
        RankBM25(Params()).load(tmp_path / "index", {})
    header.write_text("{")
    with pytest.raises(StoreError, match="no complete"):
        RankBM25(Params()).load(tmp_path / "index", {})
    with pytest.raises(StoreError, match="empty folder"):
        made().save(tmp_path / "index")


def test_nothing_is_found_without_terms_and_k_below_one_is_refused() -> None:
    assert made().search("") == made().search("absent") == RankBM25(Params()).search("cat") == []
    empty = RankBM25(Params())
    empty.add([chunk("a", "")])
    assert empty.search("cat") == []
    with pytest.raises(ValueError, match="at least 1"):
        made().search("cat", 0)


@pytest.mark.parametrize(("name", "value"), [("k1", 0.0), ("b", 2.0), ("delta", -1.0), ("epsilon", float("nan"))])
def test_parameters_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        Params(**{name: value})  # type: ignore[arg-type]


def test_the_technique_is_an_index() -> None:
    (technique,) = dougong_retrievers()
    assert technique.protocol is Index
    assert technique.name == "rank-bm25"
