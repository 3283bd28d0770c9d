"""Worker processes change how fast a library is built, and nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import dougong
import pytest
from dougong import Cancelled, Run
from dougong.assemble import installed
from dougong_retriever_library import workers as workers_module
from dougong_retriever_library.rows import Packed
from dougong_retriever_library.stages import Done, Failed, Stages, Task, in_turn
from dougong_retriever_library.store import Stored
from dougong_retriever_library.walk import Found
from dougong_retriever_library.wire import result_from, result_to, task_from, task_to
from dougong_retriever_library.workers import Workers, executor

PROSE = "# Title {n}\n\nBrackets of part {n} carry the roof.\n\n斗拱第{n}号 supports 屋顶。\n\n- one\n- two {n}\n"
FATAL = '''
import os, signal, sys
import attrs
from dougong import Document, Technique, hookimpl

@attrs.frozen
class Params:
    """parent: the process that survives."""
    parent: int

class Fatal:
    suffixes = (".md",)
    def __init__(self, params):
        self.params = params
    def load(self, source):
        text = source.read_text(encoding="utf-8")
        print("what a loader prints goes nowhere near the results")
        if "!die" in text and os.getpid() != self.params.parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return Document(str(source), text)

@hookimpl
def dougong_loaders():
    return [Technique("fatal", Params, "fatal_loader:Fatal", summary="Dies.", source="none")]
'''


def fill(folder: Path, files: int = 90) -> None:
    """More groups than one process is sent at once."""
    for n in range(files):
        path = folder / f"{n % 7}" / f"{n:03}.{'md' if n % 3 else 'txt'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PROSE.format(n=n) * (1 + n % 5), encoding="utf-8")
        os.utime(path, ns=(10**18, 10**18))


def make(bench, path: str, **params):
    params = {"chunker": {"use": "recursive", "size": 20}} | params
    return dougong.make("retriever.library", sources=[str(bench.docs)], path=str(bench.root / path), **params)


def everything(library):
    """Each row of each table, but for commit numbers, which depend on the clock."""
    library.search("roof")
    columns = {
        "documents": "*",
        "texts": "*",
        "trees": "*",
        "chunks": "id, document, start, end, headings, context, tokens, oversize, meta, signature",
    }
    with library._store.reading() as view:
        rows = {table: view.rows(f"SELECT {what} FROM {table} ORDER BY 1, 2") for table, what in columns.items()}
    hits = [[(hit.chunk, hit.score) for hit in library.search(query, 20)] for query in ("roof", "屋顶", "two 7")]
    return rows, hits


def summary(report):
    return report.added, report.updated, report.deleted, report.unchanged, report.chunks, report.failed, report.redone


def test_workers_build_what_one_process_builds(bench):
    """Row by row and hit by hit, also after changes, for failing files, and after another chunker."""
    fill(bench.docs)
    (bench.docs / "bad.docx").write_bytes(b"PK\x03\x04 cut")
    (bench.docs / "large.md").write_text("x" * 1_000_001)
    alone, many = (make(bench, f"{n}", workers=n, max_megabytes=1) for n in (0, 3))
    first = alone.sync()
    assert len(first.failed) == 2
    assert summary(many.sync()) == summary(first)
    assert everything(many) == everything(alone)
    for n in range(0, 90, 8):
        path = next(bench.docs.glob(f"*/{n:03}.*"))
        path.write_text("新的 new paragraph\n\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    next(bench.docs.glob("*/001.*")).unlink()
    time.sleep(2.1)  # so that both trust the times of what was just written
    assert summary(many.sync()) == summary(alone.sync())
    assert everything(many) == everything(alone)
    chunker = {"use": "recursive", "size": 9}
    alone, many = (make(bench, f"{n}", workers=n, chunker=chunker, max_megabytes=1) for n in (0, 3))
    report = many.sync()
    assert report.redone == ("chunk", "index")
    assert summary(report) == summary(alone.sync())
    assert everything(many) == everything(alone)


def test_what_workers_prepare_for_the_index_gives_the_hits_of_chunks_added_to_it(bench, monkeypatch):
    from dougong_retriever_bm25.index import BM25

    fill(bench.docs)
    library = make(bench, "prepared", workers=2)
    with monkeypatch.context() as patch:
        patch.setattr(BM25, "add", lambda self, chunks: list(chunks) and pytest.fail("chunks were read back"))
        library.sync()
    monkeypatch.delattr(BM25, "prepare")
    plain = make(bench, "plain", workers=0)
    assert everything(library) == everything(plain)


def test_a_small_folder_starts_no_process(bench, monkeypatch):
    monkeypatch.setattr(workers_module, "Worker", None)
    bench.write("a.md", "one\n")
    assert make(bench, "library").sync().added == 1


def test_enough_to_read_starts_workers_on_several_processors(bench, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(12)), raising=False)
    library = make(bench, "library")
    limits = (library._params.loader, library._params.chunker, "", "", 1, library._store.document)
    files = [Found(f"{n}", f"{n}", f"{n}", workers_module.WORTH // 2, 0) for n in range(2)]
    assert executor(Stages(*limits), files, bench.root, None)._number == workers_module.MOST
    assert executor(Stages(*limits), files[:1], bench.root, None) is in_turn
    assert executor(Stages(*limits), files, bench.root, 0) is in_turn
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0}, raising=False)
    assert executor(Stages(*limits), files, bench.root, None) is in_turn


def test_stages_made_by_hand_stay_in_this_process(bench):
    """So do those that call models: their calls belong to this process's run."""
    fill(bench.docs, 3)
    library = bench.library(workers=2)
    assert library.sync().added == 3
    assert len(library._params.loader.loaded) == 3


