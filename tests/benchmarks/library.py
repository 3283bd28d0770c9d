"""retriever.library with its default stages: cold ingest, nothing changed, one file changed, reopening, memory."""

from __future__ import annotations

import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import dougong
from _bench import data, row

QUERY = "a campaign in the autumn of that year, 曹操 和 劉備"
OLD = 10**18  # a time far enough back to be trusted


def write_corpus(folder: Path, texts: Path, files: int, size: int) -> int:
    """Markdown files of about `size` bytes of real prose, every other one Chinese; gives their bytes."""
    english = [line.strip() for line in (texts / "wikitext2-test.txt").read_text(encoding="utf-8").splitlines()]
    chinese = [line.strip() for line in (texts / "sanguo.txt").read_text(encoding="utf-8").splitlines()]
    proses = [cycle([line for line in lines if len(line) > 60]) for lines in (english, chinese)]
    total = 0
    folder.mkdir(parents=True)
    for number in range(files):
        prose, written = proses[number % 2], 0
        with (folder / f"{number:05}.md").open("w", encoding="utf-8") as file:
            while written < size:
                paragraphs = "\n\n".join(islice(prose, 2))
                text = f"# Page {number}\n\n" if not written else f"\n\n## Part {written}\n\n"
                file.write(text + paragraphs)
                written += len((text + paragraphs).encode())
        set_time(folder / f"{number:05}.md", 0)
        total += written
    return total


def set_time(file: Path, tick: int) -> None:
    import os

    os.utime(file, ns=(OLD + tick, OLD + tick))


def timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def library(root: Path) -> Any:
    # A chunk of 200 words is about 400 characters of Chinese and 1,000 of English.
    return dougong.make("retriever.library", sources=[str(root / "docs")], path=str(root / "library"))


def ingest(root: Path) -> None:
    """In a process of its own, so that its peak memory is the ingest's."""
    made = library(root)
    print(timed(made.sync), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, made.stats().megabytes)


def measure(root: Path, name: str, bytes_: int, rounds: int = 5) -> None:
    cold = []
    for _ in range(rounds):
        shutil.rmtree(root / "library", ignore_errors=True)
        command = [sys.executable, __file__, "--ingest", str(root)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        cold.append([float(number) for number in done.stdout.split()])
    seconds, memory, stored = (statistics.median(column) for column in zip(*cold))
    row(f"{name}: cold ingest", bytes_ / 1e6 / seconds, "MB/s")
    row(f"{name}: cold ingest", seconds, "s")
    row(f"{name}: peak memory of ingest, imports included", memory, "MB")
    row(f"{name}: store", stored / (bytes_ / 1e6), "x source bytes")

    opening, nothing, searching, changed, later = [], [], [], [], []
    file = next((root / "docs").iterdir())
    library(root).search(QUERY)  # imports
    for turn in range(1, rounds + 1):
        start = time.perf_counter()
        made = library(root)
        opening.append(time.perf_counter() - start)
        nothing.append(timed(made.sync))
        searching.append(timed(lambda made=made: made.search(QUERY)))
        later.append(timed(lambda made=made: made.search(QUERY)))
        nothing_again = made.sync()
        assert nothing_again.added == nothing_again.updated == nothing_again.chunks == 0
        with file.open("a", encoding="utf-8") as handle:
            handle.write(f"\n\nOne more paragraph, number {turn}.\n")
        set_time(file, turn)
        changed.append(timed(made.sync))
    row(f"{name}: make", 1e3 * statistics.median(opening), "ms")
    row(f"{name}: reopen and no-change sync", 1e3 * statistics.median(nothing), "ms")
    row(f"{name}: first search after it", 1e3 * statistics.median(searching), "ms")
    row(f"{name}: later search", 1e3 * statistics.median(later), "ms")
    row(f"{name}: sync of one changed file", 1e3 * statistics.median(changed), "ms")
    warm = 1e3 * statistics.median(sum(times) for times in zip(opening, nothing, searching))
    bar = "< 100 ms" if bytes_ < 2e6 else ""
    row(f"{name}: make + no-change sync + search", warm, "ms", bar=bar, holds=warm < 100 if bar else None)


def main() -> None:
    texts = data("text")
    if texts is None:
        return
    with tempfile.TemporaryDirectory() as temporary:
        for name, files in (("1 MB, 200 files", 200), ("10 MB, 2,000 files", 2000)):
            root = Path(temporary) / str(files)
            measure(root, name, write_corpus(root / "docs", texts, files, 5000))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ingest"]:
        ingest(Path(sys.argv[2]))
    else:
        main()
