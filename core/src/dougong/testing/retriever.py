"""What every retriever, every index and every library must do."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dougong.errors import StoreError
from dougong.filters import where as compile_where
from dougong.testing.comparing import difference
from dougong.testing.conformance import Conformance
from dougong.testing.texts import CORPUS, HOSTILE, ORDINARY, SURROGATE, chunks, examples
from dougong.types import Chunk, Hit, Span, SyncReport

QUERIES = (
    "dougong brackets of timber",
    "斗拱连接柱与梁",
    "1103 营造法式 manual",
    "cache blocks",
    "最高的木塔",
    "zebra",
)
HOSTILE_QUERIES = (
    '"', "AND OR NOT NEAR(", "title:x^2 ~3 -y", "*", "'; DROP TABLE chunks; --", "a\0b", "%s {} ${x}", "?!。",
    SURROGATE, *HOSTILE.values(), ORDINARY["english"] * 20,
)  # fmt: skip


class RetrieverConformance(Conformance):
    """At most k hits, best first, ties by chunk id, all of which meet the filter.

    A retriever that wraps others (fusion, rerank) is given them over the corpus:
    ``params = {"of": MemoryIndex(chunks())}``. An index inherits from `IndexConformance`, a library from
    `LibraryConformance`. `golden`: a query, and ``[(number of the chunk in corpus, score), ...]`` or just
    ``[number, ...]`` of all its hits.

    Attributes:
        corpus: the chunks that are searched; their `meta` has ``source lang page tags``.
        exact: whether fewer hits, or a filter, only leave hits out; False for approximate search and for wrappers
            that look at more when asked for more.
        finds: the share of the corpus's passages that are the first hit of their own text.
        chunks_kept: whether hits hold the very chunks of the corpus; False for one that trims or joins them.
        filters: what searches are filtered by; empty for one that cannot.
    """

    kind: ClassVar[str] = "retriever"
    across_processes: ClassVar[bool] = True
    corpus: Sequence[Chunk] = tuple(chunks())
    exact: bool = True
    finds: float = 1.0
    chunks_kept: bool = True
    filters: Sequence[Mapping[str, Any]] = (
        {"lang": "zh"}, {"page": {"gte": 5, "lt": 11}}, {"tags": "t1"}, 
        {"lang": {"ne": "zh"}, "page": {"in": [0, 3, 9]}}, {"source": {"prefix": "doc-0"}},
        {"lang": "xx"}, {"no such field": 1}, {"page": {"gt": "a"}}, {},
    )  # fmt: skip

    def observe(self, built: Any) -> Any:
        plain = [brief(built.search(query, 5)) for query in QUERIES]
        return [plain, [brief(built.search(QUERIES[0], 3, where)) for where in self.filters]]

    def answer(self, built: Any, given: Any) -> Any:
        numbers = {chunk.id: number for number, chunk in enumerate(self.corpus)}
        hits = built.search(given, max(1, len(self.corpus)))
        scored = any(isinstance(item, (tuple, list)) for case in self.golden for item in case[1])
        return [(numbers[hit.chunk.id], hit.score) if scored else numbers[hit.chunk.id] for hit in hits]

    def every(self) -> int:
        """As many hits as there can be."""
        return len(self.corpus) + 10

    def test_hits_come_best_first(self) -> None:
        """Scores are finite floats, falling; equal ones are in order of chunk id; no chunk comes twice."""
        built = self.ready()
        for query in (*QUERIES, *CORPUS):
            check_hits(built.search(query, self.every()), query)

    def test_there_are_at_most_k(self) -> None:
        """And ten where none is said."""
        built = self.ready()
        for query in QUERIES:
            for k in (1, 2, 3, 7, self.every()):
                found = built.search(query, k)
                assert isinstance(found, list), f"search gives a {type(found).__name__}; give a list"
                assert len(found) <= k, f"{query!r}, k={k}: {len(found)} hits"
            assert not difference(brief(built.search(query, 10)), brief(built.search(query))), "k is not 10 by default"

    def test_fewer_are_the_first_of_more(self) -> None:
        """Where search is exact."""
        if self.exact:
            built = self.ready()
            for query in (*QUERIES, *CORPUS[::3]):
                whole = brief(built.search(query, self.every()))
                for k in (1, 2, 5):
                    told = difference(whole[:k], brief(built.search(query, k)), self.tolerance)
                    assert not told, f"{query!r}: the hits of k={k} are not the first of all: {told}"

    def test_k_below_one_is_refused(self) -> None:
        """By a ValueError."""
        built = self.ready()
        for k in (0, -1):
            with pytest.raises(ValueError, match=r".+"):
                built.search(QUERIES[0], k)

    def test_an_empty_query_finds_nothing(self) -> None:
        """Nor does a blank one."""
        built = self.ready()
        for query in ("", "  \n\t\u3000"):
            assert built.search(query, 5) == [], f"the query {query!r} has hits; give []"

    def test_hits_hold_the_chunks_themselves(self) -> None:
        """Whole, with their meta: not copies that lack something."""
        built, known = self.ready(), {chunk.id: chunk for chunk in self.corpus}
        for query in (*QUERIES, *CORPUS):
            for hit in built.search(query, self.every()):
                assert isinstance(hit, Hit), f"a hit is a {type(hit).__name__}; give dougong.Hit"
                if self.chunks_kept:
                    assert hit.chunk.id in known, f"{query!r} finds {hit.chunk.id}, which nobody added"
                    told = difference(known[hit.chunk.id], hit.chunk)
                    assert not told, f"{query!r}: chunk {hit.chunk.id} came back changed: {told}"

    def test_a_passage_finds_itself(self) -> None:
        """In English and in Chinese: the best hit of a passage's own text is the passage."""
        built = self.ready()
        missed = []
        for chunk in self.corpus:
            hits = built.search(chunk.text, 3)
            if not hits or hits[0].chunk.text != chunk.text:
                missed.append(f"{chunk.text[:40]!r} finds {[hit.chunk.text[:20] for hit in hits]}")
        share = 1 - len(missed) / len(self.corpus)
        assert share >= self.finds, f"{share:.0%} of the passages find themselves, not {self.finds:.0%}: {missed}"

    def test_a_filter_holds_and_only_filters(self) -> None:
        """Every hit meets it; where search is exact, what meets it is found whatever else scores higher."""
        built = self.ready()
        for where in self.filters:
            matches = compile_where(where)
            for query in (*QUERIES, *CORPUS[::3]):
                found = built.search(query, self.every(), where)
                for hit in found:
                    assert matches(hit.chunk.meta), f"{query!r}, where={where}: {dict(hit.chunk.meta)} does not meet it"
                if self.exact:
                    allowed = [hit for hit in built.search(query, self.every()) if matches(hit.chunk.meta)]
                    told = difference(brief(allowed), brief(found), self.tolerance)
                    assert not told, f"{query!r}, where={where}: hits are not those that meet it: {told}"
                    told = difference(brief(allowed[:2]), brief(built.search(query, 2, where)), self.tolerance)
                    assert not told, f"{query!r}, where={where}, k=2: filter before you cut to k: {told}"

    def test_a_wrong_filter_is_refused(self) -> None:
        """An operator that there is not is a ValueError that names it, as `dougong.where` raises it."""
        if self.filters:
            with pytest.raises(ValueError, match="like"):
                self.ready().search(QUERIES[0], 3, {"lang": {"like": "z"}})

    def test_any_query_can_be_asked(self) -> None:
        """Operators of query languages, control characters, scripts without words, very long ones."""
        built = self.ready()
        for query in HOSTILE_QUERIES:
            check_hits(built.search(query, 3), query[:40])


