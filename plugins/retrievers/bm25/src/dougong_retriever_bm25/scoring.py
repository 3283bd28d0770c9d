"""The BM25 family over segments, with the statistics of the chunks that are alive at this moment.

N chunks are of average length avgdl, and df of them hold a term. With tf the term's count in a chunk of length dl and
B = 1 - b + b dl / avgdl, a chunk's score is the sum of idf w over the terms of the query, repetitions counted:

========  ==================================  ======================================================
variant   idf                                 w
========  ==================================  ======================================================
lucene    ln(1 + (N - df + .5) / (df + .5))   tf / (tf + k1 B)
okapi     ln((N - df + .5) / (df + .5))       (k1 + 1) tf / (tf + k1 B)
l         ln((N + 1) / (df + .5))             (k1 + 1) tf (c + delta) / (k1 + c + delta), c = tf / B
plus      ln((N + 1) / df)                    delta + (k1 + 1) tf / (tf + k1 B), also where tf = 0
========  ==================================  ======================================================

A negative idf of ``okapi`` becomes epsilon times the average idf of all terms. ``lucene`` is as in Lucene 8 and bm25s;
``okapi``, ``l`` and ``plus`` are as in rank-bm25 0.2.2, which in the last two departs from their paper (Lv and Zhai
2011): there w of ``l`` has no factor tf, and terms that a chunk lacks add nothing to ``plus``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from dougong_retriever_bm25 import Params
from dougong_retriever_bm25.segment import Segment

_DELTA = {"l": 0.5, "plus": 1.0}


@attrs.frozen(eq=False)
class _Term:
    """A term's live postings: chunks and ``idf (w(tf, B) - w(0, B))`` of each, segment by segment."""

    df: int
    idf: float
    postings: tuple[tuple[np.ndarray, np.ndarray], ...]


class View:
    """An index at one moment. Weights are derived per term on first use and kept as long as the view: statistics are
    those of a fresh build whatever was added and deleted before, and so is every score, to the last bit."""

    def __init__(self, segments: Sequence[Segment], params: Params) -> None:
        self.segments, self.params = segments, params
        self.delta = _DELTA.get(params.variant, 0.0) if params.delta is None else params.delta
        self.n = sum(segment.live for segment in segments)
        total = sum(int(s.lengths.sum(dtype=np.int64, where=True if s.dead is None else ~s.dead)) for s in segments)
        self.avgdl = total / self.n if total else 1.0
        self.norms = [1 - params.b + params.b * (segment.lengths / self.avgdl) for segment in segments]
        self._terms: dict[str, _Term] = {}
        self._average_idf: float | None = None

    def top(self, query: Mapping[str, int], k: int) -> list[tuple[float, str]]:
        """Score and id of the `k` best chunks that hold a term of `query` (term to repetitions); ties by id."""
        # The order of summation must not depend on how chunks are spread over segments.
        terms = sorted(((self._term(term), term) for term in query), key=lambda item: (item[0].df, item[1]))
        terms = [(entry, term) for entry, term in terms if entry.df]
        if not terms:
            return []
        absent = self.delta if self.params.variant == "plus" else 0.0
        base = sum(query[term] * entry.idf * absent for entry, term in terms)
        unsure = any(entry.idf <= 0 for entry, _ in terms)  # a score of 0 may then be that of a match
        best: list[tuple[float, str]] = []
        floor = -math.inf
        for i, segment in enumerate(self.segments):
            n = len(segment.ids)
            rows = max(1, min(64, n // (16 * k)))
            scores = np.zeros(rows * -(-n // rows))
            held = np.zeros(len(scores), bool) if unsure else None
            for entry, term in terms:
                docs, weights = entry.postings[i]
                docs = docs.astype(np.intp)
                np.add.at(scores, docs, weights if query[term] == 1 else query[term] * weights)
                if held is not None:
                    held[docs] = True
            chosen = _best(scores, held, k, rows, floor)
            best.extend(
                (float(scores[doc]) + base, segment.ids[doc].decode("utf-8", "surrogatepass")) for doc in chosen
            )
            best = sorted(best, key=lambda item: (-item[0], item[1]))[:k]
            if len(best) == k:
                floor = best[-1][0] - base - 1e-9 * abs(base)
        return best

    def _term(self, term: str) -> _Term:
        if term not in self._terms:
            lists = [segment.postings(term) for segment in self.segments]
            df = sum(len(docs) for docs, _ in lists)
            idf = self._idf(df) if df else 0.0
            self._terms[term] = _Term(
                df,
                idf,
                tuple(
                    (docs, idf * self._weight(counts.astype(np.float64), norm[docs]))
                    for (docs, counts), norm in zip(lists, self.norms)
                ),
            )
        return self._terms[term]

    def _idf(self, df: int) -> float:
        n = self.n
        match self.params.variant:
            case "lucene":
                return math.log(1 + (n - df + 0.5) / (df + 0.5))
            case "okapi":
                idf = math.log((n - df + 0.5) / (df + 0.5))
                return idf if idf >= 0 else self.params.epsilon * self._mean_idf()
            case "l":
                return math.log((n + 1) / (df + 0.5))
            case "plus":
                return math.log((n + 1) / df)

    def _weight(self, tf: np.ndarray, norm: np.ndarray) -> np.ndarray:
        """``w(tf, B) - w(0, B)``, 0 only where tf is."""
        k1, delta = self.params.k1, self.delta
        match self.params.variant:
            case "lucene":
                return tf / (tf + k1 * norm)
            case "l":
                c = tf / norm + delta
                return (k1 + 1) * tf * c / (k1 + c)
            case _:
                return (k1 + 1) * tf / (tf + k1 * norm)

    def _mean_idf(self) -> float:
        """Average of okapi's idf over all terms, negative ones included."""
        if self._average_idf is None:
            frequencies: Counter[bytes] = Counter()
            for segment in self.segments:
                frequencies.update(dict(zip(segment.terms.all(), segment.frequencies().tolist())))
            terms_of = Counter(df for df in frequencies.values() if df)
            total = math.fsum(m * math.log((self.n - df + 0.5) / (df + 0.5)) for df, m in terms_of.items())
            self._average_idf = total / terms_of.total()
        return self._average_idf


def _best(scores: np.ndarray, held: np.ndarray | None, k: int, rows: int, floor: float) -> list[int]:
    """The `k` chunks of highest score, best first, ties by number; of those held by `held`, else of a score above 0.

    The k-th largest of the maxima of disjoint blocks is a lower bound on the k-th largest score, and found in one pass.
    """
    if held is not None:
        found = np.flatnonzero(held)
    else:
        maxima = scores.reshape(rows, -1).max(axis=0)
        bound = np.partition(maxima, -k)[-k] if k <= len(maxima) else 0.0
        bound = max(float(bound), floor)
        found = np.flatnonzero(scores >= bound) if bound > 0 else np.flatnonzero(scores)
    return found[np.argsort(-scores[found], kind="stable")[:k]].tolist()
