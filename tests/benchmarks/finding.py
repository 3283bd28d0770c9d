"""Hybrid search: how lexical and dense hits are best made one list, and whether that beats the better part. And
refining: how many answers survive in how much of the text.

    python tests/benchmarks/finding.py --data DIR [--cache DIR]        (or DOUGONG_DATA)

BM25 (retriever.bm25) and MiniLM (embedder.minilm, searched exactly) over four sets: SciFact (nDCG@10), Chroma's
chunking questions (recall of the top five chunks of chunker.recursive, 200 tokens), MuSiQue (share of the supporting
paragraphs among the top five) and CMRC2018 dev (recall@1, Chinese). `--cache` keeps vectors between runs: computing
them takes minutes. Intervals are 95 % paired bootstrap over questions, fixed seed.

A fusion is judged by choosing it on two of the English sets and reporting it on the third, in turn. Those that are no
parameter of retriever.hybrid are computed here: `floor`, min-max from the least possible score (BM25 0, cosine
-1) rather than the pool's (Bruch et al. 2023, TM2C2); `peak`, min-max weighted for each query by one less the mean
share of the pool, so that a flat list counts little (in the spirit of NQC, Shtok et al. 2012).

retriever.refine: of 1,000 questions each of SQuAD 1.1 dev and CMRC2018 dev whose paragraph is among BM25's best five,
the share whose answer (the first one given, at its own place) is whole in what is kept; beside it, that of keeping
the first two of the five, 40 % as well.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import attrs
import dougong
import ir_measures
import numpy as np
from _bench import data, row
from bm25 import Peer, cmrc, scifact
from chroma import CORPORA, interval, questions, scores
from dougong import Chunk, Hit, Span
from dougong_analyzer import terms, words
from dougong_retriever_hybrid.fusing import fuse, min_max, reciprocal_rank, z_score

POOL = 200
Lists = Sequence[Sequence[Hit]]
Fusion = Callable[[Lists], list[Hit]]
Judge = Callable[[Sequence[list[Hit]]], list[float]]


@attrs.frozen
class Set:
    """A data set: its parts' hits for each question, and the figure of ranked lists, one a question."""

    name: str
    unit: str
    chunks: list[Chunk]
    queries: list[str]
    judge: Judge


class Dense:
    """Exact search among MiniLM vectors."""

    def __init__(self, chunks: Sequence[Chunk], queries: Sequence[str], embedder: Any) -> None:
        self.chunks, self.languages = chunks, embedder.languages
        self.vectors = embedder.embed([chunk.index_text for chunk in chunks])
        self.queries = dict(zip(queries, embedder.embed(queries, "query")))

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        found = self.vectors @ self.queries[query]
        best = np.argsort(-found, kind="stable")[:k].tolist()
        hits = [Hit(self.chunks[at], float(found[at])) for at in best]
        return sorted(hits, key=lambda hit: (-hit.score, hit.chunk.id))


class Terms:
    """BM25 (bm25s) over terms of one's own."""

    def __init__(self, chunks: Sequence[Chunk], analyzer: Callable[[str], list[str]]) -> None:
        self.chunks, self.analyzer = chunks, analyzer
        self.model = Peer([analyzer(chunk.index_text) for chunk in chunks])

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        found = self.model.scores(self.analyzer(query))
        best = np.argsort(-found, kind="stable")[:k].tolist()
        hits = [Hit(self.chunks[at], float(found[at])) for at in best if found[at] > 0]
        return sorted(hits, key=lambda hit: (-hit.score, hit.chunk.id))


# ---------------------------------------------------------------- data


def chunk(id: str, text: str) -> Chunk:
    return Chunk(id, id, text, Span(0, len(text)))


