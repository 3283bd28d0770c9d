"""Fits the weights of llm.extractive. Run it with ``--data DIR --write plugins/llms/extractive/src/.../weights.py``.

Protocol. SQuAD's articles (48) and CMRC2018's documents (848), in file order, are shuffled with seed 7; every second
one, from the first, is the *fitting* half, the rest the *reporting* half that `answers.py` samples from. No
question, paragraph or article is in both. Features were chosen by cross-validation inside the fitting half.

1. Ranking: conditional logit. For each question of the fitting half, BM25's top 8 paragraphs give candidates; those of
   the gold paragraph that contain a gold answer are right; the likelihood of a right one is maximised, with an L2 term.
2. Confidence: logistic regression on the best candidate of each question, once with its gold paragraph among the
   passages and once with it left out. Scores come from a ranking fitted on the other folds. The label is whether the
   quote contains a gold answer and the gold paragraph was there.
3. The default threshold declines at most a tenth of the fitting half's answerable questions in either language.

English is fitted twice: by words alone, and with the figures of embedder.minilm (`en-meaning`). That takes minutes;
``--cache DIR`` keeps the vectors. Needs scipy.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import attrs
import dougong
import numpy as np
from _bench import data
from dougong import Chunk, Span
from dougong_llm_extractive.features import CONFIDENCE, FEATURES, Evidence, Passage, gather
from dougong_llm_extractive.meaning import MEANING, with_meaning
from scipy.optimize import minimize

FILES = {"en": ("squad", "dev-v1.1.json"), "zh": ("cmrc2018", "cmrc2018_dev.json")}
SEED = 7
PASSAGES = 8
RIDGE = 1.0


@attrs.frozen
class Asked:
    """A question of a data set; `paragraph` counts in the set's paragraphs."""

    text: str
    answers: tuple[str, ...]
    paragraph: int
    article: int


def read(language: str) -> tuple[list[str], list[Asked]] | None:
    """Paragraphs and questions of SQuAD or CMRC2018; None, with a line saying so, where they are absent."""
    folder = data(FILES[language][0])
    if folder is None:
        return None
    paragraphs: list[str] = []
    asked: list[Asked] = []
    for article, item in enumerate(json.loads((folder / FILES[language][1]).read_text("utf-8"))["data"]):
        for paragraph in item["paragraphs"]:
            for qa in paragraph["qas"]:
                answers = tuple(sorted({answer["text"] for answer in qa["answers"] if answer["text"]}))
                asked.append(Asked(qa["question"], answers, len(paragraphs), article))
            paragraphs.append(paragraph["context"])
    return paragraphs, asked


def halves(asked: Sequence[Asked]) -> tuple[list[Asked], list[Asked]]:
    """The fitting and the reporting half."""
    articles = sorted({question.article for question in asked})
    random.Random(SEED).shuffle(articles)
    fitting = set(articles[::2])
    return [q for q in asked if q.article in fitting], [q for q in asked if q.article not in fitting]


def index(paragraphs: Sequence[str]) -> dougong.Index:
    """BM25 over whole paragraphs; a chunk's document is the paragraph's number."""
    bm25: dougong.Index = dougong.make("retriever.bm25")
    bm25.add(Chunk(f"{i:05}", str(i), text, Span(0, len(text))) for i, text in enumerate(paragraphs))
    return bm25


@attrs.frozen(eq=False)
class Case:
    """A question's candidates; `right` marks those that contain a gold answer in the gold paragraph."""

    question: Asked
    evidence: Evidence
    rows: list[list[float]]
    right: np.ndarray


def cases(
    paragraphs: Sequence[str],
    asked: Sequence[Asked],
    bm25: dougong.Index,
    embedder: dougong.Embedder | None,
    *,
    gold: bool,
) -> list[Case]:
    found = []
    for question in asked:
        hits = bm25.search(question.text, PASSAGES + 1)
        numbers = [int(hit.chunk.document) for hit in hits]
        numbers = [number for number in numbers if gold or number != question.paragraph][:PASSAGES]
        evidence = gather(question.text, [Passage(str(i), paragraphs[i]) for i in numbers])
        right = [
            numbers[c.passage] == question.paragraph
            and any(answer in paragraphs[numbers[c.passage]][c.start : c.end] for answer in question.answers)
            for c in evidence.candidates
        ]
        rows = with_meaning(evidence, question.text, embedder) if embedder else evidence.rows
        found.append(Case(question, evidence, rows, np.array(right, bool)))
    return [case for case in found if case.evidence.candidates]