# ---------------------------------------------------------------- indexes


class IndexConformance(RetrieverConformance):
    """Whatever was added, replaced, deleted, saved and loaded, in any order: hits are those of a fresh build.

    Attributes:
        other: params with which a saved index must not be loaded, ``{"k1": 0.9}``: those that change what is stored.
        recall: for ``exact = False``, the share of a fresh build's ten best that must be found at any time.
        reference: for ``exact = False``, what to measure `recall` against, ``(chunks, query, k) -> ids``; a fresh
            build's hits if None.
    """

    other: Mapping[str, Any] = {}
    recall: float = 0.9
    reference: Callable[[Sequence[Chunk], str, int], Sequence[str]] | None = None

    def prepare(self, built: Any) -> None:
        built.add(self.corpus)

    def fresh(self, live: Iterable[Chunk]) -> Any:
        """An index to which `live` was added, and nothing else happened."""
        built = self.build()
        built.add(list(live))
        return built

    def make_newer(self, folder: Path) -> None:
        """Make a saved index one of a newer version: raises each ``version`` in its JSON files, and ``user_version``.

        Override it where yours is written elsewhere.
        """
        import sqlite3

        done = False
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            head = file.read_bytes()[:16]
            if head.startswith(b"SQLite format 3"):
                with sqlite3.connect(file) as store:
                    store.execute("pragma user_version = 100000")
                store.close()
                done = True
            elif head[:1] in (b"{", b"["):
                content = json.loads(file.read_text("utf-8"))
                if isinstance(content, dict) and isinstance(content.get("version"), int):
                    file.write_text(json.dumps({**content, "version": content["version"] + 1000}), encoding="utf-8")
                    done = True
        assert done, "no version was found in what `save` writes; write one, or override make_newer to say where it is"

    def check_like_fresh(self, built: Any, live: Mapping[str, Chunk], after: str) -> None:
        """That hits are those of a fresh build of `live` (exact), or of live chunks, and near enough."""
        fresh = self.fresh(live.values())
        for query in (*QUERIES[:4], *[chunk.text for chunk in list(live.values())[:3]]):
            found, wanted = built.search(query, 10), fresh.search(query, 10)
            dead = [hit.chunk.id for hit in found if hit.chunk.id not in live]
            assert not dead, f"{after}: {query!r} finds {dead}, which are deleted"
            for hit in found:
                told = difference(live[hit.chunk.id], hit.chunk)
                assert not told, f"{after}: {query!r} finds an older {hit.chunk.id}: {told}"
            if self.exact:
                told = difference(brief(wanted), brief(found), self.tolerance)
                assert not told, f"{after}: {query!r} has other hits than in a fresh build: {told}"
            else:
                best = (
                    self.reference(list(live.values()), query, 10) if self.reference else [h.chunk.id for h in wanted]
                )
                have = {hit.chunk.id for hit in found}
                share = sum(id in have for id in best) / len(best) if best else 1.0
                assert share >= self.recall, (
                    f"{after}: {query!r} finds {share:.0%} of what it should, {self.recall:.0%}"
                )

    def test_an_empty_index_is_one(self) -> None:
        """It can be searched, saved, loaded, and emptied again."""
        built = self.build()
        assert built.search(QUERIES[0], 3) == [], "an index without chunks finds something"
        built.delete(["unknown"])
        built.add([])
        built.save(self.folder / "empty")
        built.load(self.folder / "empty", {})
        assert built.search(QUERIES[0], 3) == [], "an index saved empty finds something"
        built.add(self.corpus)
        built.delete([chunk.id for chunk in self.corpus])
        assert built.search(QUERIES[0], 3) == [], "an index whose chunks were all deleted finds something"
        built.add(self.corpus)
        self.check_like_fresh(built, by_id(self.corpus), "emptied and filled again")

    def test_add_takes_any_iterable_and_replaces(self) -> None:
        """A generator; the same id again, also within one call: the last one counts."""
        built, changed = self.build(), [retold(chunk, CORPUS[0]) for chunk in self.corpus[-2:]]
        built.add(chunk for chunk in self.corpus)
        built.add(iter([*self.corpus[:2], *changed, changed[0]]))
        self.check_like_fresh(built, by_id([*self.corpus, *changed]), "chunks replaced")

    def test_delete_forgets(self) -> None:
        """Given ids in any iterable, known or not, twice or once."""
        built, gone = self.ready(), [chunk.id for chunk in self.corpus[::2]]
        built.delete(id for id in [*gone, "unknown", gone[0]])
        self.check_like_fresh(built, by_id(self.corpus[1::2]), "chunks deleted")
        built.add(self.corpus[:1])
        self.check_like_fresh(built, by_id([self.corpus[0], *self.corpus[1::2]]), "a deleted chunk added again")

    def test_it_grows_little_by_little(self) -> None:
        """Two dozen small additions, a search after each, deletions now and then: it is tidied up on the way."""
        built, live = self.build(), {}
        for number in range(24):
            added = [numbered(number % 9 + part, CORPUS[(number + part) % len(CORPUS)]) for part in range(2)]
            built.add(added)
            live.update(by_id(added))
            if number % 4 == 3:
                built.delete([f"c{number % 9}"])
                live.pop(f"c{number % 9}", None)
            built.search("dougong", 3)
        self.check_like_fresh(built, live, "grown little by little")
        built.save(self.folder / "grown")
        again = self.build()
        again.load(self.folder / "grown", Lazy(live.values()))
        self.check_like_fresh(again, live, "grown little by little, saved and loaded")

    def test_saved_and_loaded_it_is_the_same(self) -> None:
        """In an object that held something else; chunks come from the mapping, one lookup a hit."""
        self.ready().save(self.folder / "saved")
        loaded = self.build()
        loaded.add([numbered(number, text) for number, text in enumerate(CORPUS)])
        store = Lazy(self.corpus)
        loaded.load(self.folder / "saved", store)
        self.check_like_fresh(loaded, by_id(self.corpus), "saved and loaded")
        for query in QUERIES:
            store.asked.clear()
            hits = loaded.search(query, 4)
            assert len(store.asked) <= len(hits), f"{query!r}: {len(hits)} hits, {len(store.asked)} lookups; one a hit"

    def test_a_loaded_index_goes_on(self) -> None:
        """Grows, shrinks, is saved again: the chunks of before from the mapping, the new ones from `add`."""
        half = len(self.corpus) // 2
        self.fresh(self.corpus[:half]).save(self.folder / "one")
        built = self.build()
        built.load(self.folder / "one", Lazy(self.corpus[:half]))
        built.add(self.corpus[half:])
        built.delete([self.corpus[0].id])
        self.check_like_fresh(built, by_id(self.corpus[1:]), "loaded, then changed")
        built.save(self.folder / "two")
        again = self.build()
        again.load(self.folder / "two", Lazy(self.corpus))
        self.check_like_fresh(again, by_id(self.corpus[1:]), "saved a second time")

    def test_a_saved_folder_never_changes(self) -> None:
        """Whatever happens to the index afterwards; and it is not needed any more once another is loaded."""
        built, first = self.ready(), self.folder / "first"
        first.mkdir()
        built.save(first)
        before = content(first)
        assert before, "save writes no file"
        built.delete([self.corpus[0].id])
        built.add([retold(self.corpus[1], "other words 别的词")])
        built.search(QUERIES[0], 3)
        built.save(self.folder / "second")
        reader = self.build()
        reader.load(first, by_id(self.corpus))
        reader.add(chunks(["zebra"]))
        reader.search("zebra")
        reader.save(self.folder / "third")
        assert content(first) == before, "a saved folder was changed; write into the folder that is given, and no other"
        again = self.build()
        again.load(first, by_id(self.corpus))
        self.check_like_fresh(again, by_id(self.corpus), "loaded after the index went on")

    def test_saving_changes_nothing(self) -> None:
        """The index searches as before, and can be saved twice."""
        built = self.ready()
        built.save(self.folder / "one")
        self.check_like_fresh(built, by_id(self.corpus), "saved")
        built.save(self.folder / "two")
        shutil.rmtree(self.folder / "one")
        self.check_like_fresh(built, by_id(self.corpus), "saved, and the folder removed")

    def test_what_is_no_index_is_refused(self) -> None:
        """No folder, an empty one, a file gone or cut: StoreError with a hint, and what was held is still held."""
        self.ready().save(self.folder / "saved")
        built = self.fresh(self.corpus[:3])
        self._refused(built, self.folder / "nowhere", "a folder that is not there")
        (self.folder / "bare").mkdir()
        self._refused(built, self.folder / "bare", "an empty folder")
        for file in sorted(content(self.folder / "saved")):
            for what, damage in DAMAGES.items():
                broken = self.folder / "broken"
                shutil.copytree(self.folder / "saved", broken)
                damage(broken / file)
                self._refused(built, broken, f"{file} {what}", or_equal=True)
                shutil.rmtree(broken)
        self.check_like_fresh(built, by_id(self.corpus[:3]), "after a folder was refused")

    def test_a_newer_version_is_refused(self) -> None:
        """By a StoreError: what it means is not known."""
        self.ready().save(self.folder / "saved")
        self.make_newer(self.folder / "saved")
        self._refused(self.build(), self.folder / "saved", "a newer version's folder")

    def test_other_parameters_are_refused(self) -> None:
        """By a StoreError: what was stored does not fit them."""
        if not self.other:
            return
        self.ready().save(self.folder / "saved")
        self._refused(self.build(**self.other), self.folder / "saved", f"a folder saved without {dict(self.other)}")

    def test_a_chunk_that_the_store_lacks_is_told(self) -> None:
        """By a StoreError that names it, when it is a hit."""
        self.ready().save(self.folder / "saved")
        built = self.build()
        built.load(self.folder / "saved", {})
        with pytest.raises(StoreError, match="doc-"):
            built.search(self.corpus[0].text, 3)

    def test_any_order_of_changes(self) -> None:
        """Adds, replacements, deletes, saves and loads at random, beside a plain mapping."""
        from hypothesis import given
        from hypothesis import strategies as st

        texts = [*CORPUS, "zebra", "斑马", "", "a a a", "dougong dougong 斗拱"]
        numbers = st.integers(0, 7)
        change = st.one_of(
            st.tuples(st.just("add"), st.lists(st.tuples(numbers, st.sampled_from(texts)), max_size=5)),
            st.tuples(st.just("delete"), st.lists(numbers, max_size=4)),
            st.tuples(st.sampled_from(["save", "search"]), st.none()),
        )
        places = (self.folder / f"random-{number}" for number in range(10**9))

        @examples(25)
        @given(st.lists(change, max_size=8))
        def check(changes: list[tuple[str, Any]]) -> None:
            built, live = self.build(), {}
            for what, argument in changes:
                if what == "add":
                    added = [numbered(number, text) for number, text in argument]
                    built.add(added)
                    live.update(by_id(added))
                elif what == "delete":
                    built.delete([f"c{number}" for number in argument])
                    live = {id: chunk for id, chunk in live.items() if int(id[1:]) not in argument}
                elif what == "save":
                    place = next(places)
                    built.save(place)
                    built = self.build()
                    built.load(place, Lazy(live.values()))
                else:
                    built.search("dougong", 3)
            self.check_like_fresh(built, live, f"after {[what for what, _ in changes]}")

        check()

    def _refused(self, built: Any, folder: Path, what: str, or_equal: bool = False) -> None:
        try:
            built.load(folder, Lazy(self.corpus))
        except StoreError as error:
            if not error.hint:
                raise AssertionError(
                    f"{what}: the StoreError has no hint; say what to do, 'index again' say"
                ) from error
        except Exception as error:
            raise AssertionError(f"{what} gives {type(error).__name__}: {error}; raise StoreError") from error
        else:
            assert or_equal, f"{what} is loaded; raise StoreError"
            self.check_like_fresh(built, by_id(self.corpus), f"{what} is loaded")
            built.delete([chunk.id for chunk in self.corpus])
            built.add(self.corpus[:3])


