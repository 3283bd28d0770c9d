"""Multi-hop questions by a graph with no model call: MuSiQue, as sampled by HippoRAG (100 questions, 1,890 passages).

    python tests/benchmarks/graph.py --data DIR [--cache DIR]        (or DOUGONG_DATA)

Share of the supporting paragraphs among the first two and five (R@2, R@5), and of questions all of whose are among the
five, for BM25, MiniLM and retriever.graph: with MiniLM, with BM25 in its place, and with the triples that came with the
sample (GPT-3.5) in place of the rules. Parameters are chosen by R@5 on one half of the questions (even or odd
numbers) and judged on the other, in turn; beside that, the defaults. Intervals are 95 % paired bootstrap over the
questions, fixed seed. `--cache` keeps vectors between runs: computing them takes minutes.

Before that, of the two texts of data/graph: places of entities, edges and reports whose text is not what they say.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import attrs
import dougong
from _bench import data, row
from chroma import interval
from dougong import Chunk, Hit
from dougong_retriever_graph import Params
from dougong_retriever_graph.extract import key
from dougong_retriever_graph.index import GraphIndex
from finding import Dense, musique_set

Search = Callable[[str], list[Hit]]
GRID = {"near_weight": (0.25, 0.5, 1.0), "passage_weight": (0.05, 0.1, 0.3), "damping": (0.5, 0.7)}
OPENIE = "openie_musique_train_results_ner_gpt-3.5-turbo-1106_1890.json"


@attrs.frozen
class Judged:
    """One figure a question."""

    two: list[float]
    five: list[float]
    every: list[float]


def judge(search: Search, asked: Sequence[str], gold: Sequence[set[str]]) -> Judged:
    found = [[hit.chunk.text for hit in search(question)] for question in asked]
    five = [len(set(texts[:5]) & wanted) / len(wanted) for texts, wanted in zip(found, gold)]
    two = [len(set(texts[:2]) & wanted) / len(wanted) for texts, wanted in zip(found, gold)]
    return Judged(two, five, [float(share == 1) for share in five])


def told(name: str, found: Judged, against: Judged | None = None, bar: float | None = None) -> None:
    row(f"{name}: R@2", fmean(found.two), "share")
    gain = interval(found.five, against.five) if against else None
    text = f"MiniLM {fmean(against.five):.4g}, {gain[0]:+.4f}, 95 % {gain[1]:+.4f} to {gain[2]:+.4f}" if gain else ""
    claim: dict[str, Any] = {}
    if bar is not None and gain is not None:
        claim = {"bar": f">= {bar}, beyond MiniLM", "holds": fmean(found.five) >= bar and gain[1] > 0}
    row(f"{name}: R@5", fmean(found.five), "share", against=text, **claim)
    row(f"{name}: all among five", fmean(found.every), "share")


def built(chunks: Sequence[Chunk], embedder: Any, **params: Any) -> GraphIndex:
    lexical = dougong.make("retriever.bm25")
    index = GraphIndex(Params(embedder=embedder, lexical=lexical, **params))
    index.add(chunks)
    return index


def chosen(
    chunks: Sequence[Chunk], embedder: Any, asked: Sequence[str], gold: Sequence[set[str]], **given: Any
) -> Judged:
    """Each question judged with what is best on the half that it is not in."""
    tried: dict[tuple[float, ...], Judged] = {}
    for near in GRID["near_weight"]:
        index = built(chunks, embedder, near_weight=near, **given)
        for passage, damping in product(GRID["passage_weight"], GRID["damping"]):
            index.params = attrs.evolve(index.params, passage_weight=passage, damping=damping)
            tried[near, passage, damping] = judge(lambda question: index.search(question, 5), asked, gold)  # noqa: B023
    picks = [max(tried, key=lambda values: fmean(tried[values].five[half::2])) for half in (0, 1)]
    for half, pick in enumerate(picks):
        row(f"best on the {('even', 'odd')[half]} questions, {dict(zip(GRID, pick))}; on the others",
            fmean(tried[pick].five[1 - half :: 2]), "R@5")  # fmt: skip
    fields = ("two", "five", "every")
    return Judged(*([getattr(tried[picks[1 - at % 2]], f)[at] for at in range(len(asked))] for f in fields))


def triples(folder: Path, file: Path) -> None:
    """The sample's own triples as lines that the plugin reads."""
    docs = json.loads((folder / OPENIE).read_text("utf-8"))["docs"]
    lines = []
    for doc in docs:
        good = [t for t in doc["extracted_triples"] if len(t) == 3 and all(isinstance(part, str) for part in t)]
        names = [name for name in doc["extracted_entities"] if isinstance(name, str)]
        lines.append(json.dumps({"text": doc["passage"], "triples": good, "entities": names}))
    file.write_text("\n".join(lines), "utf-8")


