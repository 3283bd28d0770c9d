"""``kill -9`` of the real ``dougong index`` at 200 random moments; its documents change in between."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import dougong
import pytest

CORPUS = Path(__file__).parents[2] / "examples" / "corpus"
QUERIES = ["key-value cache", "attention cost", "斗拱 抗震", "旋转位置编码", "prompt injection", "new words here"]


def hits(folder: Path, store: Path) -> list[list[tuple[str, float, str]]]:
    library = dougong.make("retriever.library", sources=[folder], path=store)
    try:
        library.sync()
        return [[(hit.chunk.id, hit.score, hit.chunk.text) for hit in library.search(query, 20)] for query in QUERIES]
    finally:
        library.close()


@pytest.mark.slow
def test_a_killed_index_command_loses_nothing(tmp_path: Path) -> None:
    chance = random.Random(2)
    sources, pages = tmp_path / "docs", sorted(CORPUS.rglob("*.md"))
    sources.mkdir()
    for number, page in enumerate(pages * 4):
        text = page.read_text(encoding="utf-8")
        (sources / f"{number:03}.md").write_text(f"{text}\n\nCopy {number}.\n", encoding="utf-8")
    config = tmp_path / "c.yaml"
    config.write_text("library: {use: retriever.library, sources: [docs], path: store}\n", encoding="utf-8")
    command = [sys.executable, "-m", "dougong", "index", str(config)]
    killed = 0
    for _ in range(200):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(chance.uniform(0.05, 0.7))
        os.kill(process.pid, signal.SIGKILL)
        error = process.stderr.read().decode()  # type: ignore[union-attr]
        killed += process.wait() == -signal.SIGKILL
        assert "error" not in error, error
        for file in chance.sample(sorted(sources.iterdir()), 3):
            what = chance.random()
            if what < 0.2:
                file.unlink()
            else:
                file.write_text(file.read_text(encoding="utf-8") + f"\nnew words here {what}\n", encoding="utf-8")
        if chance.random() < 0.5:
            (sources / f"new{chance.random()}.md").write_text(chance.choice(pages).read_text("utf-8"), "utf-8")
    assert killed > 50
    subprocess.run(command, check=True, capture_output=True)
    assert hits(sources, tmp_path / "store") == hits(sources, tmp_path / "fresh")