def scifact_set(folder: Path) -> Set:
    ids, texts, queries, qrels = scifact(folder)

    def judge(ranked: Sequence[list[Hit]]) -> list[float]:
        run = [
            ir_measures.ScoredDoc(name, hit.chunk.id, -rank)
            for name, hits in zip(queries, ranked)
            for rank, hit in enumerate(hits[:10])
        ]
        found = {one.query_id: one.value for one in ir_measures.iter_calc([ir_measures.nDCG @ 10], qrels, run)}
        return [found.get(name, 0.0) for name in queries]

    return Set("SciFact", "nDCG@10", list(map(chunk, ids, texts)), list(queries.values()), judge)


def chroma_set(folder: Path) -> Set:
    asked = questions(folder)
    loader, chunker = dougong.make("loader.markdown"), dougong.make("chunker.recursive", size=200)
    documents = [attrs.evolve(loader.load(folder / f"{name}.md"), id=name) for name in CORPORA]

    def recall(hits: list[Hit], question: Any) -> float:
        found = [(hit.chunk.document, (hit.chunk.span.start, hit.chunk.span.end)) for hit in hits[:5]]
        return scores(found, question).recall

    return Set(
        "Chroma", "recall, top 5", [chunk for document in documents for chunk in chunker.chunk(document)],
        [question.text for question in asked], lambda ranked: list(map(recall, ranked, asked)),
    )  # fmt: skip


def musique_set(folder: Path) -> Set:
    corpus = json.loads((folder / "musique_train_corpus.json").read_text("utf-8"))
    asked = json.loads((folder / "musique_train.json").read_text("utf-8"))
    texts = [f"{passage['title']}\n{passage['text']}" for passage in corpus]
    gold = [
        {f"{p['title']}\n{p['paragraph_text']}" for p in question["paragraphs"] if p["is_supporting"]}
        for question in asked
    ]

    def judge(ranked: Sequence[list[Hit]]) -> list[float]:
        return [len({hit.chunk.text for hit in hits[:5]} & wanted) / len(wanted) for hits, wanted in zip(ranked, gold)]

    chunks = [chunk(f"{at:05d}", text) for at, text in enumerate(texts)]
    return Set("MuSiQue", "recall@5", chunks, [question["question"] for question in asked], judge)


def cmrc_set(folder: Path) -> Set:
    texts, asked = cmrc(folder)
    chunks = [chunk(f"{at:05d}", text) for at, text in enumerate(texts)]

    def judge(ranked: Sequence[list[Hit]]) -> list[float]:
        return [float(bool(hits) and int(hits[0].chunk.id) == gold) for hits, (_, gold) in zip(ranked, asked)]

    return Set("CMRC2018", "recall@1", chunks, [question for question, _ in asked], judge)


# ---------------------------------------------------------------- fusions


def as_they_are(hits: Sequence[Hit]) -> list[float]:
    return [hit.score for hit in hits]


def scaled(hits: Sequence[Hit], shares: Sequence[float]) -> list[Hit]:
    return [Hit(hit.chunk, share) for hit, share in zip(hits, shares)]


def floor(lists: Lists) -> list[Hit]:
    parts = [
        scaled(hits, [(hit.score - low) / (hits[0].score - low) for hit in hits]) if hits else []
        for hits, low in zip(lists, (0.0, -1.0))
    ]
    return fuse(parts, as_they_are, [1.0, 1.0])


def peak(lists: Lists) -> list[Hit]:
    weights = [1 - fmean(min_max(hits)) if len(hits) > 1 else 1.0 for hits in lists]
    return fuse(lists, min_max, weights)


def cut(pool: int, fusion: Fusion) -> Fusion:
    return lambda lists: fusion([hits[:pool] for hits in lists])


def summed(shares: Any, lexical: float = 1.0, dense: float = 1.0) -> Fusion:
    return lambda lists: fuse(lists, shares, [lexical, dense])