def spans(folder: Path) -> None:
    """A Christmas Carol and a Chinese biography: places of entities, edges and reports that are not what they say."""
    for file in sorted(folder.glob("*.txt")):
        document = dougong.make("loader.text").load(file)
        index = GraphIndex(Params(lexical=dougong.make("retriever.bm25")))
        index.add(dougong.make("chunker.recursive", size=300).chunk(document))
        graph, text = index.graph, document.text
        wrong = total = 0
        for entity in graph.entities:
            for place in entity.evidence:
                wrong += " ".join(text[place.start : place.end].split()) not in entity.names
                total += 1
        for edge in graph.edges:
            ends = [{key(name) for name in graph.entities[end].names} for end in (edge.source, edge.target)]
            for place in edge.evidence:
                said = key(text[place.start : place.end])
                wrong += not all(any(name in said for name in names) for names in ends)
                total += 1
        for report in index.reports:
            for place in report.evidence:
                wrong += text[place.start : place.end] not in report.text
                total += 1
        held = f"{len(graph.entities)} entities, {len(graph.edges)} edges, {len(index.reports)} reports"
        row(f"{file.name}: wrong ones of {total} places of {held}", wrong, "places", bar="0", holds=wrong == 0)


def main() -> None:
    if (folder := data("graph")) is not None:
        spans(folder)
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--cache", type=Path)
    folder = data("musique")
    if folder is None:
        return
    case = musique_set(folder)
    questions = json.loads((folder / "musique_train.json").read_text("utf-8"))
    gold = [
        {f"{p['title']}\n{p['paragraph_text']}" for p in question["paragraphs"] if p["is_supporting"]}
        for question in questions
    ]
    with tempfile.TemporaryDirectory() as temporary:
        cache = (parser.parse_known_args()[0].cache or Path(temporary)) / "vectors.db"
        embedder = dougong.make("embedder.minilm", cache=str(cache))
        lexical = dougong.make("retriever.bm25")
        lexical.add(case.chunks)
        told("BM25", judge(lambda question: lexical.search(question, 5), case.queries, gold))
        dense = Dense(case.chunks, case.queries, embedder)
        minilm = judge(lambda question: dense.search(question, 5), case.queries, gold)
        told("MiniLM", minilm)

        start = time.perf_counter()
        index = built(case.chunks, embedder)
        graph = index.graph
        row(f"graph of {len(graph.entities)} entities, {len(graph.edges)} edges", time.perf_counter() - start, "s")
        plain = judge(lambda question: index.search(question, 5), case.queries, gold)
        told("graph, MiniLM, defaults", plain, minilm, 0.7)
        bare = built(case.chunks, None)
        told("graph, no embedder", judge(lambda question: bare.search(question, 5), case.queries, gold), minilm)
        tuned = chosen(case.chunks, embedder, case.queries, gold)
        told("graph, MiniLM, chosen on the other half", tuned, minilm, 0.7)

        file = Path(temporary) / "triples.jsonl"
        triples(folder, file)
        ready = built(case.chunks, embedder, triples=file)
        found = judge(lambda question: ready.search(question, 5), case.queries, gold)
        told("graph, MiniLM, ready-made triples, defaults", found, minilm)
        told("graph, MiniLM, ready-made triples, chosen on the other half",
             chosen(case.chunks, embedder, case.queries, gold, triples=file), minilm, 0.7)  # fmt: skip


if __name__ == "__main__":
    main()
