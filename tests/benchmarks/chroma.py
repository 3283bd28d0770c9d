"""Chroma's evaluation of chunking: what every chunker gives a search for the top five.

    python tests/benchmarks/chroma.py --data DIR        (or DOUGONG_DATA)

Questions have reference excerpts, as offsets into three corpora (speech, articles, chats). The chunks of all three are
searched together, by BM25 and by MiniLM, and five are taken. Recall: the share of the excerpts that is in them;
precision: the share of them that is in excerpts; IoU: their intersection with the excerpts over their union. Precision
omega: the precision if every chunk that holds a part of an excerpt were found, and no other. Sizes are tokens of
tokenizer.words.

Source: Smith and Troynikov 2024, Evaluating Chunking Strategies for Retrieval; its code, `base_evaluation.py`. As
there, lengths are in characters. A chunk that only touches an excerpt holds no part of it; there, it does.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import attrs
import dougong
import numpy as np
from _bench import data, row
from dougong import Chunk

TOP = 5
CORPORA = ("wikitexts", "state_of_the_union", "chatlogs")
CHOSEN_ON = "wikitexts"
Range = tuple[int, int]


@attrs.frozen
class Question:
    text: str
    corpus: str
    references: tuple[Range, ...]


@attrs.frozen
class Scores:
    recall: float
    precision: float
    iou: float


def joined(ranges: Iterable[Range]) -> list[Range]:
    """The union of ranges, as ascending ranges that do not touch."""
    found: list[Range] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif end > start:
            found.append((start, end))
    return found


def length(ranges: Iterable[Range]) -> int:
    return sum(end - start for start, end in ranges)


def common(some: Sequence[Range], others: Sequence[Range]) -> int:
    """Characters in both."""
    return length((max(a, c), min(b, d)) for a, b in joined(some) for c, d in joined(others) if max(a, c) < min(b, d))


def scores(found: Sequence[tuple[str, Range]], question: Question) -> Scores:
    """Of the chunks found, as corpus and range: a character found twice counts twice in what was read."""
    same = [span for corpus, span in found if corpus == question.corpus]
    hit = common(same, question.references)
    read = length(span for _, span in found)
    wanted = length(question.references)
    missed = length(joined(question.references)) - hit
    return Scores(hit / wanted, hit / read if read else 0.0, hit / (read + missed))


def precision_omega(chunks: Sequence[Range], references: Sequence[Range]) -> float:
    """`chunks`: all of the question's corpus."""
    holding = [(a, b) for a, b in chunks if any(max(a, c) < min(b, d) for c, d in references)]
    hit = common(holding, references)
    return hit / (length(joined(holding)) + length(joined(references)) - hit)


def questions(folder: Path) -> list[Question]:
    found = []
    with (folder / "questions.csv").open(encoding="utf-8", newline="") as file:
        for record in csv.DictReader(file):
            spans = tuple((part["start_index"], part["end_index"]) for part in json.loads(record["references"]))
            found.append(Question(record["question"], record["corpus_id"], spans))
    return found


