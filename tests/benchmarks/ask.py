"""``dougong ask FOLDER QUESTION`` over 1 MB of Markdown: the first call, and the second."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _bench import row

CORPUS = Path(__file__).parents[2] / "examples" / "corpus"
QUESTION = "How many bytes does a key-value cache need for a token?"


def seconds(folder: Path, cache: Path) -> float:
    command = [sys.executable, "-m", "dougong", "ask", str(folder), QUESTION]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "DOUGONG_CACHE": str(cache)})
    return time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        folder = root / "docs"
        folder.mkdir()
        pages = sorted(CORPUS.rglob("*.md"))
        size = copy = 0
        while size < 1_000_000:
            for page in pages:
                name = folder / f"{page.parent.name}-{page.stem}-{copy}.md"
                # Each copy differs, so that no part of the pipeline can reuse the work of another.
                name.write_text(page.read_text(encoding="utf-8") + f"\n\nCopy {copy}.\n", encoding="utf-8")
                size += name.stat().st_size
            copy += 1
        cold, warm = [], []
        for turn in range(5):
            cache = root / f"cache{turn}"
            cold.append(seconds(folder, cache))
            warm.extend(seconds(folder, cache) for _ in range(3))
            shutil.rmtree(cache)
    first, second = statistics.median(cold), statistics.median(warm)
    row("ask, 1 MB of Markdown, cold", first, "s", bar="< 3 s", holds=first < 3)
    row("ask, 1 MB of Markdown, warm", second, "s", bar="< 0.6 s", holds=second < 0.6)


if __name__ == "__main__":
    main()
