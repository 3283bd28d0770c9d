"""Dense indexes beside the libraries they stand on: recall@10 against exact search, batches, single searches.

    python tests/benchmarks/dense.py --data DIR        (or DOUGONG_DATA)

``--rows N`` (default 100,000) synthetic vectors of 384 numbers in 1,000 clusters, and the MiniLM vectors of
WikiText-2's sentences. One thread; embedding is not counted.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import dougong  # noqa: E402
import faiss  # noqa: E402
import hnswlib  # noqa: E402
import numpy as np  # noqa: E402
from _bench import data, row, side_by_side  # noqa: E402
from dougong import Chunk, Span  # noqa: E402

K, DIM, QUERIES = 10, 384, 1000
M, EF_CONSTRUCTION, EF = 16, 200, 100


class Lookup:
    """An embedder that knows the vector of each text: what is left is the index."""

    def __init__(self, texts: Sequence[str], vectors: np.ndarray) -> None:
        self.dim = vectors.shape[1]
        self._rows, self._vectors = {text: number for number, text in enumerate(texts)}, vectors

    def embed(self, texts: Sequence[str], role: str = "passage") -> np.ndarray:
        return self._vectors[[self._rows[text] for text in texts]]


def clustered(count: int, seed: int = 0) -> np.ndarray:
    """Unit vectors around 1,000 random centres, each as far from its centre (cosine .8) as passages of one subject."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(1000, DIM)) / np.sqrt(DIM)
    vectors = centres[rng.integers(0, 1000, count)] + 0.7 * rng.normal(size=(count, DIM)) / np.sqrt(DIM)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def raw_hnsw(vectors: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    index = hnswlib.Index("ip", vectors.shape[1])
    index.init_index(len(vectors), M=M, ef_construction=EF_CONSTRUCTION)
    index.add_items(vectors, num_threads=1)
    index.set_ef(EF)
    return lambda queries: index.knn_query(queries, K, num_threads=1)[0]


def raw_faiss_hnsw(vectors: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    index = faiss.IndexHNSWFlat(vectors.shape[1], M, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = EF_CONSTRUCTION, EF
    index.add(vectors)
    return lambda queries: index.search(queries, K)[1]


def raw_faiss_flat(vectors: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return lambda queries: index.search(queries, K)[1]


def raw_faiss_lists(vectors: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """As FAISS itself refines: IndexRefineFlat over IndexIVFPQ, with the lists and bytes that the plugin chooses."""
    dim, ip = vectors.shape[1], faiss.METRIC_INNER_PRODUCT
    lists = min(4 * int(len(vectors) ** 0.5), len(vectors) // 39)
    inner = faiss.IndexIVFPQ(faiss.IndexFlatIP(dim), dim, lists, dim // 4, 8, ip)
    inner.nprobe = 32
    index = faiss.IndexRefineFlat(inner)
    index.k_factor = 10
    index.train(vectors)
    index.add(vectors)
    return lambda queries: index.search(queries, K)[1]


Raw = Callable[[np.ndarray], np.ndarray]
CONTENDERS: dict[str, tuple[str, dict[str, Any], str, Callable[[np.ndarray], Raw]]] = {
    "hnsw": ("hnsw", {"ef": EF}, "hnswlib", raw_hnsw),
    "faiss hnsw": ("faiss", {"kind": "hnsw", "ef": EF}, "FAISS HNSW", raw_faiss_hnsw),
    "faiss ivf-pq": ("faiss", {"kind": "ivf-pq"}, "FAISS IVF-PQ refined", raw_faiss_lists),
    "faiss flat": ("faiss", {"kind": "flat"}, "FAISS flat", raw_faiss_flat),
}


def measure(name: str, vectors: np.ndarray, queries: np.ndarray) -> None:
    """Each index beside its library, over `vectors`, asked `queries`."""
    texts = [f"text {number}" for number in range(len(vectors))]
    asked = [f"query {number}" for number in range(len(queries))]
    embedder = Lookup([*texts, *asked], np.concatenate([vectors, queries]))
    chunks = [Chunk(f"c{number:07d}", "d", text, Span(0, len(text))) for number, text in enumerate(texts)]
    best = np.argsort(-(queries @ vectors.T), axis=1)[:, :K]

    def recall(rows: np.ndarray) -> float:
        return float(np.mean([len(set(one) & set(other)) / K for one, other in zip(rows.tolist(), best.tolist())]))

    for kind, (technique, params, peer, make) in CONTENDERS.items():
        index = dougong.make(f"retriever.{technique}", embedder=embedder, **params)
        index.add(chunks)
        raw = make(vectors)
        found = np.array([[int(id[1:]) for id in ids] for ids in index.nearest(queries, K)[0]])
        here, there = recall(found), recall(raw(queries))
        row(f"{name}: {kind}, recall@10", here, "", against=peer, ratio=here / there, bar=">= .95", holds=here >= 0.95)
        asked_alone = asked[: 50 if kind == "faiss flat" else 200]
        compare(f"{name}: {kind}", peer, index, raw, queries[: 100 if kind == "faiss flat" else None], asked_alone)


def compare(
    name: str, peer: str, index: Any, raw: Callable[[np.ndarray], np.ndarray], queries: np.ndarray, asked: Sequence[str]
) -> None:
    """Queries at once, vectors in and ids out; and the first of them one by one, as texts and as vectors."""
    seconds = side_by_side({"ours": lambda: index.nearest(queries, K), "raw": lambda: raw(queries)}, 9)
    speed, ratio = len(queries) / seconds["ours"], seconds["raw"] / seconds["ours"]
    row(f"{name}, batch", speed, "queries/s", against=peer, ratio=ratio, bar=">= .9", holds=ratio >= 0.9)
    each = range(len(asked))
    seconds = side_by_side(
        {
            "ours": lambda: [index.search(text, K) for text in asked],
            "raw": lambda: [raw(queries[number : number + 1]) for number in each],
        },
        9,
    )
    more, ratio = (seconds["ours"] - seconds["raw"]) / len(asked) * 1e6, seconds["ours"] / seconds["raw"]
    row(f"{name}, what a search takes more", more, "us", against=peer, ratio=ratio, bar="<= 150", holds=more <= 150)


def real(folder: Path, cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """MiniLM vectors of WikiText-2's sentences, test and validation; every fiftieth asks for the others."""
    from dougong_analyzer import sentences

    texts: dict[str, None] = {}
    for name in ("wikitext2-test.txt", "wikitext2-valid.txt"):
        text = (folder / name).read_text(encoding="utf-8")
        texts.update(
            (sentence, None) for start, end in sentences(text) if len(sentence := text[start:end].strip()) > 20
        )
    vectors = dougong.make("embedder.minilm", cache=str(cache)).embed(list(texts))
    asks = np.arange(len(vectors)) % 50 == 0
    return vectors[~asks], vectors[asks]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--cache", type=Path, help="a file that keeps MiniLM's vectors from run to run")
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    vectors = clustered(options.rows + QUERIES)
    measure(f"{options.rows:,} x {DIM} clustered", vectors[QUERIES:], vectors[:QUERIES])
    if folder := data("text"):
        with tempfile.TemporaryDirectory() as temporary:
            vectors, queries = real(folder, options.cache or Path(temporary) / "vectors.db")
        measure(f"{len(vectors):,} MiniLM vectors", vectors, queries)


if __name__ == "__main__":
    main()