def chunkers(embedder: Any) -> dict[str, dict[str, Any]]:
    """Name and config of each contender."""
    found: dict[str, dict[str, Any]] = {}
    for size in (200, 400):
        found[f"fixed {size}/0"] = {"use": "fixed", "size": size, "overlap": 0}
        found[f"fixed {size}/{size // 2}"] = {"use": "fixed", "size": size, "overlap": size // 2}
        found[f"recursive {size}"] = {"use": "recursive", "size": size}
        found[f"structure {size}"] = {"use": "structure", "size": size}
        found[f"semantic-rules {size}"] = {"use": "semantic-rules", "size": size}
        semantic = {"use": "semantic-embedding", "size": size, "embedder": embedder}
        found[f"semantic-embedding, percentile {size}"] = semantic
        found[f"semantic-embedding, mean size {size // 2} of {size}"] = {**semantic, "threshold": "mean-size"}
        found[f"semantic-cluster {size}"] = {"use": "semantic-cluster", "size": size, "embedder": embedder}
    return found


def interval(one: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    """Mean difference, and its 95 % interval by paired bootstrap."""
    difference = np.array(one) - np.array(other)
    drawn = np.random.default_rng(0).integers(0, len(difference), (10_000, len(difference)))
    low, high = np.percentile(difference[drawn].mean(axis=1), [2.5, 97.5])
    return float(difference.mean()), float(low), float(high)


def top(chunks: Sequence[Chunk], asked: Sequence[Question], embedder: Any) -> dict[str, list[list[Chunk]]]:
    """The best chunks for each question, by retriever."""
    index = dougong.make("retriever.bm25")
    index.add(chunks)
    lexical = [[hit.chunk for hit in index.search(question.text, TOP)] for question in asked]
    passages = embedder.embed([chunk.index_text for chunk in chunks])
    similar = embedder.embed([question.text for question in asked], "query") @ passages.T
    order = np.argsort(-similar, axis=1, kind="stable")[:, :TOP]
    return {"BM25": lexical, "MiniLM": [[chunks[number] for number in row] for row in order.tolist()]}


def main() -> None:
    folder = data("chunking")
    if folder is None:
        return
    asked = questions(folder)
    loader = dougong.make("loader.markdown")
    documents = {name: attrs.evolve(loader.load(folder / f"{name}.md"), id=name) for name in CORPORA}
    words = dougong.make("tokenizer.words")
    recalls: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        embedder = dougong.make("embedder.minilm", cache=str(Path(temporary) / "vectors.db"))
        contenders = chunkers(embedder)
        for name, config in contenders.items():
            chunker = dougong.make(f"chunker.{config['use']}", **{k: v for k, v in config.items() if k != "use"})
            chunks = [chunk for document in documents.values() for chunk in chunker.chunk(document)]
            spans = {
                corpus: [(chunk.span.start, chunk.span.end) for chunk in chunks if chunk.document == corpus]
                for corpus in documents
            }
            row(f"{name}: chunks", len(chunks), "chunks")
            row(f"{name}: mean size", fmean(words.count(chunk.text) for chunk in chunks), "tokens")
            omega = fmean(precision_omega(spans[question.corpus], question.references) for question in asked)
            row(f"{name}: precision omega", 100 * omega, "%")
            for retriever, found in top(chunks, asked, embedder).items():
                results = [
                    scores([(chunk.document, (chunk.span.start, chunk.span.end)) for chunk in five], question)
                    for five, question in zip(found, asked)
                ]
                recalls[name, retriever] = [result.recall for result in results]
                for metric in ("recall", "precision", "iou"):
                    mean = fmean(getattr(result, metric) for result in results)
                    row(f"{name}, {retriever}: {metric}", 100 * mean, "%")
                for corpus in CORPORA:
                    here = [result.recall for result, q in zip(results, asked) if q.corpus == corpus]
                    row(f"{name}, {retriever}, {corpus}: recall", 100 * fmean(here), "%")
    for size in (200, 400):
        compare(size, [name for name in contenders if name.split()[-1].split("/")[0] == str(size)], asked, recalls)


def compare(size: int, names: list[str], asked: list[Question], recalls: dict[tuple[str, str], list[float]]) -> None:
    """The best of one size on one corpus, and how it does on the others against recursive."""

    def both(name: str, chosen: bool) -> list[float]:
        pairs = zip(asked, recalls[name, "BM25"], recalls[name, "MiniLM"])
        return [(a + b) / 2 for question, a, b in pairs if (question.corpus == CHOSEN_ON) == chosen]

    best = max(names, key=lambda name: fmean(both(name, True)))
    row(f"size {size}: best on {CHOSEN_ON} is {best}", 100 * fmean(both(best, True)), "% recall, mean of both")
    row(f"size {size}: {best} on the others", 100 * fmean(both(best, False)), "% recall, mean of both")
    base = f"recursive {size}"
    for name in names:
        if name != base:
            mean, low, high = interval(both(name, False), both(base, False))
            what = f"size {size}: {name} less {base} on the others, 95 % {100 * low:.1f} to {100 * high:.1f}"
            row(what, 100 * mean, "points of recall")


if __name__ == "__main__":
    main()
