"""What a library does when its store is locked, foreign, damaged, read-only or full."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
from dougong import StoreError
from dougong_retriever_library import store as store_module
from dougong_retriever_library.store import Store


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(Store.__init__, "__defaults__", (0.05,))


def edit(bench, *statements):
    connection = sqlite3.connect(bench.root / "library" / "library.sqlite")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


# ---------------------------------------------------------------- one writer


def test_a_second_writer_is_told_who_writes_and_what_to_do(bench):
    bench.write("a.md", "one\n")
    first, second = bench.library(), bench.library()
    first.sync()
    bench.write("a.md", "two\n")
    with first._store.writing(), pytest.raises(StoreError, match=rf"written by process {os.getpid()} on .*wait"):
        second.sync()
    assert second.sync().updated == 1


def test_searching_goes_on_while_another_writes(bench, caplog):
    bench.write("a.md", "one\n")
    first, second = bench.library(), bench.library()
    first.sync()
    bench.write("a.md", "two\n")
    with first._store.writing():
        assert len(second.search("one")) == 1
    assert "being written by" in caplog.text


def test_a_second_writer_that_need_not_write_is_not_stopped(bench):
    bench.write("a.md", "one\n")
    bench.write("b.md", "!broken\n")
    first, second = bench.library(), bench.library()
    first.sync()
    with first._store.writing():
        report = second.sync()
    assert (report.unchanged, len(report.failed)) == (1, 1)


def test_a_lock_dies_with_its_process(bench):
    bench.write("a.md", "one\n")
    bench.library().sync()
    program = """
        import os, pathlib, signal, sys
        from dougong_retriever_library.store import Store
        with Store(pathlib.Path(sys.argv[1])).writing() as writer:
            writer.begin()
            os.kill(os.getpid(), signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(bench.root / "library")], check=False)
    bench.write("a.md", "two\n")
    assert bench.library().sync().updated == 1


def test_a_reader_follows_what_another_process_writes_without_syncing(bench):
    bench.write("a.md", "one\n")
    reader, writer = bench.library(), bench.library()
    assert len(reader.search("one")) == 1
    for n in range(4):
        bench.write(f"new{n}.md", "one\n")
        writer.sync()
        assert len(reader.search("one")) == n + 2
    assert len(list((bench.root / "library").glob("index-*"))) == 2


def test_a_reader_that_fell_far_behind_loads_the_index_in_force(bench):
    bench.write("a.md", "one\n")
    reader, writer = bench.library(), bench.library()
    assert len(reader.search("one")) == 1
    for n in range(4):
        bench.write("a.md", f"two {n}\n")
        writer.sync()
    assert reader.search("one") == []
    assert len(reader.search("two")) == 1


# ---------------------------------------------------------------- versions and damage


@pytest.mark.parametrize("content", [b"not a database at all, but text" * 100, None])
def test_a_foreign_file_is_refused_and_left_alone(bench, content):
    bench.write("a.md", "one\n")
    file = bench.root / "library" / "library.sqlite"
    file.parent.mkdir()
    if content is None:
        with sqlite3.connect(file) as connection:
            connection.execute("CREATE TABLE photos (name)")
        connection.close()
    else:
        file.write_bytes(content)
    before = file.read_bytes()
    for call in (lambda library: library.sync(), lambda library: library.search("one")):
        with pytest.raises(StoreError, match=r"not a dougong library|no SQLite database"):
            call(bench.library())
    assert file.read_bytes() == before


def test_a_newer_version_is_refused_and_left_alone(bench):
    bench.write("a.md", "one\n")
    bench.library().sync()
    edit(bench, "PRAGMA user_version = 99")
    for call in (lambda library: library.sync(), lambda library: library.documents()):
        with pytest.raises(StoreError, match=r"format 99.*pip install -U"):
            call(bench.library())


def test_an_older_version_is_taken_forward(bench, monkeypatch):
    bench.write("a.md", "one\n")
    bench.library().sync()
    more = ("CREATE TABLE later (x)", "INSERT INTO later VALUES (7)")
    monkeypatch.setattr(store_module, "MIGRATIONS", [*store_module.MIGRATIONS, more])
    library = bench.library()
    assert library.sync().unchanged == 1
    assert len(library.search("one")) == 1
    with library._store.reading() as view:
        assert view.rows("SELECT x FROM later") == [(7,)]


