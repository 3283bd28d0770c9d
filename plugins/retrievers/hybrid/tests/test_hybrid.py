from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import dougong
import pytest
from dougong import Chunk, Hit, Span, StoreError
from dougong.testing import MemoryIndex
from dougong_retriever_hybrid.fusing import fuse, min_max, reciprocal_rank, z_score
from hypothesis import given
from hypothesis import strategies as st


def chunk(id: str, text: str = "text", **meta: object) -> Chunk:
    return Chunk(id, "d", text, Span(0, len(text)), meta=meta)


def hits(**scores: float) -> list[Hit]:
    return [Hit(chunk(id), score) for id, score in scores.items()]


def brief(found: Sequence[Hit]) -> list[tuple[str, float]]:
    return [(hit.chunk.id, hit.score) for hit in found]


class Fixed:
    """A retriever that can only be searched, and notes what it is asked."""

    def __init__(self, **scores: float) -> None:
        self.hits, self.asked = hits(**scores), []

    def search(self, query, k=10, where=None):
        self.asked.append((query, k, where))
        return self.hits[:k]


def hybrid(*parts, **params):
    return dougong.make("retriever.hybrid", of=list(parts), **params)


# ---------------------------------------------------------------- fusing


def test_min_max_sum_by_hand():
    """Lexical 8 6 4, dense .9 .5 .4: a = 1 + .2, b = .5 + 1, c = 0, d = 0."""
    built = hybrid(Fixed(a=8.0, b=6.0, c=4.0), Fixed(b=0.9, a=0.5, d=0.4), fuse="min-max")
    found = built.search("q")
    assert [hit.chunk.id for hit in found] == ["b", "a", "c", "d"]
    assert [hit.score for hit in found] == pytest.approx([1.5, 1.2, 0, 0])


def test_standard_scores_by_hand():
    """8 6 4 deviates by the root of 8/3, .9 .5 .4 by that of .14/3; each counts from its list's last."""
    one, two = math.sqrt(8 / 3), math.sqrt(0.14 / 3)
    found = hybrid(Fixed(a=8.0, b=6.0, c=4.0), Fixed(b=0.9, a=0.5, d=0.4)).search("q")
    assert [hit.chunk.id for hit in found] == ["b", "a", "c", "d"]
    assert [hit.score for hit in found] == pytest.approx([2 / one + 0.5 / two, 4 / one + 0.1 / two, 0, 0])


def test_standard_scores_trust_the_list_that_stands_out():
    """One far above a hundred alike weighs more than the first of as many that fall evenly, whatever the units."""
    flat = Fixed(**{f"f{number:03d}": 1000.0 - number for number in range(101)})
    sharp = Fixed(s=0.9, **{f"s{number:03d}": 0.1 - number / 10_000 for number in range(100)})
    found = hybrid(flat, sharp).search("q", 2)
    assert [hit.chunk.id for hit in found] == ["s", "f000"]
    assert found[0].score > 2 * found[1].score
    tied = hybrid(flat, sharp, fuse="min-max").search("q", 2)
    assert tied[0].score == tied[1].score


def test_chinese_queries_may_have_weights_of_their_own():
    built = hybrid(Fixed(a=2.0, b=1.0), Fixed(b=2.0, a=1.0), weights=[1, 2], weights_zh=[1, 0.5])
    assert built.search("which brackets?", 1)[0].chunk.id == "b"
    assert built.search("什么样的斗拱？", 1)[0].chunk.id == "a"
    same = hybrid(Fixed(a=2.0, b=1.0), Fixed(b=2.0, a=1.0), weights=[1, 2])
    assert same.search("什么样的斗拱？") == same.search("which brackets?")


def test_a_part_that_does_not_know_the_language_is_not_asked():
    """Unless no other part is left, or `weights_zh` asks it all the same."""
    words, english = Fixed(a=2.0, b=1.0), Fixed(b=2.0, c=1.0)
    english.languages = ("en",)
    assert [hit.chunk.id for hit in hybrid(words, english, weights=[1, 2]).search("which brackets?")] == ["b", "a", "c"]
    assert [hit.chunk.id for hit in hybrid(words, english, weights=[1, 2]).search("什么样的斗拱？")] == ["a", "b"]
    asked = hybrid(words, english, weights=[1, 2], weights_zh=[1, 2])
    assert [hit.chunk.id for hit in asked.search("什么样的斗拱？")] == ["b", "a", "c"]
    assert [hit.chunk.id for hit in hybrid(english).search("什么样的斗拱？")] == ["b", "c"]


def test_reciprocal_rank_by_hand():
    found = hybrid(Fixed(a=8.0, b=6.0, c=4.0), Fixed(b=0.9, d=0.4), fuse="rrf").search("q")
    assert brief(found) == [
        ("b", pytest.approx(1 / 62 + 1 / 61)), ("a", 1 / 61), ("d", 1 / 62), ("c", pytest.approx(1 / 63)),
    ]  # fmt: skip