@pytest.fixture
def fatal(tmp_path, monkeypatch):
    """An installed loader that kills its process at files with ``!die``, but for this one."""
    place = tmp_path / "site"
    info = place / "fatal_loader-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fatal-loader\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dougong.v1]\nloader.fatal = fatal_loader\n")
    (place / "fatal_loader.py").write_text(FATAL)
    monkeypatch.syspath_prepend(str(place))
    installed.cache_clear()
    yield {"use": "fatal", "parent": os.getpid()}
    installed.cache_clear()


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_worker_that_dies_fails_the_file_it_was_at_and_no_other(bench, fatal):
    fill(bench.docs)
    bad = [next(bench.docs.glob(f"*/{n:03}.md")) for n in (4, 5, 40)]
    for path in bad:
        path.write_text("!die\n")
    library = make(bench, "library", workers=2, loader=fatal)
    report = library.sync()
    assert sorted(source for source, _ in report.failed) == sorted(map(str, bad))
    assert all("worker process that read it died (SIGKILL)" in reason for _, reason in report.failed)
    assert report.added == len(list(bench.docs.rglob("*.md"))) - 3
    fresh = make(bench, "fresh", workers=0, loader=fatal)
    assert fresh.sync().failed == ()
    for path in bad:
        path.write_text("well again\n")
    assert library.sync().added == 3


def test_workers_that_cannot_build_the_stages_leave_the_work_to_this_process(bench, caplog):
    bench.write("a.md", "one\n")
    bench.write("b.md", "two\n")
    order = {"loader": {"use": "loader.nothing"}, "chunker": {"use": "chunker.nothing"}}
    library = bench.library()
    library._executor = Workers(order | {"prints": ["", ""], "max_megabytes": 1, "store": "none"}, 2)
    assert library.sync().added == 2
    assert "cannot build the stages" in caplog.text


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="/proc")
def test_a_cancelled_sync_leaves_no_process(bench):
    fill(bench.docs)
    before = children()
    library = make(bench, "library", workers=2)
    run = Run(listener=lambda event: event.data.get("done") == 70 and run.cancel())
    with pytest.raises(Cancelled), run.active():
        library.sync()
    assert children() == before
    assert library.sync().failed == ()
    assert everything(library) == everything(make(bench, "fresh", workers=0))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="/proc")