def test_a_damaged_database_is_refused_with_the_cure(bench):
    for n in range(50):
        bench.write(f"{n}.md", "one\n" * 100)
    library = bench.library()
    library.sync()
    library.close()
    file = bench.root / "library" / "library.sqlite"
    data = bytearray(file.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    file.write_bytes(data)
    bench.write("0.md", "two\n")
    with pytest.raises(StoreError, match=r"damaged.*the next sync builds it"):
        bench.library().sync()
    assert file.read_bytes() == bytes(data)
    shutil.rmtree(bench.root / "library")
    assert bench.library().sync().added == 50


def test_an_empty_file_where_the_database_was_to_be_is_a_new_library(bench):
    """What a crash at the very first moment leaves."""
    bench.write("a.md", "one\n")
    (bench.root / "library").mkdir()
    (bench.root / "library" / "library.sqlite").touch()
    assert len(bench.library().search("one")) == 1


@pytest.mark.parametrize("harm", [shutil.rmtree, lambda folder: (folder / "words.json").write_text("{")])
def test_a_lost_or_damaged_index_is_built_from_the_store_and_said(bench, harm, caplog):
    bench.write("a.md", "one\n")
    bench.library().sync()
    harm(bench.root / "library" / "index-1")
    library = bench.library()
    report = library.sync()
    assert "it is built anew from the store" in caplog.text
    assert (report.unchanged, library._params.loader.loaded) == (1, [])
    assert len(library.search("one")) == 1
    caplog.clear()
    assert len(bench.library().search("one")) == 1
    assert caplog.text == ""


def test_a_library_that_is_replaced_while_open_says_so(bench):
    bench.write("a.md", "one\n")
    library = bench.library()
    library.sync()
    shutil.rmtree(bench.root / "library")
    bench.write("a.md", "two\n")
    with pytest.raises(StoreError, match="replaced"):
        library.sync()
    assert len(bench.library().search("two")) == 1


# ---------------------------------------------------------------- the index follows the store


def test_an_index_behind_the_store_gets_the_difference_only(bench):
    bench.write("a.md", "one\n")
    bench.write("b.md", "two\n")
    bench.library().sync()

    class Stopping(bench.Words):
        def save(self, folder):
            raise KeyboardInterrupt

    bench.write("a.md", "three\n")
    bench.docs.joinpath("b.md").unlink()
    with pytest.raises(KeyboardInterrupt):
        bench.library(index=type("Words", (Stopping,), {"__module__": bench.Words.__module__})()).sync()
    library = bench.library()
    assert len(library.search("three")) == 1
    assert library.search("two") == []
    assert library._index.added == ["docs/a.md#0-6"]
    assert library._params.loader.loaded == []
    assert len(list((bench.root / "library").glob("index-*"))) == 2


def test_a_long_build_saves_the_index_on_the_way(bench, monkeypatch):
    from dougong_retriever_library import library as library_module

    monkeypatch.setattr(library_module, "PART", 3)
    monkeypatch.setattr(library_module, "SHARE", 0)
    monkeypatch.setattr(library_module.time, "monotonic", iter(range(10**6)).__next__)
    for n in range(10):
        bench.write(f"{n}.md", "one\n")

    class Dying(bench.Words):
        def add(self, chunks):
            super().add(chunks)
            if len(self.words) > 8:
                raise MemoryError

    with pytest.raises(MemoryError):
        bench.library(index=type("Words", (Dying,), {"__module__": bench.Words.__module__})()).sync()
    monkeypatch.undo()
    library = bench.library()
    assert len(library.search("one", 20)) == 10
    assert library._index.added == [f"docs/{n}.md#0-4" for n in range(6, 10)]


# ---------------------------------------------------------------- no room, no rights


def test_a_full_disk_is_said_and_nothing_is_lost(bench, monkeypatch):
    bench.write("a.md", "one\n")
    library = bench.library()
    library.sync()
    bench.write("b.md", "two " * 100_000)
    real = Store._open

    def small(self, options):
        connection = real(self, options)
        connection.execute("PRAGMA max_page_count = 40")
        return connection

    monkeypatch.setattr(Store, "_open", small)
    with pytest.raises(StoreError, match="the disk is full; free space"):
        library.sync()
    assert len(library.search("one")) == 1
    monkeypatch.undo()
    assert library.sync().added == 1


def test_a_disk_that_fills_while_the_index_is_saved_is_said_and_nothing_is_lost(bench):
    class Full(bench.Words):
        full = False

        def save(self, folder):
            super().save(folder)
            if self.full:
                raise OSError(28, "No space left on device", str(folder))

    bench.write("a.md", "one\n")
    library = bench.library(index=Full())
    library.sync()
    library._index.full = True
    bench.write("b.md", "one\n")
    with pytest.raises(StoreError, match=r"No space left.*free space"):
        library.sync()
    assert sorted(path.name for path in (bench.root / "library").glob("index-*")) == ["index-1"]
    assert len(library.search("one")) == 2
    library._index.full = False
    library.sync()
    assert sorted(path.name for path in (bench.root / "library").glob("index-*")) == ["index-1", "index-2"]


READER = """
    import logging, os, pathlib, sys
    sys.path.insert(0, sys.argv[1])
    logging.disable()
    from conftest import Bench
    from dougong import StoreError
    import dougong.assemble, dougong_retriever_library.library, encodings.idna
    root = pathlib.Path(sys.argv[2])
    bench = object.__new__(Bench)
    bench.root, bench.docs = root, root / "docs"
    first = bench.library()
    first.sync()
    if sys.argv[3] == "closed":  # else as a crash leaves it, its log beside it
        first.close()
    for path in [*root.rglob("*"), root]:
        path.chmod(0o555)
    if os.geteuid() == 0:  # whom permissions do not bind
        os.setgid(65534)
        os.setuid(65534)
    library = bench.library()
    print(library.sync().unchanged, len(library.search("one")))
    library = bench.library(index=bench.OtherWords())
    try:
        library.sync()
    except StoreError as problem:
        print(problem)
    print(len(library.search("one")))
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
@pytest.mark.parametrize("left", ["closed", "open"])
def test_a_read_only_library_is_searched_and_sync_says_that_it_cannot_write(bench, left):
    bench.write("a.md", "one\n")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(bench.docs, f"{folder}/docs")
        program = [sys.executable, "-c", textwrap.dedent(READER), os.path.dirname(__file__), folder, left]
        done = subprocess.run(program, capture_output=True, text=True, check=False)
        for path in [Path(folder), *Path(folder).rglob("*")]:
            path.chmod(0o755)
    first, refusal, last = done.stdout.splitlines() or [done.stderr, "", ""]
    assert (first, last) == ("1 1", "1")
    assert "ermi" in refusal or "readonly" in refusal
    assert "mend the permissions" in refusal