def test_weights_multiply_each_parts_share():
    parts = Fixed(a=3.0, b=2.0, c=1.0), Fixed(c=3.0, b=2.0, a=1.0)
    assert [h.chunk.id for h in hybrid(*parts, weights=[1, 2]).search("q")] == ["c", "b", "a"]
    assert [h.chunk.id for h in hybrid(*parts, weights=[2, 1]).search("q")] == ["a", "b", "c"]
    assert hybrid(*parts, weights=[0.25, 0], fuse="min-max").search("q", 1)[0].score == 0.25


def test_scores_that_are_all_equal_count_as_the_best():
    """One hit, or many of one score: there is no spread to scale by."""
    for shares in (min_max, z_score):
        assert shares(hits(a=7.0)) == [1.0]
        assert shares(hits(a=0.0, b=0.0)) == [1.0, 1.0]
        assert shares([]) == []
    assert brief(hybrid(Fixed(a=7.0), Fixed(b=-3.0)).search("q")) == [("a", 1.0), ("b", 1.0)]


def test_a_part_that_finds_nothing_changes_nothing():
    for how in ("z-score", "min-max", "rrf"):
        alone = hybrid(Fixed(a=2.0, b=1.0), fuse=how).search("q")
        assert hybrid(Fixed(a=2.0, b=1.0), Fixed(), fuse=how).search("q") == alone
        assert hybrid(Fixed(), Fixed(), fuse=how).search("q") == []


lists = st.lists(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(-9, 9)), max_size=8, unique_by=lambda pair: pair[0]),
    min_size=1, max_size=4,
)  # fmt: skip


@given(lists, st.data(), st.sampled_from(["z-score", "min-max", "rrf"]))
def test_fusing_is_that_of_exact_arithmetic(lists, data, how):
    """Scores and order, ties included, are those of a computation in fractions."""
    weights = data.draw(st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=len(lists), max_size=len(lists)))
    ranked = [sorted(one, key=lambda pair: (-pair[1], pair[0])) for one in lists]
    wanted: dict[str, Fraction] = {}
    for one, weight in zip(ranked, weights):
        low, high = (one[-1][1], one[0][1]) if one else (0, 0)
        spread = Fraction(statistics.pstdev([score for _, score in one])) if one else Fraction(0)
        for rank, (id, score) in enumerate(one, 1):
            if how == "rrf":
                share = Fraction(1, 60 + rank)
            else:
                unit = spread if how == "z-score" else Fraction(high - low)
                share = Fraction(score - low) / unit if high > low else Fraction(1)
            wanted[id] = wanted.get(id, Fraction(0)) + Fraction(weight) * share
    given_ = [[Hit(chunk(id), float(score)) for id, score in one] for one in ranked]
    shares = {"z-score": z_score, "min-max": min_max, "rrf": reciprocal_rank(60)}[how]
    found = fuse(given_, shares, weights)
    assert {hit.chunk.id: hit.score for hit in found} == pytest.approx({id: float(s) for id, s in wanted.items()})
    assert [wanted[hit.chunk.id] for hit in found] == pytest.approx(sorted(map(float, wanted.values()), reverse=True))


@given(st.permutations(range(4)))
def test_equal_shares_tie_whichever_list_they_come_from(order):
    """Four lists in which a, b, c, d take turns: sums are equal to the last bit, so ids decide."""
    four = [hits(**{"abcd"[(turn + at) % 4]: float(-at) for at in range(4)}) for turn in order]
    for shares in (reciprocal_rank(60), min_max, z_score):
        found = fuse(four, shares, [1.0] * 4)
        assert [hit.chunk.id for hit in found] == list("abcd")
        assert len({hit.score for hit in found}) == 1


# ---------------------------------------------------------------- searching


def test_each_part_is_asked_for_its_pool_with_the_filter():
    parts = Fixed(a=1.0), Fixed(a=1.0)
    built = hybrid(*parts, pool=50)
    built.search("斗拱 brackets", 10, {"lang": "zh"})
    built.search("斗拱 brackets", 40)
    for part in parts:
        assert part.asked == [("斗拱 brackets", 50, {"lang": "zh"}), ("斗拱 brackets", 80, None)]


def test_a_chunk_is_one_chunk_in_all_parts():
    found = hybrid(Fixed(a=2.0, b=1.0), Fixed(b=2.0, a=1.0), Fixed(a=1.0), fuse="min-max").search("q")
    assert brief(found) == [("a", 2.0), ("b", 1.0)]


def test_k_below_one_is_refused_before_a_part_is_asked():
    part = Fixed(a=1.0)
    with pytest.raises(ValueError, match="at least 1"):
        hybrid(part).search("q", 0)
    assert part.asked == []


def test_what_no_part_ranks_first_may_be_first():
    """Second in both is better than first in one and absent in the other."""
    parts = Fixed(a=9.0, b=8.0, c=1.0), Fixed(d=9.0, b=8.0, e=1.0)
    for how in ("z-score", "min-max", "rrf"):
        assert hybrid(*parts, fuse=how).search("q", 1)[0].chunk.id == "b"


