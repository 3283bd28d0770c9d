"""Ranked lists to one: the three formulas."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from dougong import Hit

Shares = Callable[[Sequence[Hit]], list[float]]
"""What each hit of one list, best first, adds to its chunk's score."""


def min_max(hits: Sequence[Hit]) -> list[float]:
    """``(s - min) / (max - min)`` over the list; 1 where all scores are equal.

    Source: Lee 1997, Analyses of Multiple Evidence Combination, section 3.
    """
    if not hits:
        return []
    high, low = hits[0].score, hits[-1].score
    return [(hit.score - low) / (high - low) if high > low else 1.0 for hit in hits]


def z_score(hits: Sequence[Hit]) -> list[float]:
    """``(s - min) / sigma`` over the list: standard scores, counted from the list's last, as is a chunk that it lacks.

    A list with a few hits far above the rest weighs more than one in which all are alike: the latter knows less.
    1 where all scores are equal. Source: Renda and Straccia 2003, Web Metasearch, section 2 (Z-score normalisation).
    """
    shares = min_max(hits)
    mean = math.fsum(shares) / max(1, len(shares))
    spread = math.sqrt(math.fsum((share - mean) ** 2 for share in shares) / max(1, len(shares)))
    return [share / spread for share in shares] if min(shares, default=1.0) < 1 else shares


def reciprocal_rank(constant: int) -> Shares:
    """``1 / (constant + rank)``, rank from 1. Source: Cormack, Clarke and Büttcher 2009; constant 60."""
    return lambda hits: [1 / (constant + rank) for rank in range(1, len(hits) + 1)]


def fuse(lists: Sequence[Sequence[Hit]], shares: Shares, weights: Sequence[float]) -> list[Hit]:
    """One list, best first, ties by chunk id. A chunk that a list lacks gets nothing from it.

    Chunks are told apart by id; the first list's chunk stands for all. Source: Fox and Shaw 1994, CombSUM.
    """
    found: dict[str, tuple[Hit, list[float]]] = {}
    for hits, weight in zip(lists, weights, strict=True):
        for hit, share in zip(hits, shares(hits), strict=True):
            found.setdefault(hit.chunk.id, (hit, []))[1].append(weight * share)
    # fsum: equal parts give equal sums, whichever list they came from
    fused = [Hit(hit.chunk, math.fsum(parts)) for hit, parts in found.values()]
    return sorted(fused, key=lambda hit: (-hit.score, hit.chunk.id))