def fit_ranking(training: Sequence[Case]) -> np.ndarray:
    """Weights that maximise the log probability that softmax gives to right candidates, less RIDGE x their squares."""
    training = [case for case in training if case.right.any()]
    x = np.concatenate([case.rows for case in training])
    right = np.concatenate([case.right for case in training]).astype(float)
    sizes = np.array([len(case.right) for case in training])
    starts = np.cumsum(sizes) - sizes

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ w
        e = np.exp(z - np.repeat(np.maximum.reduceat(z, starts), sizes))
        every, good = np.add.reduceat(e, starts), np.add.reduceat(e * right, starts) + 1e-300
        gradient = x.T @ (e / np.repeat(every, sizes) - e * right / np.repeat(good, sizes))
        return float(np.log(every / good).sum() + RIDGE * w @ w), gradient + 2 * RIDGE * w

    return minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x


def fit_logistic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Logistic regression, the bias (first column) not shrunk."""
    shrunk = np.r_[0.0, np.ones(x.shape[1] - 1)]

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ w
        value = np.logaddexp(0, -(2 * y - 1) * z).sum() + RIDGE * shrunk @ (w * w)
        return float(value), x.T @ (1 / (1 + np.exp(-z)) - y) + 2 * RIDGE * shrunk * w

    return minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x


def auroc(yes: np.ndarray, no: np.ndarray) -> float:
    """Probability that one of `yes` is above one of `no`, ties half: the Mann-Whitney U statistic."""
    order = np.sort(no)
    below = np.searchsorted(order, yes, "left") + np.searchsorted(order, yes, "right")
    return float(below.mean() / 2 / len(no))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args()
    weights: dict[str, dict[str, float]] = {}
    confidence: dict[str, dict[str, float]] = {}
    scores: list[float] = []
    minilm = dougong.make("embedder.minilm", cache=str(options.cache / "vectors.db") if options.cache else None)
    for fit, embedder in (("en", None), ("zh", None), ("en-meaning", minilm)):
        loaded = read(fit[:2])
        if loaded is None:
            return
        paragraphs, asked = loaded
        fitting, _ = halves(asked)
        bm25 = index(paragraphs)
        with_gold = cases(paragraphs, fitting, bm25, embedder, gold=True)
        without = cases(paragraphs, fitting, bm25, embedder, gold=False)
        rows, labels, answerable = [], [], []
        for fold in range(4):
            w = fit_ranking([case for case in with_gold if case.question.article % 4 != fold])
            for group, has_gold in ((with_gold, True), (without, False)):
                for case in group:
                    if case.question.article % 4 == fold:
                        z = np.array(case.rows) @ w
                        rows.append(case.evidence.confidence_features(z.tolist()))
                        labels.append(bool(case.right[z.argmax()]))
                        answerable.append(has_gold)
        x, y, a = np.array(rows), np.array(labels, float), np.array(answerable)
        c = fit_logistic(x, y)
        p = 1 / (1 + np.exp(-(x @ c)))
        print(
            f"{fit}: {len(with_gold)} questions; cross-validated: right paragraph and answer in the first quote "
            f"{np.mean(y[a]):.3f}; AUROC of confidence {auroc(p[a], p[~a]):.3f}"
        )
        bins = np.quantile(p, np.linspace(0, 1, 11))
        for low, high in pairwise(bins):
            inside = (p >= low) & (p <= high)
            print(f"   confidence {p[inside].mean():.2f}  right {y[inside].mean():.2f}")
        scores.append(float(np.quantile(p[a], 0.10)))
        print(
            f"   tenth percentile of the answerable: {scores[-1]:.3f}; "
            f"of the others it declines {np.mean(p[~a] < scores[-1]):.3f}"
        )
        names = (*FEATURES, *MEANING) if embedder else FEATURES
        weights[fit] = dict(zip(names, fit_ranking(with_gold).round(2).tolist()))
        confidence[fit] = dict(zip(CONFIDENCE, c.round(3).tolist()))
    print(f"threshold: {min(scores):.3f}")
    if options.write:
        options.write.write_text(module(weights, confidence), "utf-8")


def module(weights: dict[str, dict[str, float]], confidence: dict[str, dict[str, float]]) -> str:
    """The source of ``weights.py``."""
    lines = [
        '"""Weights of the features, by language of the question. Written by tests/benchmarks/fit_extractive.py."""',
        "",
    ]
    for name, table in (("WEIGHTS", weights), ("CONFIDENCE_WEIGHTS", confidence)):
        lines.append(f"{name}: dict[str, dict[str, float]] = {{")
        for language, row in table.items():
            lines.append(f'    "{language}": {{')
            lines += [f'        "{feature}": {value},' for feature, value in row.items()]
            lines.append("    },")
        lines += ["}", ""]
    return "\n".join(lines[:-1]) + "\n"


if __name__ == "__main__":
    main()