TRIED: dict[str, Fusion] = {
    "z-score": cut(POOL, summed(z_score)),
    "min-max": cut(POOL, summed(min_max)),
    "rrf": cut(POOL, summed(reciprocal_rank(60))),
    "rrf, constant 10": cut(POOL, summed(reciprocal_rank(10))),
    "floor": cut(POOL, floor),
    "peak": cut(POOL, peak),
    **{f"z-score, pool {pool}": cut(pool, summed(z_score)) for pool in (20, 50, 100)},
    **{f"min-max, pool {pool}": cut(pool, summed(min_max)) for pool in (20, 50, 100)},
    **{f"z-score, dense .{tenth}": cut(POOL, summed(z_score, 1 - tenth / 10, tenth / 10)) for tenth in (3, 4, 6, 7)},
    **{f"min-max, dense .{tenth}": cut(POOL, summed(min_max, 1 - tenth / 10, tenth / 10)) for tenth in (3, 4, 6, 7)},
}


# ---------------------------------------------------------------- tables


def told(difference: tuple[float, float, float]) -> str:
    mean, low, high = difference
    return f"{mean:+.4f}, 95 % {low:+.4f} to {high:+.4f}"


def table(case: Set, embedder: Any, bar: float | None) -> dict[str, list[float]]:
    """The figures of parts, of the plugin and of everything tried, one a question."""
    lexical = dougong.make("retriever.bm25")
    lexical.add(case.chunks)
    dense = Dense(case.chunks, case.queries, embedder)
    lists = [[part.search(query, POOL) for part in (lexical, dense)] for query in case.queries]
    found = {
        "BM25": case.judge([both[0] for both in lists]),
        "MiniLM": case.judge([both[1] for both in lists]),
        **{name: case.judge([fusion(both) for both in lists]) for name, fusion in TRIED.items()},
    }
    plugin = dougong.make("retriever.hybrid", of=[lexical, dense])
    found["hybrid"] = case.judge([plugin.search(query, 10) for query in case.queries])
    better = max(("BM25", "MiniLM"), key=lambda name: fmean(found[name]))
    for name, values in found.items():
        label = f"{case.name}, {len(values)} questions: {name}"
        if name == "hybrid":
            gain = interval(values, found[better])
            against = f"{better} {fmean(found[better]):.4g}, {told(gain)}"
            claim = {"bar": f">= {bar}, beyond {better}", "holds": fmean(values) >= bar and gain[1] > 0} if bar else {}
            row(f"{label}, default", fmean(values), case.unit, against=against, **claim)
        else:
            row(label, fmean(values), case.unit)
    return found


def in_turn(found: Mapping[str, dict[str, list[float]]]) -> None:
    """The fusion that is best on two sets, on the third. Best: the highest mean of figure over the better part's."""
    for third in found:
        others = [name for name in found if name != third]

        def gain(fusion: str, others: Sequence[str] = others) -> float:
            return fmean(
                fmean(found[name][fusion]) / max(fmean(found[name]["BM25"]), fmean(found[name]["MiniLM"]))
                for name in others
            )

        best = max(TRIED, key=gain)
        better = max(("BM25", "MiniLM"), key=lambda name: fmean(found[third][name]))
        difference = told(interval(found[third][best], found[third][better]))
        row(f"chosen on {' and '.join(others)}: {best}; on {third}", fmean(found[third][best]), "figure of the set",
            against=f"{better} {fmean(found[third][better]):.4g}, {difference}")  # fmt: skip


def characters(text: str) -> list[str]:
    return [char for char in text.casefold() if char.isalnum()]


def bigrams(text: str) -> list[str]:
    single = characters(text)
    return ["".join(pair) for pair in pairwise(single)]


