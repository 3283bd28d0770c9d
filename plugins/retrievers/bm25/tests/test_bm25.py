"""BM25 against rank-bm25, bm25s and its own fresh build."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import attrs
import bm25s
import numpy as np
import pytest
import rank_bm25
from dougong import Chunk, Index, Span, StoreError
from dougong_analyzer import terms
from dougong_retriever_bm25 import Params, dougong_retrievers, index
from dougong_retriever_bm25.index import BM25
from hypothesis import given, settings
from hypothesis import strategies as st

VARIANTS = ("lucene", "okapi", "l", "plus")
TEXTS = [
    "Cats purr; a cat that purrs is content. 猫咪满足时会打呼噜。",
    "Dogs bark at cats, and at other dogs.",
    "The quick brown fox jumps over the lazy dog.",
    "北京大学位于北京市海淀区,是中国的一所著名大学。",
    "清华大学也位于海淀区。",
    "國家圖書館在臺北。",
    "用 Python 写一个 BM25 index,支持中文 full-text search。",
    "A fox, a fox, a fox!",
    "",
    "Bears sleep in winter",
    "cats cats cats cats dogs",
    "Search engines rank documents by relevance.",
]
QUERIES = [
    "cat",
    "cats and dogs",
    "北京大学",
    "图书馆",
    "fox fox dog",
    "Python 全文 search",
    "full text",
    "海淀区的大学",
    "x",
]


def chunk(id: str, text: str, **meta: object) -> Chunk:
    return Chunk(id, "d", text, Span(0, len(text)), meta=meta)


def corpus(texts: list[str] = TEXTS) -> list[Chunk]:
    return [chunk(f"{i:03d}", text) for i, text in enumerate(texts)]


def made(variant: str = "lucene", chunks: list[Chunk] | None = None, **params: float) -> BM25:
    bm25 = BM25(Params(variant=variant, **params))  # type: ignore[arg-type]
    bm25.add(corpus() if chunks is None else chunks)
    return bm25


def found(retriever: BM25, query: str, k: int = 100) -> list[tuple[str, float]]:
    return [(hit.chunk.id, hit.score) for hit in retriever.search(query, k)]


def zipf_corpus(n: int = 400) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(f"w{i}" for i in rng.zipf(1.3, rng.integers(0, 60)) if i < 3_000) for _ in range(n)]


# ---------------------------------------------------------------- scores


@pytest.mark.parametrize(
    ("variant", "reference"), [("okapi", rank_bm25.BM25Okapi), ("l", rank_bm25.BM25L), ("plus", rank_bm25.BM25Plus)]
)
@pytest.mark.parametrize("texts", [TEXTS, zipf_corpus()])
def test_scores_equal_rank_bm25(variant: str, reference: type, texts: list[str]) -> None:
    """The same terms fed to both; every chunk that holds a term of the query is found."""
    bm25, peer = made(variant, corpus(texts), k1=1.2, b=0.6), reference([terms(text) for text in texts], k1=1.2, b=0.6)
    for query in [*QUERIES, "w1 w2 w2 w7", "w40 w1", "w900"]:
        expected = peer.get_scores(terms(query))
        holders = {i for i, text in enumerate(texts) if set(terms(text)) & set(terms(query))}
        hits = found(bm25, query, len(texts))
        assert {int(id) for id, _ in hits} == holders
        assert [score for _, score in hits] == pytest.approx([expected[int(id)] for id, _ in hits], abs=1e-9)


@pytest.mark.parametrize("texts", [TEXTS, zipf_corpus()])
def test_lucene_scores_equal_bm25s(texts: list[str]) -> None:
    bm25 = made("lucene", corpus(texts))
    vocabulary: dict[str, int] = {}
    peer = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    ids = [[vocabulary.setdefault(term, len(vocabulary)) for term in terms(text)] for text in texts]
    peer.index((ids, vocabulary), show_progress=False)
    for query in [*QUERIES, "w1 w2 w2 w7", "w40 w1", "w900"]:
        known = [term for term in terms(query) if term in vocabulary]
        expected = peer.get_scores(known) if known else np.zeros(len(texts))
        hits = found(bm25, query, len(texts))
        assert {int(id) for id, _ in hits} == set(np.flatnonzero(expected))
        assert [score for _, score in hits] == pytest.approx([expected[int(id)] for id, _ in hits], abs=1e-5)


@pytest.mark.parametrize("k", [1, 3, 10, 100])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_best_k_are_a_prefix_of_the_whole_ranking_with_ties_by_id(variant: str, k: int) -> None:
    bm25 = made(variant, corpus(zipf_corpus(3_000)))
    for query in ("w1", "w2 w3", "w5 w50 w500", "w1 w2 w3 w4 w5"):
        whole = found(bm25, query, 3_000)
        assert whole == sorted(whole, key=lambda hit: (-hit[1], hit[0]))
        assert found(bm25, query, k) == whole[:k]


def test_a_term_in_most_chunks_is_found_by_okapi_though_its_idf_is_not_positive() -> None:
    bm25 = made("okapi", [chunk("a", "cat"), chunk("b", "cat"), chunk("c", "cat")])
    assert [id for id, _ in found(bm25, "cat")] == ["a", "b", "c"]
    half = made("okapi", [chunk("a", "cat"), chunk("b", "dog")])
    assert found(half, "cat") == [("a", 0.0)]


def test_headings_and_context_are_searched_and_the_text_alone_is_quoted() -> None:
    bm25 = made(chunks=[attrs.evolve(chunk("a", "It costs ten."), headings=("Prices",), context="Item | Cost")])
    assert bm25.search("price of an item")[0].chunk.text == "It costs ten."


def test_traditional_and_simplified_queries_meet() -> None:
    assert found(made(), "圖書館")[0] == found(made(), "图书馆")[0]
    assert found(made(), "圖書館")[0][0] == "005"


# ---------------------------------------------------------------- edges


@pytest.mark.parametrize("query", ["", " \n", "。!?", "the of and", "absent"])
def test_a_query_without_known_terms_finds_nothing(query: str) -> None:
    assert made().search(query) == []


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        made().search("cat", k)


def test_an_empty_index_finds_nothing() -> None:
    assert BM25(Params()).search("cat") == []
    assert made(chunks=[chunk("a", ""), chunk("b", "。")]).search("cat") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("k1", 0.0),
        ("k1", float("nan")),
        ("k1", float("inf")),
        ("b", -0.1),
        ("b", 1.1),
        ("delta", -1.0),
        ("epsilon", -1.0),
    ],
)
def test_parameters_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        Params(**{name: value})  # type: ignore[arg-type]


def test_the_technique_is_an_index() -> None:
    (technique,) = dougong_retrievers()
    assert technique.protocol is Index
    assert all(hasattr(BM25, method) for method in ("search", "add", "delete", "save", "load"))


@settings(deadline=None)
@given(st.lists(st.text(), max_size=8), st.text())
def test_any_text_can_be_indexed_and_searched(texts: list[str], query: str) -> None:
    bm25 = made(chunks=corpus(texts))
    for hit in bm25.search(query, 3):
        assert set(terms(hit.chunk.text)) & set(terms(query))


def test_ids_and_terms_with_lone_surrogates_are_kept() -> None:
    bm25 = made(chunks=[chunk("\ud800", "cat"), chunk("猫", "cat")])
    assert [id for id, _ in found(bm25, "cat")] == ["猫", "\ud800"]
    bm25.delete(["\ud800"])
    assert [id for id, _ in found(bm25, "cat")] == ["猫"]


# ---------------------------------------------------------------- filters


class Counted(dict[str, Chunk]):
    """A store that counts what is looked up."""

    def __init__(self, chunks: Mapping[str, Chunk]) -> None:
        super().__init__(chunks)
        self.lookups: list[str] = []

    def __getitem__(self, id: str) -> Chunk:
        self.lookups.append(id)
        return super().__getitem__(id)


def test_a_filter_gives_the_best_of_what_matches_and_looks_up_no_chunk_twice(tmp_path: Path) -> None:
    chunks = [chunk(f"{i:04d}", text, part=i % 7) for i, text in enumerate(zipf_corpus(1_000))]
    bm25 = made(chunks=chunks)
    everything = [hit for hit in bm25.search("w1 w2 w3", 1_000) if hit.chunk.meta["part"] == 3]
    bm25.save(tmp_path / "index")
    store = Counted({chunk.id: chunk for chunk in chunks})
    bm25.load(tmp_path / "index", store)
    assert bm25.search("w1 w2 w3", 5, {"part": 3}) == everything[:5]
    assert len(store.lookups) == len(set(store.lookups))
    assert len(store.lookups) < 100
    assert bm25.search("w1 w2 w3", 1_000, {"part": 3}) == everything
    assert bm25.search("w1", 5, {"part": 9}) == []


def test_without_a_filter_only_hits_are_looked_up(tmp_path: Path) -> None:
    made().save(tmp_path / "index")
    store = Counted({chunk.id: chunk for chunk in corpus()})
    bm25 = BM25(Params())
    bm25.load(tmp_path / "index", store)
    hits = bm25.search("cats and dogs", 2)
    assert store.lookups == [hit.chunk.id for hit in hits]


# ---------------------------------------------------------------- change


IDS = st.sampled_from([f"{i:02d}" for i in range(12)])
WORDS = st.sampled_from(["cat", "dog", "cats", "fox", "bear", "猫", "大学", "北京大学", "圖書館", "the"])
TEXT = st.lists(WORDS, max_size=6).map(" ".join)
ADD = st.tuples(st.just("add"), st.lists(st.tuples(IDS, TEXT), max_size=4))
DELETE = st.tuples(st.just("delete"), st.lists(IDS, max_size=4))
OTHER = st.tuples(st.sampled_from(["search", "save", "reload"]), st.none())
STEPS = st.lists(st.one_of(ADD, ADD, DELETE, OTHER), max_size=25)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.sampled_from(VARIANTS), st.sampled_from([2, 3, 100]))
def test_any_order_of_changes_saves_and_loads_gives_exactly_a_fresh_build(steps: list, variant: str, fan: int) -> None:
    """Invariant 3: the same hits, and the same scores to the last bit."""
    with patch.multiple(index, _FAN=fan, _SMALLEST=1), TemporaryDirectory() as folder:
        bm25, live = BM25(Params(variant=variant)), dict[str, Chunk]()  # type: ignore[arg-type]
        for number, (step, argument) in enumerate(steps):
            place = Path(folder) / str(number)
            if step == "add":
                added = [chunk(id, text) for id, text in argument]
                bm25.add(added)
                live.update((chunk.id, chunk) for chunk in added)
            elif step == "delete":
                bm25.delete(argument)
                for id in argument:
                    live.pop(id, None)
            elif step == "search":
                bm25.search("cat")
            else:
                bm25.save(place)
                if step == "reload":
                    bm25 = BM25(bm25.params)
                    bm25.load(place, dict(live))
        fresh = made(variant, list(live.values()))
        assert len(bm25) == len(live)
        for query in ("cat", "dog fox cat cat", "北京大学", "图书馆 bear", "猫 cat"):
            assert found(bm25, query) == found(fresh, query)
            assert bm25.search(query, 2) == fresh.search(query, 2)


def test_adding_an_id_again_replaces_its_chunk() -> None:
    bm25 = made(chunks=[chunk("a", "cat"), chunk("b", "cat")])
    assert len(bm25.search("cat")) == 2
    bm25.add([chunk("a", "dog")])
    assert [id for id, _ in found(bm25, "cat")] == ["b"]
    assert bm25.search("dog")[0].chunk.text == "dog"


def test_okapi_averages_the_idf_of_live_terms_only() -> None:
    """Terms of deleted chunks count neither within a segment nor over several."""
    common = [chunk(f"{i:02d}", f"cat word{i}") for i in range(8)]
    gone = [chunk(f"x{i}", f"gone{i} word{i} other") for i in range(3)]
    bm25 = made("okapi", [*common[:5], *gone])
    bm25.search("cat")
    bm25.add(common[5:])
    bm25.delete(chunk.id for chunk in gone)
    assert len(bm25._current().segments) == 2
    assert bm25._current().segments[0].dead is not None
    assert found(bm25, "cat") == found(made("okapi", common), "cat")


def test_threads_that_search_a_changed_index_find_the_same() -> None:
    chunks = corpus(zipf_corpus())
    expected, bm25 = found(made(chunks=chunks), "w1 w2 w9"), made(chunks=chunks)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: found(bm25, "w1 w2 w9"), range(32))) == [expected] * 32


def test_a_large_corpus_becomes_segments_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = corpus(zipf_corpus())
    whole = made(chunks=chunks)
    monkeypatch.setattr(index, "_WAITING", 500)
    monkeypatch.setattr(index, "_SMALLEST", 10)
    parts = made(chunks=chunks)
    assert len(parts._current().segments) > 1
    assert found(parts, "w1 w5 w20") == found(whole, "w1 w5 w20")


def test_the_number_of_segments_grows_with_the_logarithm_of_the_chunks() -> None:
    bm25 = BM25(Params())
    with patch.object(index, "_SMALLEST", 1):
        for i in range(300):
            bm25.add([chunk(str(i), f"cat {i}")])
            bm25.search("cat")
    assert len(bm25._current().segments) <= 3 * 5


# ---------------------------------------------------------------- disk


def test_a_saved_index_finds_the_same_and_holds_no_chunks(tmp_path: Path) -> None:
    bm25 = made()
    before = {query: found(bm25, query) for query in QUERIES}
    bm25.save(tmp_path / "index")
    again = BM25(Params())
    again.load(tmp_path / "index", {chunk.id: chunk for chunk in corpus()})
    assert {query: found(again, query) for query in QUERIES} == before
    assert not any(b"Python" in file.read_bytes() for file in (tmp_path / "index").iterdir())


def test_saving_after_a_small_change_links_what_did_not_change(tmp_path: Path) -> None:
    chunks = {chunk.id: chunk for chunk in corpus(zipf_corpus())}
    made(chunks=list(chunks.values())).save(tmp_path / "1")
    bm25 = BM25(Params())
    bm25.load(tmp_path / "1", chunks)
    before = {file.name: file.read_bytes() for file in (tmp_path / "1").iterdir()}
    bm25.add([chunk("new", "cat")])
    bm25.delete(["003"])
    bm25.save(tmp_path / "2")
    for file in (tmp_path / "1").glob("*.npy"):
        assert (tmp_path / "2" / file.name).samefile(file)
    assert {file.name: file.read_bytes() for file in (tmp_path / "1").iterdir()} == before


def test_saving_goes_on_where_the_folder_it_was_loaded_from_is_gone(tmp_path: Path) -> None:
    chunks = {chunk.id: chunk for chunk in corpus()}
    made().save(tmp_path / "1")
    bm25 = BM25(Params())
    bm25.load(tmp_path / "1", chunks)
    for file in (tmp_path / "1").iterdir():
        file.unlink()
    bm25.save(tmp_path / "2")
    again = BM25(Params())
    again.load(tmp_path / "2", chunks)
    assert found(again, "cat") == found(made(), "cat")


def test_an_empty_index_can_be_saved_and_loaded(tmp_path: Path) -> None:
    BM25(Params()).save(tmp_path / "index")
    bm25 = made()
    bm25.load(tmp_path / "index", {})
    assert bm25.search("cat") == []


def saved(folder: Path) -> Path:
    made().save(folder)
    return folder


def test_a_folder_in_use_is_not_written_over(tmp_path: Path) -> None:
    saved(tmp_path / "index")
    with pytest.raises(StoreError, match="empty folder"):
        made().save(tmp_path / "index")


def test_a_folder_saved_with_other_parameters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="other parameters"):
        BM25(Params(k1=0.9)).load(saved(tmp_path / "index"), {})


@pytest.mark.parametrize(
    ("key", "value", "says"), [("version", 99, "newer"), ("terms", 0, "analyzer"), ("chunks", 5, "5 chunks")]
)
def test_a_header_that_does_not_fit_is_refused(tmp_path: Path, key: str, value: int, says: str) -> None:
    header = saved(tmp_path / "index") / "bm25.json"
    header.write_text(json.dumps(json.loads(header.read_text()) | {key: value}))
    with pytest.raises(StoreError, match=says):
        BM25(Params()).load(tmp_path / "index", {})


@pytest.mark.parametrize(
    "name",
    [path.name for path in [Path("bm25.json")]]
    + [
        f"000001.{part}.npy" for part in ("ids", "id-ends", "lengths", "terms", "term-ends", "starts", "docs", "counts")
    ],
)
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_damaged_folder_is_refused_and_the_index_keeps_its_content(tmp_path: Path, name: str, damage: str) -> None:
    file = saved(tmp_path / "index") / name
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size - 1 - file.stat().st_size // 3])
    bm25 = made()
    with pytest.raises(StoreError, match="index again"):
        bm25.load(tmp_path / "index", {})
    assert found(bm25, "cat") == found(made(), "cat")


def test_a_chunk_that_the_store_lost_is_named(tmp_path: Path) -> None:
    bm25 = BM25(Params())
    bm25.load(saved(tmp_path / "index"), {})
    with pytest.raises(StoreError, match="'010'"):
        bm25.search("cat")