# ---------------------------------------------------------------- libraries


class LibraryConformance(RetrieverConformance):
    """`sync` makes the library what its sources are: once, again, after changes, with files that cannot be read.

    The suite writes the sources; `library` says how your params name them.
    """

    exact = True
    chunks_kept = False
    filters = ({"source": {"prefix": "no such"}}, {"no such field": 1}, {})

    def library(self, sources: Path, store: Path) -> Mapping[str, Any]:
        """The params of a library over the folder `sources`, kept in the folder `store`."""
        return {"sources": [str(sources)], "path": str(store)}

    def parameters(self) -> Mapping[str, Any]:
        sources = self.folder / "sources"
        if not sources.exists():
            for number, text in enumerate(CORPUS):
                self.put(f"doc-{number:02d}.txt", text)
        return {**self.params, **self.library(sources, self.folder / "store")}

    def put(self, name: str, text: str | bytes) -> Path:
        """Write a source."""
        path = self.folder / "sources" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def prepare(self, built: Any) -> None:
        built.sync()

    def test_sync_takes_everything_in_once(self) -> None:
        """Added, then unchanged; a hit is a stretch of its file."""
        built = self.build()
        report = built.sync()
        assert isinstance(report, SyncReport), f"sync gives a {type(report).__name__}; give a SyncReport"
        self._counts(report, added=len(CORPUS))
        assert report.chunks >= len(CORPUS), f"sync reports {report.chunks} chunks of {len(CORPUS)} documents"
        self._counts(built.sync(), unchanged=len(CORPUS))
        for text in CORPUS:
            hit = built.search(text, 1)[0]
            source = self.folder / "sources" / Path(str(hit.chunk.meta.get("source", hit.chunk.document))).name
            assert Span.of(hit.chunk.span, source.read_text("utf-8")) == hit.chunk.text, (
                "a hit is no stretch of its file"
            )

    def test_a_hit_in_a_long_file_is_in_its_place(self) -> None:
        """A sentence near the end of 200,000 characters of both languages; then of another text of that name."""
        line = "Brackets join columns. 斗拱连接柱与梁，不用钉子。\n\n"
        for word in ("zebra", "giraffe"):
            text = line * 4_000 + f"The {word} stands here. 它在这里。\n\n" + line * 200
            self.put("long.txt", text)
            built = self.ready()
            hit = built.search(word, 1)[0]
            assert word in hit.chunk.text, f"the sentence is not found, but {hit.chunk.text[:60]!r}"
            assert hit.chunk.span.of(text) == hit.chunk.text, f"{hit.chunk.span} of the file is not what the hit says"

    def test_a_changed_file_is_taken_in_anew(self) -> None:
        """Its old text is found no more; one that is touched is not changed."""
        built = self.ready()
        self.put("doc-00.txt", "A zebra stands beside the pagoda.")
        self.put("doc-01.txt", CORPUS[1])
        self._counts(built.sync(), updated=1, unchanged=len(CORPUS) - 1)
        assert "zebra" in built.search("zebra", 1)[0].chunk.text
        assert CORPUS[0] not in {hit.chunk.text for hit in built.search(CORPUS[0], 50)}, "the old text is still found"

    def test_a_file_that_is_gone_is_forgotten(self) -> None:
        """And one that is new is found, also in a folder below."""
        built = self.ready()
        (self.folder / "sources" / "doc-00.txt").unlink()
        self.put("below/new.txt", "zebra crossing 斑马线")
        self._counts(built.sync(), added=1, deleted=1, unchanged=len(CORPUS) - 1)
        assert built.search("斑马线", 1)[0].chunk.text == "zebra crossing 斑马线"
        assert CORPUS[0] not in {hit.chunk.text for hit in built.search(CORPUS[0], 50)}, "a deleted file is still found"

    def test_a_file_that_cannot_be_read_is_told(self) -> None:
        """With a reason; the others are taken in, and it is, too, once it is mended."""
        bad = self.put("bad.txt", bytes(range(256)) * 16)
        self.parameters()
        for number, text in enumerate(CORPUS):
            self.put(f"doc-{number:02d}.txt", text)
        built = self.build()
        report = built.sync()
        assert len(report.failed) == 1, f"one of {len(CORPUS) + 1} files cannot be read; failed says {report.failed}"
        source, reason = report.failed[0]
        assert "bad.txt" in source, f"failed names {source!r}, not the file"
        assert reason.strip(), "failed gives no reason"
        assert report.added == len(CORPUS), f"{report.added} files were taken in, {len(CORPUS)} can be read"
        bad.write_text("mended 修好了", encoding="utf-8")
        assert built.sync().added == 1, "a file that can now be read is not taken in"
        assert built.search("修好了", 1), "a file that can now be read is not found"

    def test_a_file_that_breaks_keeps_nothing_false(self) -> None:
        """A good file that becomes unreadable is told; its chunks are not changed to something else."""
        built = self.ready()
        self.put("doc-00.txt", bytes(range(256)) * 16)
        report = built.sync()
        assert [source for source, _ in report.failed if "doc-00.txt" in source], "an unreadable file is not told"
        assert {hit.chunk.text for hit in built.search(CORPUS[0], 50)} <= set(CORPUS), "a hit is of no source"

    def test_what_was_taken_in_stays(self) -> None:
        """Another object over the same store has it at once, and syncs nothing."""
        self.ready()
        again = self.build()
        assert again.search(CORPUS[0], 1)[0].chunk.text == CORPUS[0], "a library forgets when it is opened again"
        self._counts(again.sync(), unchanged=len(CORPUS))

    def test_a_damaged_store_is_told_or_mended(self) -> None:
        """A file of the store that holds other bytes: a StoreError with a hint, or the right hits; nothing else."""
        self.ready()
        for assembly in self._assemblies:
            assembly.close()
        self._assemblies.clear()
        files = sorted(content(self.folder / "store"))
        assert files, f"nothing is kept in {self.folder / 'store'}; say in `library` how the params name that folder"
        kept = self.folder / "kept"
        shutil.copytree(self.folder / "store", kept)
        for file in files:
            shutil.rmtree(self.folder / "store")
            shutil.copytree(kept, self.folder / "store")
            (self.folder / "store" / file).write_bytes(b"\x00\xffnot what was kept" * 300)
            try:
                built = self.build()
                built.sync()
                found = built.search(CORPUS[0], 1)[0].chunk.text
            except StoreError as error:
                if not error.hint:
                    raise AssertionError(f"{file} is damaged: the StoreError has no hint: {error}") from error
            except Exception as error:
                raise AssertionError(f"{file} is damaged: {type(error).__name__}: {error}; raise StoreError") from error
            else:
                assert found == CORPUS[0], f"{file} is damaged: a search finds {found[:60]!r}"

    def test_it_can_be_searched_before_its_first_sync(self) -> None:
        """It is empty then, or syncs by itself; after a sync it finds what there is."""
        built = self.build()
        check_hits(built.search(QUERIES[0], 3), QUERIES[0])
        built.sync()
        assert built.search(CORPUS[0], 1)[0].chunk.text == CORPUS[0], "a search before the first sync spoils the next"

    def test_sync_is_free_to_be_watched_and_cancelled(self) -> None:
        """A cancelled run ends it with `Cancelled`, and the next sync does the rest."""
        from dougong.errors import Cancelled
        from dougong.run import Run

        built, run = self.build(), Run(listener=lambda event: None)
        run.cancel()
        with pytest.raises(Cancelled), run.active():
            built.sync()
        report = built.sync()
        assert report.added + report.unchanged == len(CORPUS), f"after a cancelled sync, the next one reports {report}"
        assert built.search(CORPUS[3], 1)[0].chunk.text == CORPUS[3]

    def _counts(self, report: SyncReport, **wanted: int) -> None:
        expected = {"added": 0, "updated": 0, "deleted": 0, "unchanged": 0, **wanted}
        found = {name: getattr(report, name) for name in expected}
        assert found == expected, f"sync reports {found}; it is {expected}"
        assert not report.failed, f"sync could not read {report.failed}"


