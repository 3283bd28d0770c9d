"""What a library does with its sources."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import dougong
import pytest
from dougong import Cancelled, Chunk, Document, Run, Section, Span, StoreError
from dougong_retriever_library import Params
from dougong_retriever_library import library as library_module
from dougong_retriever_library import store as store_module
from dougong_retriever_library import sync as sync_module
from dougong_retriever_library.rows import decode_tree, encode_tree


def summary(report):
    return report.added, report.updated, report.deleted, report.unchanged


# ---------------------------------------------------------------- sync


def test_a_first_sync_takes_in_all_files_and_a_second_reads_none(bench):
    bench.write("a.md", "one\ntwo\n")
    bench.write("sub/b.md", "shared 检索 文本\n")
    first = bench.library()
    report = first.sync()
    assert summary(report) == (2, 0, 0, 0)
    assert report.chunks == 3
    assert [(d.id, d.chunks) for d in first.documents()] == [("docs/a.md", 2), ("docs/sub/b.md", 1)]
    second = bench.library()
    assert summary(second.sync()) == (0, 0, 0, 2)
    assert second._params.loader.loaded == []
    assert second._index.added == []


def test_hits_carry_exact_text_source_line_and_title(bench):
    path = bench.write("a.md", "first\nsecond\n检索 增强\n")
    (hit,) = bench.library().search("检索")
    assert hit.chunk.text == "检索 增强\n"
    assert hit.chunk.meta == {"source": str(path), "line": 3, "title": "a.md", "language": "en"}
    assert bench.library().text(hit.chunk.document)[hit.chunk.span.start : hit.chunk.span.end] == hit.chunk.text


def test_the_first_search_syncs_and_later_ones_do_not(bench):
    bench.write("a.md", "one\n")
    library = bench.library()
    assert len(library.search("one")) == 1
    bench.write("b.md", "one\n")
    assert len(library.search("one")) == 1
    library.sync()
    assert len(library.search("one")) == 2


def test_a_changed_document_gives_the_index_only_the_chunks_that_changed(bench):
    bench.write("a.md", "one\ntwo\nthree\n")
    bench.write("b.md", "other\n")
    bench.library().sync()
    bench.write("a.md", "one\ntwo\nfour\nfive\n")
    library = bench.library()
    report = library.sync()
    assert summary(report) == (0, 1, 0, 1)
    assert library._index.added == ["docs/a.md#8-13", "docs/a.md#13-18"]
    assert library._index.deleted == ["docs/a.md#8-14"]
    assert report.chunks == 3


def test_a_chunk_whose_text_changed_under_the_same_id_is_read_anew(bench):
    bench.write("a.md", "one\n")
    library = bench.library()
    assert library.search("one")[0].chunk.text == "one\n"
    bench.write("a.md", "two\n")
    library.sync()
    assert library.search("two")[0].chunk == library._store.chunks["docs/a.md#0-4"]
    assert library.search("two")[0].chunk.text == "two\n"


def test_deleted_files_go_out(bench):
    bench.write("a.md", "one\n")
    gone = bench.write("b.md", "one two\n")
    library = bench.library()
    library.sync()
    gone.unlink()
    assert summary(library.sync()) == (0, 0, 1, 1)
    assert library.search("two") == []
    assert [entry.id for entry in library.documents()] == ["docs/a.md"]


def test_a_touched_file_of_the_same_bytes_is_not_loaded_again(bench):
    path = bench.write("a.md", "one\n")
    library = bench.library()
    library.sync()
    os.utime(path, ns=(5, 5))
    assert summary(library.sync()) == (0, 0, 0, 1)
    assert library._params.loader.loaded == ["a.md"]
    assert library._store.folder.joinpath("index-2").exists() is False


def test_a_change_within_one_tick_of_the_clock_is_seen(bench):
    """Same size, same time: only a time that is old enough proves that nothing changed."""
    path = bench.docs / "a.md"
    path.write_text("one\n")
    time = path.stat().st_mtime_ns
    library = bench.library()
    library.sync()
    path.write_text("two\n")
    os.utime(path, ns=(time, time))
    assert summary(library.sync()) == (0, 1, 0, 0)
    assert len(library.search("two")) == 1


def test_an_unreadable_file_is_named_and_the_rest_goes_on(bench):
    bad = bench.write("a.md", "!broken\n")
    bench.write("b.md", "one\n")
    library = bench.library()
    report = library.sync()
    assert summary(report) == (1, 0, 0, 0)
    assert report.failed == ((str(bad), f"{bad} is broken; mend it"),)
    assert summary(library.sync()) == (0, 0, 0, 1)


def test_what_was_stored_of_a_file_that_broke_stays_and_is_said(bench):
    bench.write("a.md", "one\n")
    library = bench.library()
    library.sync()
    bench.write("a.md", "!broken\n")
    report = library.sync()
    assert report.failed[0][1].endswith("what was stored of it before is kept")
    assert library.search("one")[0].chunk.text == "one\n"
    bench.write("a.md", "two\n")
    assert summary(library.sync()) == (0, 1, 0, 0)


def test_files_above_max_megabytes_are_reported_unread(bench):
    big = bench.write("a.md", "x" * 1_000_001)
    library = bench.library(max_megabytes=1)
    report = library.sync()
    assert report.failed[0][0] == str(big)
    assert "max_megabytes is 1" in report.failed[0][1]
    assert library._params.loader.loaded == []


def test_an_empty_file_is_a_document_without_chunks(bench):
    bench.write("a.md", "")
    library = bench.library()
    assert summary(library.sync()) == (1, 0, 0, 0)
    assert library.text("docs/a.md") == ""
    assert library.search("one") == []
    assert summary(library.sync()) == (0, 0, 0, 1)


def test_no_files_at_all_is_an_empty_library(bench):
    library = bench.library()
    assert library.search("one") == []
    assert library.stats().documents == 0
    assert library.documents() == []


def test_only_suffixes_of_the_loader_are_taken_from_folders(bench):
    bench.write("a.md", "one\n")
    bench.write("b.PNG", "one\n")
    loader = bench.Loader()
    loader.suffixes = (".md",)
    assert summary(bench.library(loader=loader).sync()) == (1, 0, 0, 0)


def test_a_chunker_that_breaks_its_contract_fails_the_document_alone(bench):
    class Drifting(bench.Lines):
        def chunk(self, document: Document):
            for chunk in super().chunk(document):
                drift = Span(chunk.span.start + ("drift" in document.text), chunk.span.end)
                yield Chunk(chunk.id, chunk.document, chunk.text, drift)

    class Twice(bench.Lines):
        def chunk(self, document: Document):
            for _ in range(2):
                yield from super().chunk(document)

    bench.write("a.md", "drift\n")
    bench.write("b.md", "one\n")
    report = bench.library(chunker=Drifting()).sync()
    assert summary(report) == (1, 0, 0, 0)
    assert "not a piece of the document" in report.failed[0][1]
    report = bench.library("twice", chunker=Twice()).sync()
    assert report.added == 0
    assert all("two chunks the id" in reason for _, reason in report.failed)


def test_a_chunk_id_of_another_document_fails_the_second(bench):
    class Same(bench.Lines):
        def chunk(self, document: Document):
            yield Chunk("same", document.id, document.text, Span(0, len(document.text)))

    bench.write("a.md", "one\n")
    bench.write("b.md", "two\n")
    library = bench.library(chunker=Same())
    report = library.sync()
    assert (report.added, len(report.failed)) == (1, 1)
    assert [entry.id for entry in library.documents()] == ["docs/a.md"]
    assert library.search("two") == []


# ---------------------------------------------------------------- stages


def test_another_chunker_cuts_again_without_reading_files(bench):
    bench.write("a.md", "one\ntwo\nthree\n")
    bench.library().sync()
    library = bench.library(chunker=bench.Pairs())
    said = []
    run = Run(listener=lambda event: said.append(event.data.get("detail")))
    with run.active():
        report = library.sync()
    assert report.redone == ("chunk", "index")
    assert library._params.loader.loaded == []
    assert "the chunker changed: 1 documents (14 characters) are cut again" in said
    assert library.search("two")[0].chunk.text == "one\ntwo\n"
    assert library.sync().redone == ()


def test_another_loader_reads_again(bench):
    class OtherLoader(bench.Loader):
        pass

    bench.write("a.md", "one\n")
    bench.library().sync()
    library = bench.library(loader=OtherLoader())
    assert library.sync().redone == ("load", "chunk", "index")
    assert library._params.loader.loaded == ["a.md"]
    assert library._index.added == []  # the chunks came out the same


def test_another_index_is_built_from_the_store_alone(bench):
    bench.write("a.md", "one\ntwo\n")
    bench.library().sync()
    library = bench.library(index=bench.OtherWords())
    assert library.sync().redone == ("index",)
    assert library._params.loader.loaded == library._params.chunker.cut == []
    assert len(library._index.added) == 2
    assert bench.library(index=bench.OtherWords()).sync().redone == ()


def test_fingerprints_come_from_the_resolved_params(bench, tmp_path):
    """Techniques that dougong built are told apart by params, not by class alone."""
    pytest.importorskip("dougong_retriever_bm25")
    bench.write("a.md", "one\ntwo\n")

    def build(k1):
        loader, chunker = bench.Loader(), bench.Lines()
        parts = {"loader": loader, "chunker": chunker, "index": {"use": "bm25", "k1": k1}}
        return dougong.make("retriever.library", sources=[str(bench.docs)], path=str(tmp_path / "made"), **parts)

    assert build(1.5).sync().redone == ()
    assert build(1.5).sync().redone == ()
    assert build(0.9).sync().redone == ("index",)


def test_a_structure_tree_survives_storing_at_any_depth():
    leaf = Section("cell", Span(1, 2), 3, "题", (), {"page": 2})
    tree = Section("document", Span(0, 9), children=(leaf, Section("list", Span(3, 5), children=(leaf, leaf)), leaf))
    assert decode_tree(encode_tree(tree)) == tree
    assert decode_tree(encode_tree(None)) is None
    deep = leaf
    for _ in range(20_000):
        deep = Section("quote", Span(0, 9), children=(deep,))
    assert sum(1 for _ in decode_tree(encode_tree(deep)).walk()) == 20_001


def test_slices_of_long_documents_are_exact(bench, monkeypatch):
    monkeypatch.setattr(store_module, "BLOCK", 7)
    text = "".join(f"第{n}行 line {n} \U0001f469\u200d\U0001f680 e\u0301\n" for n in range(200))
    bench.write("a.md", text)
    library = bench.library(chunker=bench.Pairs())
    library.sync()
    chunks = sorted(library._store.chunks.values(), key=lambda chunk: chunk.span.start)
    assert library.text("docs/a.md") == text == "".join(chunk.text for chunk in chunks)
    assert [chunk.meta["line"] for chunk in chunks] == list(range(1, 201, 2))


# ---------------------------------------------------------------- sources


def test_a_source_that_never_was_is_an_error_that_names_it(bench):
    library = bench.library(sources=[bench.docs / "nowhere"])
    with pytest.raises(StoreError, match=r"nowhere.*correct the path"):
        library.sync()
    with pytest.raises(StoreError, match="nowhere"):
        library.search("one")


def test_a_source_that_vanished_keeps_what_is_stored(bench, caplog):
    bench.write("a.md", "one\n")
    bench.library().sync()
    shutil.move(bench.docs, bench.root / "elsewhere")
    library = bench.library()
    with pytest.raises(StoreError, match="docs"):
        library.sync()
    assert len(library.search("one")) == 1
    assert "searched as it was stored" in caplog.text
    shutil.move(bench.root / "elsewhere", bench.docs)
    assert summary(library.sync()) == (0, 0, 0, 1)


def test_sources_and_files_of_one_name_are_told_apart(bench):
    for folder in ("x/docs", "y/docs"):
        bench.write(f"{folder}/a.md", f"one {folder}\n")
    single = bench.write("z/docs", "one z\n")
    library = bench.library(sources=[bench.docs / "x/docs", bench.docs / "y/docs", single])
    library.sync()
    assert [entry.id for entry in library.documents()] == ["docs-2/a.md", "docs-3", "docs/a.md"]
    assert len(library.search("one")) == 3


def test_a_file_that_two_sources_share_is_taken_once(bench):
    bench.write("sub/a.md", "one\n")
    library = bench.library(sources=[bench.docs, bench.docs / "sub", bench.docs / "sub/a.md"])
    assert summary(library.sync()) == (1, 0, 0, 0)


def test_hidden_files_patterns_and_the_store_itself_are_left_out(bench):
    for name in (".git/a.md", "node_modules/b.md", "sub/__pycache__/c.md", "d.tmp", "drafts/e.md", "sub/drafts/f.md"):
        bench.write(name, "one\n")
    library = bench.library("docs/store", ignore=[".*", "node_modules", "__pycache__", "*.tmp", "drafts/*"])
    library.sync()
    library.sync()
    assert [entry.id for entry in library.documents()] == ["docs/sub/drafts/f.md"]


@pytest.mark.skipif(os.name == "nt", reason="symbolic links")
def test_links_are_not_followed_and_loops_end(bench):
    bench.write("a.md", "one\n")
    outside = bench.root / "secret.md"
    outside.write_text("one\n")
    (bench.docs / "loop").symlink_to(bench.docs)
    (bench.docs / "self").symlink_to(bench.docs / "self")
    (bench.docs / "same.md").symlink_to(bench.docs / "a.md")
    (bench.docs / "out.md").symlink_to(outside)
    library = bench.library()
    report = library.sync()
    assert summary(report) == (1, 0, 0, 0)
    assert [source for source, _ in report.failed] == [str(bench.docs / "out.md")]


@pytest.mark.skipif(os.name == "nt", reason="pipes")
def test_pipes_are_passed_over(bench):
    os.mkfifo(bench.docs / "pipe")
    assert summary(bench.library().sync()) == (0, 0, 0, 0)


def test_names_that_are_no_unicode_are_kept_apart(bench):
    for name in (b"caf\xe9.md", b"caf%E9.md", b"d\xff/a.md"):
        path = os.path.join(os.fsencode(bench.docs), name)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            Path(os.fsdecode(path)).write_text("one\n")
        except OSError:
            pytest.skip("this file system takes only Unicode names")
    library = bench.library()
    assert library.sync().failed == ()
    assert [entry.id for entry in library.documents()] == ["docs//caf%E9.md", "docs//d%FF/a.md", "docs/caf%E9.md"]
    assert [entry.source.encode() for entry in library.documents()]
    assert len(library.search("one")) == 3


def test_an_unreadable_folder_is_reported_and_what_is_stored_below_it_stays(bench, monkeypatch):
    bench.write("a.md", "one\n")
    bench.write("sub/b.md", "two\n")
    bench.write("sub2/c.md", "three\n")
    library = bench.library()
    library.sync()
    real = os.scandir

    def scandir(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    shutil.rmtree(bench.docs / "sub2")
    report = library.sync()
    assert summary(report) == (0, 0, 1, 1)
    assert report.failed == ((str(bench.docs / "sub"), "Permission denied; what was stored of it before is kept"),)
    assert len(library.search("two")) == 1


def test_a_source_that_vanishes_at_the_last_moment_keeps_what_is_stored(bench, monkeypatch):
    bench.write("a.md", "one\n")
    library = bench.library()
    library.sync()

    def scandir(path):
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr(os, "scandir", scandir)
    assert library.sync().failed[0][1].endswith("what was stored of it before is kept")
    assert len(library.search("one")) == 1


def test_a_file_that_vanishes_during_the_sync_is_gone_not_failed(bench):
    class Vanishing(bench.Loader):
        def load(self, source: Path) -> Document:
            if source.exists():
                source.unlink()
            return super().load(source)

    bench.write("a.md", "one\n")
    bench.library().sync()
    bench.write("a.md", "two\n")
    bench.write("b.md", "two\n")
    library = bench.library(loader=Vanishing())
    report = library.sync()
    assert (summary(report), report.failed) == ((0, 0, 1, 0), ())
    assert library.documents() == []


# ---------------------------------------------------------------- cancelling


def test_a_cancelled_sync_keeps_what_it_did_and_the_next_goes_on(bench, monkeypatch):
    for n in range(10):
        bench.write(f"{n}.md", f"one {n}\n")
    library = bench.library()
    run = Run(listener=lambda event: event.data.get("done") == 4 and run.cancel())
    with run.active(), pytest.raises(Cancelled):
        library.sync()
    assert len(library.documents()) == 5
    library._params.loader.loaded.clear()
    assert summary(library.sync()) == (5, 0, 0, 5)
    assert len(library._params.loader.loaded) == 5
    assert len(library.search("one", 20)) == 10


def test_a_sync_cancelled_while_indexing_leaves_a_library_that_searches_right(bench, monkeypatch):
    monkeypatch.setattr(library_module, "PART", 2)
    monkeypatch.setattr(sync_module, "BATCH", 0)
    for n in range(6):
        bench.write(f"{n}.md", f"one {n}\n")
    library = bench.library()

    class Failing(bench.Words):
        left = 3

        def add(self, chunks):
            for chunk in chunks:
                self.left -= 1
                if not self.left:
                    raise Cancelled("the run was cancelled")
                super().add([chunk])

    library = bench.library(index=Failing())
    with pytest.raises(Cancelled):
        library.sync()
    assert len(library.search("one", 20)) == 6
    assert bench.content(library) == bench.content(bench.library("fresh"))


# ---------------------------------------------------------------- threads


def test_searches_from_many_threads_while_another_syncs(bench):
    """Each search sees the store as of one commit: all chunks of a document, or none."""
    for n in range(8):
        bench.write(f"{n}.md", "one\n" * 5)
    library, other = bench.library(), bench.library()
    library.sync()
    stop, problems = threading.Event(), []

    def searching():
        while not stop.is_set():
            try:
                hits = library.search("one", 1000)
                if len(hits) % 5 or any(hit.chunk.text != "one\n" for hit in hits):
                    problems.append(len(hits))
            except Exception as problem:
                problems.append(problem)

    threads = [threading.Thread(target=searching) for _ in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(15):
        bench.write(f"{turn % 8}.md", "one\n" * 5 * (turn % 3 + 1))
        bench.write(f"new{turn}.md", "one\n" * 5)
        (library if turn % 2 else other).sync()
    stop.set()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(library.search("one", 1000)) == len(bench.library("fresh").search("one", 1000))


def test_an_index_is_never_changed_during_a_search_and_searches_run_side_by_side(bench):
    meeting = threading.Barrier(2, timeout=10)
    entered, leave = threading.Event(), threading.Event()

    class Watched(bench.Words):
        searching, overlaps = 0, 0

        def search(self, query, k=10, where=None):
            self.searching += 1
            if query == "together":
                meeting.wait()
            if query == "long":
                entered.set()
                leave.wait(10)
            self.searching -= 1
            return super().search(query, k, where)

        def delete(self, ids):
            self.overlaps += self.searching
            super().delete(ids)

    bench.write("a.md", "one\n")
    library = bench.library(index=Watched())
    library.sync()
    pair = [threading.Thread(target=library.search, args=("together",)) for _ in range(2)]
    for thread in pair:
        thread.start()
    for thread in pair:
        thread.join()
    assert not meeting.broken
    bench.write("b.md", "one\n")
    searching = threading.Thread(target=library.search, args=("long",))
    syncing = threading.Thread(target=library.sync)
    searching.start()
    entered.wait(10)
    syncing.start()
    syncing.join(0.2)
    assert syncing.is_alive()
    leave.set()
    searching.join()
    syncing.join()
    assert library._index.overlaps == 0
    assert len(library.search("one")) == 2


# ---------------------------------------------------------------- params


def test_params_are_checked():
    parts = {"loader": None, "chunker": None, "index": None}
    with pytest.raises(ValueError, match="at least one file or folder"):
        Params(sources=[], **parts)
    with pytest.raises(ValueError, match="1 or more"):
        Params(sources=[Path(".")], max_megabytes=0, **parts)
    with pytest.raises(ValueError, match="not empty"):
        Params(sources=[Path(".")], ignore=["/"], **parts)


def test_k_is_checked(bench):
    with pytest.raises(ValueError, match="k must be"):
        bench.library().search("one", 0)


def test_stats_and_close(bench):
    bench.write("a.md", "one\n检索\n")
    library = bench.library()
    library.sync()
    stats = library.stats()
    assert (stats.documents, stats.chunks, stats.characters, stats.generation) == (1, 2, 7, 1)
    assert stats.megabytes > 0
    library.close()
    assert len(library.search("one")) == 1
    with pytest.raises(KeyError):
        library.text("docs/none.md")
