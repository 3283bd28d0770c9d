"""BM25 against rank-bm25, bm25s and tantivy: same scores, retrieval quality in English and Chinese, speed, growth.

    python tests/benchmarks/bm25.py --data DIR        (or DOUGONG_DATA)

bm25s runs its NumPy path (numba is not asked for). Unless said otherwise both sides get the terms of dougong-analyzer.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["DISABLE_TQDM"] = "1"

import bm25s
import ir_measures
import numpy as np
import rank_bm25
import tantivy
from _bench import data, row, side_by_side
from dougong import Chunk, Span
from dougong_analyzer import terms, words
from dougong_retriever_bm25 import Params
from dougong_retriever_bm25.index import BM25
from dougong_retriever_bm25.scoring import View
from dougong_retriever_bm25.segment import build
from dougong_retriever_rank_bm25 import Params as RankParams
from dougong_retriever_rank_bm25.index import RankBM25

MANY = 100_000


def chunks_of(texts: Sequence[str]) -> list[Chunk]:
    return [Chunk(f"{i:07d}", "d", text, Span(0, len(text))) for i, text in enumerate(texts)]


def built(texts: Sequence[str], **params: Any) -> BM25:
    index = BM25(Params(**params))
    index.add(chunks_of(texts))
    index.search("warm")
    return index


class Peer:
    """bm25s, Lucene's formula, fed with terms."""

    def __init__(self, corpus: Sequence[Sequence[str]]) -> None:
        self.model = bm25s.BM25(method="lucene", k1=1.5, b=0.75, backend="numpy")
        self.model.index(corpus, show_progress=False)

    def scores(self, words: Sequence[str]) -> np.ndarray:
        known = [word for word in words if word in self.model.vocab_dict]
        return self.model.get_scores(known) if known else np.zeros(self.model.scores["num_docs"])

    def search(self, words: Sequence[str], k: int) -> Any:
        return self.model.retrieve([list(words)], k=k, show_progress=False, n_threads=0)


# ---------------------------------------------------------------- data


