"""A Ray of this machine builds what one process builds; skipped where Ray is not installed or cannot start."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import dougong
import pytest
from dougong import BuildError, Cancelled, Run, StoreError
from dougong_retriever_library.stages import Failed

PROSE = "# Title {n}\n\nBrackets of part {n} carry the roof.\n\n斗拱第{n}号 supports 屋顶。\n\n- one\n- two {n}\n"
without = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")


@pytest.fixture(scope="module")
def ray():
    module = pytest.importorskip("ray", reason="Ray is not installed")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        module.init(
            address="local", num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False
        )
    except Exception as problem:
        pytest.skip(f"Ray cannot start here: {problem}")
    yield module
    module.shutdown()


def fill(folder: Path, files: int = 90) -> None:
    for n in range(files):
        path = folder / "docs" / f"{n % 7}" / f"{n:03}.{'md' if n % 3 else 'txt'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PROSE.format(n=n) * (1 + n % 5), encoding="utf-8")
        os.utime(path, ns=(10**18, 10**18))


def make(folder: Path, name: str, **params):
    params = {"chunker": {"use": "recursive", "size": 20}} | params
    if name == "library-ray":
        params.setdefault("from_megabytes", 0)
    return dougong.make(f"retriever.{name}", sources=[str(folder / "docs")], path=str(folder / name), **params)


def everything(library):
    """Each row of each table, but for commit numbers, which depend on the clock."""
    library.search("roof")
    columns = {"documents": "*", "texts": "*", "trees": "*"}
    columns["chunks"] = "id, document, start, end, headings, context, tokens, oversize, meta, signature"
    with library._store.reading() as view:
        rows = {table: view.rows(f"SELECT {what} FROM {table} ORDER BY 1, 2") for table, what in columns.items()}
    return rows, [[(hit.chunk, hit.score) for hit in library.search(query, 20)] for query in ("roof", "屋顶", "two 7")]


def summary(report):
    return report.added, report.updated, report.deleted, report.unchanged, report.chunks, report.failed, report.redone


def test_a_cluster_builds_what_one_process_builds(tmp_path, ray):
    """Row by row and hit by hit: at first, after changes, for a file that cannot be read, and after another chunker."""
    fill(tmp_path)
    (tmp_path / "docs" / "bad.docx").write_bytes(b"PK\x03\x04 cut")
    alone, many = make(tmp_path, "library", workers=0), make(tmp_path, "library-ray")
    first = alone.sync()
    assert (first.added, len(first.failed)) == (90, 1)
    assert summary(many.sync()) == summary(first)
    assert everything(many) == everything(alone)
    for n in range(0, 90, 8):
        path = next((tmp_path / "docs").glob(f"*/{n:03}.*"))
        path.write_text("新的 new paragraph\n\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
        os.utime(path, ns=(10**18 + 1, 10**18 + 1))
    next((tmp_path / "docs").glob("*/001.*")).unlink()
    assert summary(many.sync()) == summary(alone.sync())
    assert everything(many) == everything(alone)
    chunker = {"use": "recursive", "size": 9}
    alone, many = (make(tmp_path, name, chunker=chunker) for name in ("library", "library-ray"))
    assert summary(many.sync()) == summary(alone.sync())
    assert everything(many) == everything(alone)


def test_a_task_on_the_cluster_reads_the_files(tmp_path, ray, monkeypatch):
    from dougong_retriever_library.stages import Stages

    fill(tmp_path, 9)
    library = make(tmp_path, "library-ray")
    monkeypatch.setattr(Stages, "attempt", lambda self, task: Failed("read by the process of the run"))
    assert library.sync().added == 9


def test_little_to_read_is_read_in_this_process(tmp_path, ray, monkeypatch):
    monkeypatch.setattr(ray, "remote", None)
    fill(tmp_path, 9)
    assert make(tmp_path, "library-ray", from_megabytes=1).sync().added == 9


def test_a_node_with_another_version_leaves_the_work_to_this_process(tmp_path, ray, monkeypatch):
    from dougong_retriever_library_ray import cluster

    monkeypatch.setattr(cluster, "_prints", lambda stages: ["another", "version", "here"])
    fill(tmp_path, 9)
    assert make(tmp_path, "library-ray").sync().added == 9


def test_a_cancelled_sync_goes_on_later(tmp_path, ray):
    fill(tmp_path)
    library = make(tmp_path, "library-ray", workers=1)
    run = Run(listener=lambda event: event.data.get("done") == 70 and run.cancel())
    with pytest.raises(Cancelled), run.active():
        library.sync()
    assert library.sync().failed == ()
    assert everything(library) == everything(make(tmp_path, "library", workers=0))


def test_a_task_whose_process_dies_fails_its_file_and_no_other(tmp_path, ray, monkeypatch):
    from dougong_retriever_library_ray import cluster

    real = cluster.attempts

    def attempts(order, prints, lines):
        if any("bad.md" in line for line in lines):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(order, prints, lines)

    monkeypatch.setattr(cluster, "attempts", attempts)
    fill(tmp_path, 12)
    bad = tmp_path / "docs" / "bad.md"
    bad.write_text("fatal\n")
    report = make(tmp_path, "library-ray").sync()
    assert report.added == 12
    ((source, reason),) = report.failed
    assert source == str(bad)
    assert "Ray worker" in reason


@pytest.mark.slow
@without
@pytest.mark.parametrize("commits", [1, 4])
def test_a_killed_sync_goes_on_from_there(tmp_path, commits):
    """It starts a Ray of its own, and is killed with SIGKILL after some commits."""
    fill(tmp_path, 300)
    program = f"""
        import os, signal, sys, dougong
        from dougong_retriever_library import store, sync
        sync.BATCH = 0
        commit, count = store.Writer.commit, [0]
        def counted(self):
            commit(self)
            count[0] += 1
            if count[0] == {commits * 30}:
                os.kill(os.getpid(), signal.SIGKILL)
        store.Writer.commit = counted
        dougong.make("retriever.library-ray", sources=[{str(tmp_path / "docs")!r}], from_megabytes=0,
            path={str(tmp_path / "library-ray")!r}, chunker={{"use": "recursive", "size": 20}}).sync()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr
    time.sleep(1)
    library = make(tmp_path, "library-ray", workers=2, from_megabytes=1e6)
    report = library.sync()
    assert 0 < report.unchanged < 300
    assert report.added + report.unchanged == 300
    assert everything(library) == everything(make(tmp_path, "library", workers=0))


@without
def test_no_cluster_at_the_address_is_said(tmp_path):
    import ray

    if ray.is_initialized():
        ray.shutdown()
    fill(tmp_path, 3)
    with pytest.raises(StoreError, match=r"no Ray cluster at '127\.0\.0\.1:1'"):
        make(tmp_path, "library-ray", address="127.0.0.1:1").sync()


def test_without_ray_the_cure_is_said(tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else real(name, *rest))
    (tmp_path / "docs").mkdir()
    with pytest.raises(BuildError, match="Ray is not installed") as error:
        make(tmp_path, "library-ray")
    assert "dougong-retriever-library-ray[ray]" in str(error.value)