# ---------------------------------------------------------------- helpers


class Lazy(Mapping[str, Chunk]):
    """Chunks by id as a library gives them: looked up one by one, each lookup noted."""

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self._chunks = by_id(chunks)
        self.asked: list[str] = []

    def __getitem__(self, id: str) -> Chunk:
        self.asked.append(id)
        return self._chunks[id]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the index reads every chunk of the mapping; look up those that are hits, one by one")

    def __len__(self) -> int:
        return len(self._chunks)


def check_hits(hits: Sequence[Hit], query: str) -> None:
    keys = [(-hit.score, hit.chunk.id) for hit in hits]
    for hit in hits:
        assert isinstance(hit.score, float), f"{query!r}: a score is {type(hit.score).__name__}; give a float"
        assert math.isfinite(hit.score), f"{query!r}: a score is {hit.score}"
    for one, two in pairwise(keys):
        assert one[0] <= two[0], f"{query!r}: {two[1]} scores more than {one[1]} before it; best first"
        assert one <= two, f"{query!r}: {one[1]} and {two[1]} score the same; ties are by chunk id"
    ids = [id for _, id in keys]
    assert len(set(ids)) == len(ids), f"{query!r}: a chunk comes twice"


def brief(hits: Iterable[Hit]) -> list[tuple[str, float]]:
    return [(hit.chunk.id, hit.score) for hit in hits]


def by_id(chunks: Iterable[Chunk]) -> dict[str, Chunk]:
    return {chunk.id: chunk for chunk in chunks}


def retold(chunk: Chunk, text: str) -> Chunk:
    """A newer chunk of the same id."""
    return Chunk(chunk.id, chunk.document, text, Span(0, len(text)), meta={"lang": "new"})


def numbered(number: int, text: str) -> Chunk:
    return Chunk(f"c{number}", "d", text, Span(0, len(text)), meta={"lang": "en", "page": number})


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _cut(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "is gone": Path.unlink,
    "is cut": _cut,
    "is empty": lambda file: file.write_bytes(b""),
    "is other bytes": lambda file: file.write_bytes(b"\x00\xffnot what was saved"),
}
