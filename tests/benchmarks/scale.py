"""A library of 100,000 documents: build, reopen, first query, later queries, one changed file, memory.

The documents are made: English-like words of a Zipf distribution (exponent 1, 50,000 words), some 150 a document, in
1,000 folders. Every step is a process of its own, as a command is; ``--documents`` takes several sizes, to see how each
cost grows. Processor time stands beside each time: where a machine is busy, the two part.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from _bench import row

OLD = 10**18  # a time far enough back to be trusted by a sync
WORDS, LENGTH = 50_000, 150
ROUNDS = 5


def write_corpus(folder: Path, documents: int) -> int:
    """Gives the number of bytes."""
    rng = np.random.default_rng(7)
    letters = "etaoinshrdlcumwfgypbvk"
    words = np.array(
        ["".join(letters[i] for i in rng.integers(0, len(letters), rng.integers(2, 10))) for _ in range(WORDS)]
    )
    shares = 1 / np.arange(1, WORDS + 1)
    shares /= shares.sum()
    size = 0
    for n in range(documents):
        if n % 100 == 0:
            below = folder / f"{n // 100:04}"
            below.mkdir(parents=True)
            drawn = words[rng.choice(WORDS, (100, LENGTH), p=shares)]
        path = below / f"{n:06}.md"
        text = f"# Document {n}\n\n" + "\n\n".join(
            " ".join(drawn[n % 100][i : i + 50]) + "." for i in range(0, LENGTH, 50)
        )
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(OLD, OLD))
        size += len(text)
    (folder.parent / "words.json").write_text(json.dumps(words[:5000].tolist()))
    return size


class RandomVectors:
    """A unit vector a text, drawn by its hash: what an index costs, without what a model costs. Near to nothing else,
    which is the hardest for a graph."""

    dim = 64

    def embed(self, texts: Sequence[str], role: str = "passage") -> np.ndarray:
        rows = np.array([np.random.default_rng(crc32(text.encode())).standard_normal(self.dim) for text in texts])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def library(root: Path, index: str) -> Any:
    import dougong

    chosen: dict[str, Any] = {"use": index}
    if index == "hnsw":
        chosen["embedder"] = RandomVectors()
    return dougong.make("retriever.library", sources=[str(root / "docs")], path=str(root / index), index=chosen)


def memory() -> float:
    """Peak of this process, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def queries(root: Path, count: int) -> list[str]:
    """Of three words each, frequent and rare."""
    words = json.loads((root / "words.json").read_text())
    rng = np.random.default_rng(11)
    return [" ".join(words[int(i)] for i in (5000 ** rng.random(3)).astype(int) - 1) for _ in range(count)]


def build(root: Path, index: str) -> dict[str, float]:
    made = library(root, index)
    began = time.perf_counter()
    report = made.sync()
    seconds = time.perf_counter() - began
    assert not report.failed, report.failed[:3]
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(part.ru_utime + part.ru_stime for part in used)
    return {"seconds": seconds, "cpu": cpu, "memory": memory(), "disk": made.stats().megabytes, "chunks": report.chunks}


def reopen(root: Path, index: str) -> dict[str, float]:
    """As it is on the first question of a process: `search` syncs, which walks all files, opens the index and asks it.
    Then without the walk: what a question costs where another process keeps the library up to date."""
    asked = queries(root, 200)
    look, used = time.perf_counter(), time.process_time()
    files = bare(root / "docs")
    look, look_cpu = time.perf_counter() - look, time.process_time() - used
    began, used = time.perf_counter(), time.process_time()
    made = library(root, index)
    assert made.search(asked[0])
    first, first_cpu = time.perf_counter() - began, time.process_time() - used
    later = []
    for query in asked[1:]:
        start = time.perf_counter()
        made.search(query)
        later.append(time.perf_counter() - start)
    again, used = time.perf_counter(), time.process_time()
    made.sync()
    walk, walk_cpu = time.perf_counter() - again, time.process_time() - used
    assert files == made.stats().documents
    return {
        "bare": look,
        "bare cpu": look_cpu,
        "first cpu": first_cpu,
        "walk cpu": walk_cpu,
        "first": first,
        "later": statistics.median(later),
        "slow": sorted(later)[int(len(later) * 0.95)],
        "walk": walk,
        "memory": memory(),
    }