def scifact(folder: Path) -> tuple[list[str], list[str], dict[str, str], list[ir_measures.Qrel]]:
    with gzip.open(folder / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
        docs = [json.loads(line) for line in file]
    with open(folder / "test.tsv", encoding="utf-8") as file:
        qrels = [
            ir_measures.Qrel(line["query-id"], line["corpus-id"], int(line["score"]))
            for line in csv.DictReader(file, delimiter="\t")
        ]
    judged = {qrel.query_id for qrel in qrels}
    with open(folder / "queries.jsonl", encoding="utf-8") as file:
        queries = {query["_id"]: query["text"] for query in map(json.loads, file) if query["_id"] in judged}
    return [doc["_id"] for doc in docs], [f"{doc['title']}\n{doc['text']}" for doc in docs], queries, qrels


def cmrc(folder: Path) -> tuple[list[str], list[tuple[str, int]]]:
    articles = json.loads((folder / "cmrc2018_dev.json").read_text("utf-8"))["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    questions = [(qa["question"], at) for at, paragraph in enumerate(paragraphs) for qa in paragraph["qas"]]
    return [paragraph["context"] for paragraph in paragraphs], questions


def zipf(n: int) -> tuple[list[str], list[str]]:
    """`n` texts of 20 to 100 words, 60 on average, from 200,000 words of Zipf's law; queries: 4 words of one text."""
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, 200_001)
    lengths = rng.integers(20, 101, n)
    drawn = rng.choice(200_000, int(lengths.sum()), p=weights / weights.sum())
    pieces = np.split(drawn, np.cumsum(lengths)[:-1])
    texts = [" ".join(f"w{word}" for word in piece) for piece in pieces]
    queries = [" ".join(rng.choice(texts[at].split(), 4, replace=False)) for at in rng.integers(0, n, 500)]
    return texts, queries


# ---------------------------------------------------------------- scores and quality


def same_scores(name: str, texts: list[str], queries: list[str]) -> None:
    corpus = [terms(text) for text in texts]
    peer: dict[str, Callable[[list[str]], np.ndarray]] = {
        "lucene": Peer(corpus).scores,
        "okapi": rank_bm25.BM25Okapi(corpus).get_scores,
        "l": rank_bm25.BM25L(corpus).get_scores,
        "plus": rank_bm25.BM25Plus(corpus).get_scores,
    }
    for variant, scores in peer.items():
        index, worst = built(texts, variant=variant), 0.0
        for query in queries:
            expected = scores(terms(query))
            for hit in index.search(query, 100):
                worst = max(worst, abs(hit.score - float(expected[int(hit.chunk.id)])))
        against = "bm25s lucene" if variant == "lucene" else f"rank-bm25 {variant}"
        row(
            f"bm25 {variant}: largest difference of score, {name}, {len(queries)} queries, best 100",
            worst, "score", against=against, bar="<= 1e-5", holds=worst <= 1e-5,
        )  # fmt: skip


def quality_english(ids: list[str], texts: list[str], queries: dict[str, str], qrels: list[ir_measures.Qrel]) -> None:
    def ndcg(search: Callable[[str], list[tuple[int, float]]]) -> float:
        run = [
            ir_measures.ScoredDoc(name, ids[at], score)
            for name, query in queries.items()
            for at, score in search(query)
        ]
        return float(ir_measures.calc_aggregate([ir_measures.nDCG @ 10], qrels, run)[ir_measures.nDCG @ 10])

    for variant in ("lucene", "okapi", "l", "plus"):
        index = built(texts, variant=variant)
        value = ndcg(lambda query, index=index: [(int(h.chunk.id), h.score) for h in index.search(query, 100)])
        bar = {"bar": ">= .683", "holds": value >= 0.683} if variant == "lucene" else {}
        row(f"bm25 {variant}: SciFact nDCG@10, {len(queries)} queries", value, "nDCG@10", **bar)


def jieba_words(text: str) -> list[str]:
    return [text[start:end] for start, end in words(text)]


def quality_chinese(texts: list[str], questions: list[tuple[str, int]]) -> None:
    index = built(texts)
    ranked = [[int(hit.chunk.id) for hit in index.search(question, 5)] for question, _ in questions]
    for k, bar in ((1, 0.965), (5, 0.995)):
        value = statistics.mean(gold in found[:k] for found, (_, gold) in zip(ranked, questions))
        row(
            f"bm25 lucene: CMRC2018 dev recall@{k}, {len(texts)} paragraphs, {len(questions)} questions",
            value, f"recall@{k}", bar=f">= {bar}", holds=value >= bar,
        )  # fmt: skip
    peer = Peer([jieba_words(text) for text in texts])
    first = statistics.mean(int(np.argmax(peer.scores(jieba_words(question)))) == gold for question, gold in questions)
    row("bm25s, words alone: CMRC2018 dev recall@1", first, "recall@1")


# ---------------------------------------------------------------- speed


def faster(name: str, times: dict[str, float], work: int, unit: str, peer: str, bar: bool = True) -> None:
    ours, theirs = work / times["dougong"], work / times[peer]
    ratio = ours / theirs
    claim = {"bar": ">= 1x", "holds": ratio >= 1} if bar else {}
    row(f"{name}: dougong", ours, unit, against=f"{peer} {theirs:.4g}", ratio=ratio, **claim)


def speed_scifact(texts: list[str], queries: list[str]) -> None:
    chunks = chunks_of(texts)
    corpus = [terms(text) for text in texts]
    asked = [terms(query) for query in queries]
    by_id = {chunk.id: words for chunk, words in zip(chunks, corpus)}
    n = len(texts)

    def index_texts() -> None:
        index = BM25(Params())
        index.add(chunks)
        index.search("warm")

    tokenized = "SciFact, indexing, tokenization excluded"
    faster(
        tokenized,
        side_by_side({"dougong": lambda: View([build("0", by_id)], Params()), "bm25s": lambda: Peer(corpus)}),
        n, "docs/s", "bm25s",
    )  # fmt: skip
    faster(
        "SciFact, indexing, tokenization (dougong-analyzer) included",
        side_by_side({"dougong": index_texts, "bm25s": lambda: Peer([terms(text) for text in texts])}),
        n, "docs/s", "bm25s",
    )  # fmt: skip
    stem = __import__("Stemmer").Stemmer("english")
    own = lambda items: bm25s.tokenize(items, stopwords="en", stemmer=stem, show_progress=False)  # noqa: E731
    faster(
        "SciFact, tokenization alone (bm25s: its own, English stop words, Snowball)",
        side_by_side({"dougong": lambda: [terms(text) for text in texts], "bm25s": lambda: own(texts)}),
        n, "docs/s", "bm25s", bar=False,
    )  # fmt: skip
    index, peer = built(texts), Peer(corpus)
    view = index._current()
    counted = [{word: words.count(word) for word in words} for words in asked]
    faster(
        "SciFact, 300 queries, k 10, tokenization excluded",
        side_by_side(
            {
                "dougong": lambda: [view.top(words, 10) for words in counted],
                "bm25s": lambda: [peer.search(words, 10) for words in asked],
            }
        ),
        len(asked), "queries/s", "bm25s",
    )  # fmt: skip
    faster(
        "SciFact, 300 queries, k 10, tokenization (dougong-analyzer) included",
        side_by_side(
            {
                "dougong": lambda: [index.search(query, 10) for query in queries],
                "bm25s": lambda: [peer.search(terms(query), 10) for query in queries],
            }
        ),
        len(asked), "queries/s", "bm25s",
    )  # fmt: skip
    faster(
        "SciFact, 300 queries, k 10, each the first after a change (no cached weights)",
        side_by_side(
            {
                "dougong": lambda: _cold(index, queries),
                "bm25s": lambda: [peer.search(terms(query), 10) for query in queries],
            }
        ),
        len(asked), "queries/s", "bm25s", bar=False,
    )  # fmt: skip


def _cold(index: BM25, queries: Sequence[str]) -> None:
    index._view = None
    for query in queries:
        index.search(query, 10)


def tantivy_of(texts: Sequence[str]) -> Any:
    schema = tantivy.SchemaBuilder()
    schema.add_unsigned_field("id", stored=True)
    schema.add_text_field("text", tokenizer_name="whitespace")
    index = tantivy.Index(schema.build())
    writer = index.writer(128_000_000, 1)
    for at, text in enumerate(texts):
        writer.add_document(tantivy.Document(id=at, text=text))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    return index


def speed_many() -> None:
    texts, queries = zipf(MANY)
    name = f"{MANY:,} Zipf texts of 60 words"
    chunks = chunks_of(texts)
    times: dict[str, list[float]] = {"dougong": [], "bm25s": [], "tantivy": []}
    for _ in range(5):
        for contender, make in (
            ("dougong", lambda: built(texts)),
            ("bm25s", lambda: Peer([terms(text) for text in texts])),
            ("tantivy", lambda: tantivy_of(texts)),
        ):
            start = time.perf_counter()
            result = make()
            times[contender].append(time.perf_counter() - start)
            del result
    medians = {contender: statistics.median(values) for contender, values in times.items()}
    faster(f"{name}, indexing, tokenization included", medians, MANY, "docs/s", "bm25s")
    faster(
        f"{name}, indexing, tokenization included (its own white-space one)", medians, MANY, "docs/s", "tantivy", False
    )

    index, peer, other = built(texts), Peer([terms(text) for text in texts]), tantivy_of(texts)
    searcher = other.searcher()

    def ask_tantivy() -> list[list[int]]:
        found = []
        for query in queries:
            hits = searcher.search(other.parse_query(query, ["text"]), 10).hits
            found.append([searcher.doc(address)["id"][0] for _, address in hits])
        return found

    ours, theirs = [[int(h.chunk.id) for h in index.search(q, 10)] for q in queries], ask_tantivy()
    agree = statistics.mean(len(set(a) & set(b)) / 10 for a, b in zip(ours, theirs))
    row(f"{name}: share of the 10 best that tantivy (k1 1.2, lengths in one byte) finds too", agree, "share")
    start = time.perf_counter()
    _cold(index, queries)
    row(f"{name}, {len(queries)} queries of 4 words, k 10, no cached weights: dougong",
        len(queries) / (time.perf_counter() - start), "queries/s")  # fmt: skip
    medians = side_by_side(
        {
            "dougong": lambda: [index.search(query, 10) for query in queries],
            "tantivy": ask_tantivy,
            "bm25s": lambda: [peer.search(terms(query), 10) for query in queries],
        }
    )
    for contender in ("tantivy", "bm25s"):
        faster(f"{name}, {len(queries)} queries of 4 words, k 10", medians, len(queries), "queries/s", contender)

    small = RankBM25(RankParams())
    small.add(chunks)
    small.search(queries[0])
    start = time.perf_counter()
    for query in queries[:5]:
        small.search(query)
    seconds = (time.perf_counter() - start) / 5
    row(f"{name}, rank-bm25 plugin", 1 / seconds, "queries/s", against="dougong",
        ratio=medians["dougong"] / len(queries) / seconds)  # fmt: skip
    growth(index, {chunk.id: chunk for chunk in chunks}, name)


FIRST_QUERY = """
import sys, time
from pathlib import Path
from dougong import Chunk, Span
from dougong_retriever_bm25 import Params
from dougong_retriever_bm25.index import BM25
class Store(dict):
    def __missing__(self, id):
        return Chunk(id, "d", "text", Span(0, 4))
start = time.perf_counter()
index = BM25(Params())
index.load(Path(sys.argv[1]), Store())
assert index.search(sys.argv[2])
print(time.perf_counter() - start)
"""


def growth(index: BM25, store: dict[str, Chunk], name: str) -> None:
    """One changed file of ten chunks in the whole: change, save, load, first query."""
    with tempfile.TemporaryDirectory() as root:
        start = time.perf_counter()
        index.save(Path(root) / "0")
        row(f"{name}: first save", time.perf_counter() - start, "s")
        size = sum(file.stat().st_size for file in (Path(root) / "0").iterdir())
        row(f"{name}: size on disk", size / 2**20, "MiB")
        seconds = []
        for turn in range(5):
            place = Path(root) / str(turn)
            reopened = BM25(Params())
            reopened.load(place, store)
            changed = [Chunk(f"{turn * 1000 + i:07d}", "d", f"changed text {turn} {i}", Span(0, 9)) for i in range(10)]
            start = time.perf_counter()
            reopened.delete(chunk.id for chunk in changed)
            reopened.add(changed)
            reopened.save(Path(root) / str(turn + 1))
            seconds.append(time.perf_counter() - start)
            start = time.perf_counter()
            reopened.search("changed w1 w2 w3")
            after = time.perf_counter() - start
        median = statistics.median(seconds)
        row(f"{name}: one changed file, add, delete, save", median, "s", bar="< 1 s", holds=median < 1)
        row(f"{name}: first query after the change", after, "s", bar="< 1 s", holds=after < 1)
        command = [sys.executable, "-c", FIRST_QUERY, str(Path(root) / "5"), "w1 w2 w3 w4"]
        first = [float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(5)]
        median = statistics.median(first)
        row(f"{name}: load and first query in a new process", median, "s", bar="< 1 s", holds=median < 1)


def main() -> None:
    english, chinese = data("scifact"), data("cmrc2018")
    if english is not None:
        ids, texts, queries, qrels = scifact(english)
        same_scores("SciFact", texts, list(queries.values())[:50])
        quality_english(ids, texts, queries, qrels)
        speed_scifact(texts, list(queries.values()))
    if chinese is not None:
        paragraphs, questions = cmrc(chinese)
        same_scores("CMRC2018", paragraphs, [question for question, _ in questions[:50]])
        quality_chinese(paragraphs, questions)
    speed_many()


if __name__ == "__main__":
    main()