@pytest.mark.parametrize("after", [0.6, *(pytest.param(t, marks=pytest.mark.slow) for t in (0.1, 0.3, 0.9, 1.3))])
def test_a_killed_sync_leaves_no_process_and_goes_on_from_there(bench, after):
    fill(bench.docs, 200)
    program = f"""
        import dougong
        from dougong_retriever_library import sync
        sync.BATCH = 0
        library = dougong.make("retriever.library", sources=[{str(bench.docs)!r}],
            path={str(bench.root / "library")!r}, workers=2, chunker={{"use": "recursive", "size": 20}})
        print("ready", flush=True)
        library.sync()
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(after)
    started = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 30
    while any(alive(pid) for pid in started):
        assert time.monotonic() < deadline, f"of {started} one still runs"
        time.sleep(0.05)
    library = make(bench, "library", workers=2)
    library.sync()
    fresh = make(bench, "fresh", workers=0)
    fresh.sync()
    got, want = everything(library), everything(fresh)
    assert got == want
    library.close()
    fresh.close()
    shutil.rmtree(bench.root / "fresh")


def alive(pid: str) -> bool:
    try:
        return "dougong_retriever_library" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def test_tasks_and_results_survive_the_wire():
    """Also names that are no Unicode, and texts that no line could hold."""
    file = Found("docs//%FF", os.fsdecode(b"/x/\xff\n\xe6"), "x \ufffd\n", 2**40, -1)
    known = Stored(7, file.id, "x", 1, 2, b"\x00\xff", "load", "chunk", 9)
    for task in (Task(file, None), Task(file, known)):
        assert task_from(task_to(task)) == task
        assert "\n" not in task_to(task)
    row = ("id\n", 0, 3, "[]", "", None, None, -1, 0, '{"line":1}', b"\x01\xfe")
    packed = Packed("第\r\n\u2028\x00一", "{}", b"\x00\xffz", [row, row])
    for result in (None, Failed("no\nway 文"), Done(b"\x00\x01", 5), Done(b"\xff", -1, packed, True)):
        assert result_from(result_to(result)) == result
        assert "\n" not in result_to(result)


def test_any_executor_may_do_the_loading(bench):
    """What `retriever.library-ray` or a farm of one's own would give: results in the order of the tasks."""
    seen = []

    def elsewhere(stages, tasks):
        for task in tasks:
            seen.append(task.file.id)
            yield task_from(task_to(task)), result_from(result_to(stages.attempt(task_from(task_to(task)))))

    fill(bench.docs, 9)
    library = bench.library()
    library._executor = elsewhere
    assert library.sync().added == 9
    assert len(seen) == 9
    assert bench.content(library) == bench.content(bench.library("fresh"))


def test_a_process_that_cannot_be_started_leaves_the_work_to_this_one(bench, monkeypatch, caplog):
    fill(bench.docs, 9)
    library = make(bench, "library", workers=2)
    monkeypatch.setattr(sys, "executable", str(bench.root / "nothing"))
    assert library.sync().added == 9
    assert "files are read in this process" in caplog.text


def test_an_error_while_storing_ends_the_processes(bench, monkeypatch):
    from dougong_retriever_library.store import Writer

    ended = []
    close = workers_module.Worker._close
    monkeypatch.setattr(workers_module.Worker, "_close", lambda self: ended.append(close(self)))

    def full(self, stored, packed, keep_text):
        raise dougong.StoreError("the disk is full")

    monkeypatch.setattr(Writer, "put", full)
    fill(bench.docs, 9)
    with pytest.raises(dougong.StoreError) as error:
        make(bench, "library", workers=2).sync()
    assert len(ended) == 2, error  # while the error, and with it the frame, is still held
