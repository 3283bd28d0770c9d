"""TextTiling: where the vocabulary of a text changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import sqrt

import numpy as np


def block_scores(blocks: Sequence[Sequence[str]], k: int) -> list[float]:
    """Cosine of the terms of the `k` blocks before each gap and the `k` after it; fewer at the edges, as many on both
    sides: ``len(blocks) - 1`` scores, 0 where one side has no terms.

    Source: Hearst 1997, TextTiling, section 5.2; nltk's ``TextTilingTokenizer``.
    """
    scores = []
    for gap in range(1, len(blocks)):
        window = min(k, gap, len(blocks) - gap)
        left = Counter(term for block in blocks[gap - window : gap] for term in block)
        right = Counter(term for block in blocks[gap : gap + window] for term in block)
        norm = sqrt(_square(left.values()) * _square(right.values()))
        few, many = sorted((left, right), key=len)
        scores.append(sum(count * many[term] for term, count in few.items() if term in many) / norm if norm else 0.0)
    return scores


def _square(counts: Iterable[int]) -> int:
    return sum(count * count for count in counts)


def smooth(scores: Sequence[float], width: int = 2) -> list[float]:
    """Mean over `width` neighbours and the score itself (half of them on each side), fewer at the edges."""
    half = width // 2
    return [float(np.mean(scores[max(0, at - half) : at + half + 1])) for at in range(len(scores))]


def depths(scores: Sequence[float]) -> list[float]:
    """How deep each gap lies below the peaks on both sides of it.

    Source: Hearst 1997, section 5.3.
    """
    left = _peaks(scores)
    right = _peaks(scores[::-1])[::-1]
    return [a + b - 2 * score for a, b, score in zip(left, right, scores)]


def _peaks(scores: Sequence[float]) -> list[float]:
    """What is reached from each score by climbing to the left, as long as it does not go down."""
    found: list[float] = []
    for at, score in enumerate(scores):
        found.append(found[-1] if at and scores[at - 1] >= score else score)
    return found