def bare(folder: Path) -> int:
    """The least that finding changed files can cost: each name, size and time asked for, and nothing done with it."""
    count, todo = 0, [str(folder)]
    while todo:
        with os.scandir(todo.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    todo.append(entry.path)
                else:
                    entry.stat()
                    count += 1
    return count


def renew(root: Path, index: str) -> dict[str, float]:
    """One file is changed: in a process of its own, and again in one that has the library open."""
    made = library(root, index)
    path = sorted((root / "docs").iterdir())[0] / "000000.md"
    seconds, cpu = [], []
    for _ in range(1 + ROUNDS):
        before = path.stat().st_mtime_ns
        path.write_text(path.read_text(encoding="utf-8") + "\n\nOne more paragraph.\n", encoding="utf-8")
        os.utime(path, ns=(before + 1, before + 1))
        start, used = time.perf_counter(), time.process_time()
        report = made.sync()
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
        assert report.updated == 1
    if index == "bm25":
        assert made.search("paragraph")[0].chunk.document == "docs/0000/000000.md"
    return {
        "first": seconds[0],
        "open": statistics.median(seconds[1:]),
        "open cpu": statistics.median(cpu[1:]),
        "memory": memory(),
    }


def step(name: str, root: Path, index: str, rounds: int = 1) -> dict[str, float]:
    """Medians over processes."""
    command = [sys.executable, __file__, "--step", name, "--root", str(root), "--index", index]
    runs = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(rounds)
    ]
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def measure(root: Path, documents: int, index: str) -> None:
    name = f"{documents:,} documents, {index}"
    size = write_corpus(root / "docs", documents) / 1e6
    made = step("build", root, index)
    row(f"{name}: build", made["seconds"], "s")
    row(f"{name}: processor time of that, workers included", made["cpu"], "s")
    row(f"{name}: build", size / made["seconds"], "MB/s")
    row(f"{name}: chunks", made["chunks"], "chunks")
    row(f"{name}: peak memory of the build", made["memory"], "MB")
    row(f"{name}: on disk", made["disk"], "MB", against="its sources", ratio=made["disk"] / size)
    bars = documents == 100_000
    opened = step("reopen", root, index, ROUNDS)
    bar = {"bar": "< 2 s", "holds": opened["first"] < 2} if bars else {}
    row(f"{name}: reopen and first query, imports and the walk included", opened["first"], "s", **bar)
    row(f"{name}: processor time of that", opened["first cpu"], "s")
    row(f"{name}: scandir and stat of all files, nothing else", opened["bare"], "s")
    row(f"{name}: processor time of that", opened["bare cpu"], "s")
    row(f"{name}: later query, median", 1e3 * opened["later"], "ms")
    row(f"{name}: later query, 95 of 100 are faster", 1e3 * opened["slow"], "ms")
    row(f"{name}: sync with nothing changed", opened["walk"], "s")
    row(f"{name}: processor time of that", opened["walk cpu"], "s")
    row(f"{name}: peak memory of searching", opened["memory"], "MB")
    renewed = step("renew", root, index, ROUNDS)
    bar = {"bar": "< 1 s", "holds": renewed["open"] < 1} if bars else {}
    row(f"{name}: sync of one changed file, library open", renewed["open"], "s", **bar)
    row(f"{name}: processor time of that", renewed["open cpu"], "s")
    row(f"{name}: sync of one changed file, library just made", renewed["first"], "s")
    row(f"{name}: peak memory of it", renewed["memory"], "MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, nargs="+", default=[100_000])
    parser.add_argument("--index", default="bm25", choices=("bm25", "hnsw"))
    parser.add_argument("--step", choices=("build", "reopen", "renew"))
    parser.add_argument("--root", type=Path)
    parser.add_argument("--data", help="not needed")
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(globals()[arguments.step](arguments.root, arguments.index)))
        return
    for documents in arguments.documents:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), documents, arguments.index)


if __name__ == "__main__":
    main()
