"""A library whose process is killed (SIGKILL) at any moment goes on from there, and ends as a fresh build would."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("child.py")
_spec = importlib.util.spec_from_file_location("faults_child", CHILD)
child = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(child)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL")

WORDS = ["rope", "attention", "cache", "检索", "索引", "分块", "vector", "merge", "split", "query"]


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    monkeypatch.setattr(child.sync, "BATCH", 0)
    monkeypatch.setattr(child.library, "PART", 8)
    monkeypatch.setattr(child.library, "SHARE", 0)


def write_docs(root, files, rng):
    """Some files new, some changed, some removed."""
    docs = root / "docs"
    docs.mkdir(exist_ok=True)
    for path in sorted(docs.iterdir()):
        if rng.random() < 0.3:
            path.unlink()
    for n in range(files):
        path = docs / f"{n}.md"
        if not path.exists() or rng.random() < 0.3:
            lines = (" ".join(rng.choices(WORDS, k=rng.randint(1, 9))) for _ in range(rng.randint(0, 6)))
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            os.utime(path, ns=(10**18, 10**18 + rng.randrange(10**9)))


def start(root, die_at=0, under=()):
    environment = {**os.environ, "DIE_AT": str(die_at)}
    command = [*under, sys.executable, str(CHILD), str(root)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def finish(process):
    """The points that the process passed; None if it was killed."""
    text = process.communicate(timeout=60)[0]
    return int(text) if process.returncode == 0 else None


def content(library):
    hits = [[(hit.chunk, hit.score) for hit in library.search(word, 100)] for word in [*WORDS, "rope 检索 query"]]
    texts = [library.text(entry.id) for entry in library.documents()]
    return library.documents(), texts, sorted(library._store.chunks.items()), hits


def logged(root):
    file = root / "log"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return Counter(line.split()[0] for line in lines)


def check_that_it_goes_on(root):
    """Sync again, in this process: what is committed is not done again, and all is as in a fresh build."""
    library = child.open_library(root)
    with library._store.reading() as view:
        state = view.state() if view else None
        behind = view.count(state.covers) if view else 0
    stored = library.documents() if state is not None else []
    before = logged(root)
    report = library.sync()
    done = logged(root) - before
    # Loads are of documents that the store did not hold as they are now; chunks added, those that no index covered.
    assert done["load"] == report.added + report.updated
    assert done["load"] <= len(list((root / "docs").iterdir()))
    assert report.failed == ()
    assert done["add"] <= behind + report.chunks
    if state is not None and state.generation:
        assert len(stored) + report.added - report.deleted == len(library.documents())
    fresh = child.open_library(root, "fresh")
    assert content(library) == content(fresh)
    library.close()
    fresh.close()
    shutil.rmtree(root / "fresh")
    # What the kill left over is gone after the next change: the index in force and the one before stay.
    (root / "docs" / "last.md").write_text(f"last {report}\n", encoding="utf-8")
    library = child.open_library(root)
    library.sync()
    generation = library.stats().generation
    folders = {path.name for path in (root / "library").glob("index-*")}
    assert f"index-{generation}" in folders
    assert len(folders) <= 2
    library.close()


class Scene:
    """A root of documents; `synced`: with a library that was up to date before they changed."""

    def __init__(self, folder, seed, synced=False, files=8):
        rng = random.Random(seed)
        self.root, self._start = folder / "root", folder / "start"
        self.root.mkdir()
        write_docs(self.root, files, rng)
        if synced:
            finish(start(self.root))
            write_docs(self.root, files, rng)
        self.root.rename(self._start)
        self.again()
        self.points = finish(start(self.root))

    def again(self):
        """Everything as it was. At the same place: what is stored names it."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self._start, self.root)

    def kill_at(self, point):
        self.again()
        process = start(self.root, point)
        assert finish(process) is None
        assert process.returncode == -9


@pytest.mark.parametrize("synced", [False, True])
def test_killed_at_a_few_points(tmp_path, synced):
    scene = Scene(tmp_path, 1, synced)
    assert scene.points > 60
    for n in range(3):
        scene.kill_at(scene.points * n // 3 + 1)
        check_that_it_goes_on(scene.root)


@pytest.mark.slow
@pytest.mark.parametrize("synced", [False, True])
def test_killed_at_every_fsync_rename_and_commit(tmp_path, synced):
    scene = Scene(tmp_path, 2, synced)
    for point in range(1, scene.points + 1):
        scene.kill_at(point)
        check_that_it_goes_on(scene.root)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("synced", [False, True])
@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "fsync", "ftruncate", "unlink"])
def test_killed_at_every_system_call_that_writes(tmp_path, call, synced):
    """SQLite's own calls too, which the points of the other tests do not see."""
    scene = Scene(tmp_path, 5, synced, files=3)
    for number in range(1, 1000):
        scene.again()
        inject = f"inject={call}:signal=SIGKILL:when={number}"
        process = start(
            scene.root, under=["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={call}", "-e", inject]
        )
        if finish(process) is not None:
            break
        check_that_it_goes_on(scene.root)
    assert 1 < number < 1000


@pytest.mark.slow
def test_killed_at_200_random_moments_of_one_life(tmp_path):
    """The same library through all of it; every kill is followed by changes of the sources or not, and checked."""
    rng = random.Random(3)
    root = tmp_path / "root"
    root.mkdir()
    write_docs(root, 40, rng)
    began = time.perf_counter()
    finish(start(root))
    whole = time.perf_counter() - began
    killed = 0
    while killed < 200:
        write_docs(root, 40, rng)
        for _ in range(rng.randint(1, 3)):  # sometimes twice before anyone looks
            process = start(root)
            time.sleep(rng.random() * whole * 0.5)
            process.kill()
            killed += process.wait() == -9
            process.stdout.close()
        check_that_it_goes_on(root)


def test_work_done_before_a_kill_is_not_done_again(tmp_path):
    """Of 8 documents, what was loaded before and after the kill is 8, and at most the one in flight twice."""
    scene = Scene(tmp_path, 4)
    for point in (scene.points // 8, scene.points // 4, scene.points // 2):
        scene.kill_at(point)
        before = logged(scene.root)
        assert before["load"]
        library = child.open_library(scene.root)
        with library._store.reading() as view:
            covered = view.count(0, view.state().covers) if view else 0
        library.sync()
        total = logged(scene.root)
        assert 8 <= total["load"] <= 9
        assert total["add"] - before["add"] == library.stats().chunks - covered
        assert before["add"] - covered <= 2 * 8  # at most a part of the index was not saved yet
