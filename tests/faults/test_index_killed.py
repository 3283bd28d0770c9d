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
KILLS = int(os.environ.get("DOUGONG_KILLS", "200"))
EMBEDDER = """
import attrs
from dougong import Technique, hookimpl
from dougong.testing import HashEmbedder

@attrs.frozen
class Params:
    "None."

class Hashed(HashEmbedder):
    def __init__(self, params):
        super().__init__()

@hookimpl
def dougong_embedders():
    return [Technique("hashed", Params, __name__ + ":Hashed", summary="words as directions", source="a test")]
"""
INDEXES = {
    "bm25": "{use: bm25}",
    "exact": "{use: exact, embedder: {use: hashed}}",
    "hnsw": "{use: hnsw, exact_below: 0, embedder: {use: hashed}}",
    "faiss": "{use: faiss, kind: flat, embedder: {use: hashed}}",
    "hybrid": "{use: hybrid, of: [{use: bm25}, {use: exact, embedder: {use: hashed}}]}",
    "graph": "{use: graph}",
}


def hits(folder: Path, index: str, store: str, queries: list[str] = QUERIES) -> list[list[tuple[str, float, str]]]:
    """What each query finds. Cosines are rounded: BLAS may add up a matrix of another height in another order."""
    digits = 5 if "embedder" in index else 17
    config = folder / f"{store}.yaml"
    text = f"library: {{use: retriever.library, sources: [docs], path: {store}, index: {index}}}\n"
    config.write_text(text, encoding="utf-8")
    with dougong.load(config, plugins=[folder / "hashed.py"]) as assembly:
        library = assembly["library"]
        library.sync()
        found = [library.search(query, 20) for query in queries]
        return [[(hit.chunk.id, round(hit.score, digits), hit.chunk.text) for hit in some] for some in found]


def recall(found: list[list[tuple[str, float, str]]], true: list[list[tuple[str, float, str]]]) -> float:
    """Share of the ten best; of equal scores each counts."""
    shares = [sum(hit[1] >= best[9][1] for hit in some[:10]) / 10 for some, best in zip(found, true, strict=True)]
    return sum(shares) / len(shares)


@pytest.mark.slow
@pytest.mark.parametrize("name", INDEXES)
def test_a_killed_index_command_loses_nothing(tmp_path: Path, name: str) -> None:
    """Exact indexes equal a fresh build. An approximate one holds the same chunks, and finds as well."""
    chance = random.Random(2)
    index = INDEXES[name]
    sources, pages = tmp_path / "docs", sorted(CORPUS.rglob("*.md"))
    sources.mkdir()
    (tmp_path / "hashed.py").write_text(EMBEDDER, encoding="utf-8")
    for number, page in enumerate(pages * (4 if name == "bm25" else 1)):
        text = page.read_text(encoding="utf-8")
        (sources / f"{number:03}.md").write_text(f"{text}\n\nCopy {number}.\n", encoding="utf-8")
    config = tmp_path / "c.yaml"
    config.write_text(f"library: {{use: retriever.library, sources: [docs], path: store, index: {index}}}\n", "utf-8")
    command = [sys.executable, "-m", "dougong", "index", str(config), "--plugin", str(tmp_path / "hashed.py")]
    killed = 0
    for _ in range(KILLS):
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
    assert killed > KILLS / 4
    subprocess.run(command, check=True, capture_output=True)
    if name == "hnsw":
        queries = [page.stem.replace("-", " ") for page in pages] + QUERIES
        true, fresh, mine = (
            hits(tmp_path, INDEXES["exact"], "compared", queries),
            hits(tmp_path, index, "fresh", queries),
            hits(tmp_path, index, "store", queries),
        )
        texts = {id: text for some in true for id, _, text in some}
        assert all(texts.get(id, text) == text for some in mine for id, _, text in some)
        assert recall(mine, true) >= recall(fresh, true) - 0.005
    else:
        assert hits(tmp_path, index, "store") == hits(tmp_path, index, "fresh")
