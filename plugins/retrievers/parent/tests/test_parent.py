from __future__ import annotations

import dougong
import pytest
from dougong import BuildError, Chunk, Hit, Span, StoreError, SyncReport
from dougong.testing import MemoryIndex
from hypothesis import given
from hypothesis import strategies as st

TEXT = "# 斗拱\n\n斗拱承托屋檐。它连接柱与梁。\n\n# Roof\n\nTiles keep out rain. Rafters carry the tiles.\n"
ONE, TWO = Span(0, TEXT.index("# Roof")), Span(TEXT.index("# Roof"), len(TEXT))


class Shelf:
    """A library of given texts whose search gives given hits."""

    def __init__(self, hits=(), texts=None):
        self.hits, self.texts, self.asked = list(hits), {"d": TEXT} if texts is None else texts, []

    def search(self, query, k=10, where=None):
        self.asked.append((query, k, where))
        return self.hits[:k]

    def text(self, document):
        return self.texts[document]

    def sync(self):
        return SyncReport()


def hit(words, score, parent, **more):
    start = TEXT.index(words)
    span = Span(start, start + len(words))
    return Hit(Chunk(Chunk.name("d", span), "d", words, span, parent=parent, **more), score)


def parents(shelf, **params):
    return dougong.make("retriever.parent", library=shelf, tokenizer={"use": "characters"}, **params)


def brief(hits):
    return [(h.chunk.span, h.score, h.chunk.meta["matched"]) for h in hits]


A, B = hit("斗拱承托屋檐。", 5.0, ONE), hit("它连接柱与梁。", 3.0, ONE)
C, D = hit("Tiles keep out rain.", 4.0, TWO), hit("Rafters carry the tiles.", 1.0, TWO)


def test_a_section_comes_once_with_the_score_of_its_best_hit():
    found = parents(Shelf([A, C, B, D])).search("q")
    assert brief(found) == [(ONE, 5.0, [A.chunk.id, B.chunk.id]), (TWO, 4.0, [C.chunk.id, D.chunk.id])]
    assert [h.chunk.text for h in found] == [ONE.of(TEXT), TWO.of(TEXT)]
    assert [h.chunk.id for h in found] == [Chunk.name("d", ONE), Chunk.name("d", TWO)]
    count = dougong.make("tokenizer.characters").count
    assert [h.chunk.tokens for h in found] == [count(ONE.of(TEXT)), count(TWO.of(TEXT))]


def test_matched_hits_are_named_also_after_the_last_section():
    found = parents(Shelf([A, C, B])).search("q", 1)
    assert brief(found) == [(ONE, 5.0, [A.chunk.id, B.chunk.id])]


def test_a_section_that_does_not_fit_gives_way_to_its_hits():
    """The first section alone; one character less, and its two hits; too little for either, and nothing."""
    count = dougong.make("tokenizer.characters").count
    whole, one, two = count(ONE.of(TEXT)), count(A.chunk.text), count(B.chunk.text)
    tight = parents(Shelf([A, C, B, D]), tokens=whole).search("q")
    assert [h.chunk.span for h in tight] == [ONE]
    short = parents(Shelf([A, B]), tokens=whole - 1).search("q")
    assert [h.chunk.text for h in short] == [A.chunk.text, B.chunk.text]
    assert [h.chunk.tokens for h in short] == [one, two]
    assert parents(Shelf([A]), tokens=one - 1).search("q") == []


def test_a_section_that_overlaps_what_is_given_gives_way_to_its_hit():
    """A chapter around a section that is given: not its text twice."""
    chapter = hit("Tiles keep out rain.", 4.0, Span(0, len(TEXT)))
    assert brief(parents(Shelf([A, chapter])).search("q")) == [
        (ONE, 5.0, [A.chunk.id]), (chapter.chunk.span, 4.0, [chapter.chunk.id]),
    ]  # fmt: skip


def test_a_chunk_without_a_parent_stands_for_itself():
    alone = hit("Tiles keep out rain.", 2.0, None)
    assert [h.chunk.text for h in parents(Shelf([alone], texts={})).search("q")] == ["Tiles keep out rain."]


def test_line_is_the_sections_and_headings_are_kept():
    found = parents(Shelf([hit("Rafters carry the tiles.", 1.0, TWO, headings=("Roof",), meta={"line": 7, "page": 2})]))
    chunk = found.search("q")[0].chunk
    assert (chunk.headings, chunk.meta["line"], chunk.meta["page"]) == (("Roof",), 5, 2)