def chinese(case: Set, embedder: Any) -> None:
    """Each analyzer's BM25 alone and in each fusion, beside an embedder that knows little Chinese."""
    found = table(case, embedder, None)
    best = fmean(found["hybrid"])
    row(f"{case.name}: hybrid, default", best, case.unit, bar=">= .972", holds=best >= 0.972)
    dense = Dense(case.chunks, case.queries, embedder)
    lexical = dougong.make("retriever.bm25")
    lexical.add(case.chunks)
    for weight in (1, 0.3, 0.2, 0.1):
        plugin = dougong.make("retriever.hybrid", of=[lexical, dense], weights_zh=[1, weight])
        value = fmean(case.judge([plugin.search(query, 10) for query in case.queries]))
        row(f"{case.name}: hybrid, weights_zh [1, {weight}]", value, case.unit, bar=">= .972", holds=value >= 0.972)
    dense_lists = [dense.search(query, POOL) for query in case.queries]
    analyzers: dict[str, Callable[[str], list[str]]] = {
        "words": lambda text: [text[start:end] for start, end in words(text)],
        "characters": characters,
        "bigrams": bigrams,
        "dougong-analyzer": terms,
    }
    for name, analyzer in analyzers.items():
        part = Terms(case.chunks, analyzer)
        lists = [[part.search(query, POOL), hits] for query, hits in zip(case.queries, dense_lists)]
        alone = case.judge([both[0] for both in lists])
        row(f"{case.name}, BM25 of {name}", fmean(alone), case.unit)
        for fusion in ("z-score", "min-max", "rrf", "peak", "z-score, dense .3"):
            values = case.judge([TRIED[fusion](both) for both in lists])
            against = f"BM25 alone {fmean(alone):.4g}, {told(interval(values, alone))}"
            row(f"{case.name}, BM25 of {name}, {fusion}", fmean(values), case.unit, against=against)


# ---------------------------------------------------------------- refining


def refining(name: str, file: Path) -> None:
    articles = json.loads(file.read_text("utf-8"))["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    asked = [(qa, f"{at:05d}") for at, paragraph in enumerate(paragraphs) for qa in paragraph["qas"]]
    asked = random.Random(0).sample(asked, 1_000)
    index, count = dougong.make("retriever.bm25"), dougong.make("tokenizer.words").count
    index.add(chunk(f"{at:05d}", paragraph["context"]) for at, paragraph in enumerate(paragraphs))
    refine = dougong.make("retriever.refine", of=index)
    survived, first_two, shares = [], [], []
    for qa, gold in asked:
        found, kept = index.search(qa["question"], 5), refine.search(qa["question"], 5)
        shares.append(sum(count(hit.chunk.text) for hit in kept) / max(1, sum(count(hit.chunk.text) for hit in found)))
        if gold in [hit.chunk.document for hit in found]:
            start = qa["answers"][0]["answer_start"]
            end = start + len(qa["answers"][0]["text"])
            spans = [hit.chunk.span for hit in kept if hit.chunk.document == gold]
            survived.append(any(span.start <= start and end <= span.end for span in spans))
            first_two.append(gold in [hit.chunk.document for hit in found[:2]])
    label = f"refine, {name}, {len(survived)} answers found among the top five"
    row(f"{label}: survive", fmean(survived), "share", against=f"first two hits whole {fmean(first_two):.4g}",
        bar=">= .95", holds=fmean(survived) >= 0.95)  # fmt: skip
    row(f"{label}: tokens kept, mean", fmean(shares), "share")
    row(f"{label}: tokens kept, most", max(shares), "share", bar="<= .4", holds=max(shares) <= 0.4)


def main() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--cache", type=Path)
    with tempfile.TemporaryDirectory() as temporary:
        cache = (parser.parse_known_args()[0].cache or Path(temporary)) / "vectors.db"
        embedder = dougong.make("embedder.minilm", cache=str(cache))
        found: dict[str, dict[str, list[float]]] = {}
        for name, make, bar in (
            ("chunking", chroma_set, 0.92), ("scifact", scifact_set, 0.73), ("musique", musique_set, None),
        ):  # fmt: skip
            if (folder := data(name)) is not None:
                case = make(folder)
                found[case.name] = table(case, embedder, bar)
        if len(found) == 3:
            in_turn(found)
        if (folder := data("cmrc2018")) is not None:
            chinese(cmrc_set(folder), embedder)
    for name, file in (("squad", "dev-v1.1.json"), ("cmrc2018", "cmrc2018_dev.json")):
        if (folder := data(name)) is not None:
            refining(name, folder / file)


if __name__ == "__main__":
    main()
