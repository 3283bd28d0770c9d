"""Walks over the graph: personalised PageRank by power iteration, and the k shortest simple paths."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

Array = np.ndarray[Any, Any]


def pagerank(transition: Any, reset: Array, damping: float = 0.5, tolerance: float = 1e-12) -> Array:
    """Personalised PageRank, float64 ``(n,)``, summing to 1.

    `transition`: sparse ``(n, n)``, columns summing to 1 or, for nodes without edges, to 0: their mass goes back to
    `reset` ``(n,)``, which is not negative. All zero where `reset` is.

    Source: Page et al. 1999; HippoRAG (Gutiérrez et al. 2024), section 2.3, damping .5.
    """
    if not reset.any():
        return np.zeros_like(reset, dtype=np.float64)
    reset = reset / reset.sum()
    rank = reset
    while True:
        moved = damping * (transition @ rank)
        after = moved + (1 - moved.sum()) * reset
        if np.abs(after - rank).sum() < tolerance:
            return np.asarray(after)
        rank = after


@attrs.frozen
class Path:
    """Nodes in order; `edges[i]` joins the i-th to the next, and names its evidence. Shorter is better."""

    nodes: tuple[int, ...]
    edges: tuple[int, ...]
    length: float


def shortest_paths(
    neighbours: Mapping[int, Sequence[tuple[int, float, int]]], source: int, target: int, hops: int = 3
) -> Iterator[Path]:
    """Simple paths from `source` to `target` of at most `hops` edges, shortest first, ties by nodes.

    `neighbours`: of each node ``(node, length > 0, edge)``, one for each neighbour. Best first over partial paths,
    cut where the target is out of reach in the hops that are left: with so few hops there is nothing for Yen's
    deviations to save.
    """
    reach = {target: 0}  # hops to the target, as far as there are any
    ring = [target]
    for distance in range(1, hops + 1):
        ring = list({near for node in ring for near, *_ in neighbours.get(node, ()) if near not in reach})
        reach.update(dict.fromkeys(ring, distance))
    waiting: list[tuple[float, tuple[int, ...], tuple[int, ...]]] = [(0.0, (source,), ())] if source in reach else []
    while waiting:
        length, nodes, edges = heapq.heappop(waiting)
        if nodes[-1] == target:
            yield Path(nodes, edges, length)
            continue
        for near, step, edge in neighbours.get(nodes[-1], ()):
            if near not in nodes and reach.get(near, hops + 1) <= hops - len(nodes):
                heapq.heappush(waiting, (length + step, (*nodes, near), (*edges, edge)))