def test_another_retriever_may_search_for_it():
    shelf, of = Shelf(), Shelf([C])
    found = parents(shelf, of=of, pool=20).search("q", 30, {"lang": "en"})
    assert [h.chunk.span for h in found] == [TWO]
    assert (shelf.asked, of.asked) == ([], [("q", 30, {"lang": "en"})])


def test_a_text_that_the_library_lacks_or_has_otherwise_is_told():
    with pytest.raises(StoreError, match="does not hold 'd'"):
        parents(Shelf([A], texts={})).search("q")
    for other in (TEXT[1:], TEXT[:10], ""):
        with pytest.raises(StoreError, match="is not the one"):
            parents(Shelf([A], texts={"d": other})).search("q")


def test_a_library_without_texts_is_refused():
    class Bare(MemoryIndex):
        def sync(self):
            return SyncReport()

    with pytest.raises(BuildError, match="no text"):
        parents(Bare())


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 12), st.integers(0, 8)), max_size=12), st.integers(1, 120))
def test_the_budget_is_held_and_every_hit_that_fits_is_in_a_result(places, budget):
    """Any chunks, any sections around them: nothing but exact text, no section twice, never above the budget."""
    text = "".join(chr(0x4E00 + number) for number in range(110))
    hits = []
    for rank, (start, length, margin) in enumerate(dict.fromkeys(places)):
        span = Span(start, start + length)
        parent = Span(max(0, start - margin), min(110, start + length + margin))
        hits.append(Hit(Chunk(f"{rank:02d}", "d", span.of(text), span, parent=parent), float(-rank)))
    found = parents(Shelf(hits, texts={"d": text}), tokens=budget).search("q", 20)
    spans = [hit.chunk.span for hit in found]
    assert all(hit.chunk.text == hit.chunk.span.of(text) for hit in found)
    assert sum(map(len, spans)) <= budget
    assert len({(span.start, span.end) for span in spans}) == len(spans)
    left = budget - sum(map(len, spans))
    for hit in hits:
        inside = any(s.start <= hit.chunk.span.start and hit.chunk.span.end <= s.end for s in spans)
        assert inside or len(hit.chunk.span) > left


def test_sections_of_a_real_library_come_whole(tmp_path):
    """Chunks of a few words, sections in English and Chinese: the file's own text, at its own offsets."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text(TEXT, encoding="utf-8")
    library = dougong.make(
        "retriever.library", sources=[str(docs)], path=str(tmp_path / "store"), chunker={"use": "recursive", "size": 6}
    )
    built = dougong.make("retriever.parent", library=library)
    for query, words in (("什么连接柱与梁", "斗拱承托屋檐"), ("what carries tiles", "Tiles keep out rain")):
        small, big = library.search(query, 1)[0].chunk, built.search(query, 1)[0].chunk
        assert small.parent is not None
        assert big.span == small.parent
        assert words in big.text
        assert big.text == big.span.of(TEXT)
        assert small.id in big.meta["matched"]


# ---------------------------------------------------------------- top-down


def section(span, score, **meta):
    return Hit(Chunk(Chunk.name("d", span), "d", span.of(TEXT), span, meta=meta), score)


def test_only_what_begins_in_the_best_sections_is_found():
    sections, of = Shelf([section(TWO, 2.0), section(ONE, 1.0)]), Shelf([A, C, B, D])
    built = dougong.make("retriever.top-down", sections=sections, of=of, first=1)
    assert built.search("q") == [C, D]
    assert built.search("q", 1) == [C]
    assert dougong.make("retriever.top-down", sections=sections, of=of, first=2).search("q") == [A, C, B, D]
    other = Hit(Chunk("x", "another", C.chunk.text, C.chunk.span), 9.0)
    assert dougong.make("retriever.top-down", sections=sections, of=Shelf([other, C]), first=1).search("q") == [C]
    assert dougong.make("retriever.top-down", sections=Shelf(), of=of).search("q") == []


def test_the_search_inside_is_narrowed_to_the_sections_sources():
    """Unless they have none, or the filter names sources itself."""
    for meta, where, wanted in (
        ({"source": "a.md"}, None, {"source": {"in": ["a.md"]}}),
        ({"source": "a.md"}, {"lang": "zh"}, {"lang": "zh", "source": {"in": ["a.md"]}}),
        ({"source": "a.md"}, {"source": "b.md"}, {"source": "b.md"}),
        ({}, {"lang": "zh"}, {"lang": "zh"}),
    ):
        sections, of = Shelf([section(TWO, 2.0, **meta)]), Shelf([C])
        built = dougong.make("retriever.top-down", sections=sections, of=of, first=5, pool=20)
        assert built.search("q", 30, where) == [C]
        assert sections.asked == [("q", 5, where)]
        assert of.asked == [("q", 30, wanted)]