# ---------------------------------------------------------------- the index


def texts(*of: str) -> list[Chunk]:
    return [chunk(f"c{number}", text) for number, text in enumerate(of)]


class Recorder(MemoryIndex):
    """Notes how many chunks come at once."""

    def __init__(self):
        self.batches = []
        super().__init__()

    def add(self, chunks):
        chunks = list(chunks)
        self.batches.append(len(chunks))
        super().add(chunks)


def test_a_generator_reaches_every_part_whole():
    one, two = Recorder(), Recorder()
    one.batches.clear(), two.batches.clear()
    hybrid(one, two).add(chunk(f"c{number}", f"word{number}") for number in range(2500))
    assert len(one) == len(two) == 2500
    assert one.batches == two.batches == [1024, 1024, 452]


class Refusing(MemoryIndex):
    def load(self, folder, chunks):
        raise StoreError("saved with other parameters", hint="set them back")


def test_a_part_that_cannot_load_is_named_and_nothing_changed(tmp_path: Path):
    """The parts before it hold what they held, and can still be changed, saved and loaded."""
    dougong.make("retriever.hybrid", of=[{"use": "bm25"}, MemoryIndex()]).save(tmp_path / "empty")
    bm25 = dougong.make("retriever.bm25")
    built = hybrid(bm25, Refusing())
    built.add(texts("timber brackets", "斗拱与柱"))
    before = built.search("timber 斗拱")
    assert len(before) == 2
    with pytest.raises(StoreError, match=r"of\[1\]: saved with other parameters.*set them back"):
        built.load(tmp_path / "empty", {})
    assert built.search("timber 斗拱") == before
    built.delete(["c0"])
    built.add([chunk("c2", "a third, of stone")])
    built.save(tmp_path / "after")
    other = dougong.make("retriever.bm25")
    other.load(tmp_path / "after" / "0", {c.id: c for c in [*texts("timber brackets", "斗拱与柱"), chunk("c2")]})
    assert [hit.chunk.id for hit in other.search("timber 斗拱 stone")] == [
        h.chunk.id for h in bm25.search("timber 斗拱 stone")
    ]
    assert {hit.chunk.id for hit in bm25.search("timber 斗拱 stone")} == {"c1", "c2"}


def test_a_damaged_part_is_named(tmp_path: Path):
    built = hybrid(MemoryIndex(), {"use": "bm25"})
    built.add(texts("timber"))
    built.save(tmp_path / "saved")
    (tmp_path / "saved" / "1" / "bm25.json").write_text("{", encoding="utf-8")
    with pytest.raises(StoreError, match=r"of\[1\]"):
        built.load(tmp_path / "saved", {})
    assert brief(built.search("timber")) == [("c0", 2.0)]


def test_another_number_of_parts_is_refused(tmp_path: Path):
    hybrid(MemoryIndex(), MemoryIndex()).save(tmp_path / "two")
    with pytest.raises(StoreError, match="2 parts, not 1"):
        hybrid(MemoryIndex()).load(tmp_path / "two", {})


def test_retrievers_that_hold_no_chunks_are_searched_only(tmp_path: Path):
    built = hybrid(MemoryIndex(texts("timber")), Fixed(c0=1.0))
    assert brief(built.search("timber")) == [("c0", 2.0)]
    for change in (
        lambda: built.add(texts("x")), lambda: built.delete(["c0"]),
        lambda: built.save(tmp_path / "s"), lambda: built.load(tmp_path / "s", {}),
    ):  # fmt: skip
        with pytest.raises(StoreError, match=r"of\[1\] can be searched"):
            change()
    assert brief(built.search("timber")) == [("c0", 2.0)]


def test_a_library_keeps_it_up_to_date(tmp_path: Path):
    """Documents change, the library is opened again: the hybrid's parts follow together."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("# Brackets\n\nThe bracket carries the roof.\n", encoding="utf-8")
    (docs / "b.md").write_text("# 斗拱\n\n斗拱承托屋檐。\n", encoding="utf-8")
    config = {
        "sources": [str(docs)], "path": str(tmp_path / "store"),
        "index": {"use": "hybrid", "of": [{"use": "bm25"}, {"use": "bm25", "b": 0.4}]},
    }  # fmt: skip
    library = dougong.make("retriever.library", **config)
    assert library.search("斗拱承托什么")[0].chunk.document.endswith("b.md")
    (docs / "b.md").write_text("# 柱\n\n柱立于础石之上。\n", encoding="utf-8")
    (docs / "c.md").write_text("# 梁\n\n梁架于柱上。\n", encoding="utf-8")
    library.sync()
    library.close()
    again = dougong.make("retriever.library", **config)
    assert again.sync().unchanged == 3
    assert not again.search("斗拱承托屋檐")
    assert {hit.chunk.document.rpartition("/")[2] for hit in again.search("柱")} == {"b.md", "c.md"}
    assert again.search("roof bracket")[0].chunk.document.endswith("a.md")
