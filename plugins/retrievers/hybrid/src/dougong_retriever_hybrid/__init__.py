"""retriever.hybrid: several retrievers searched together, their hits fused."""

from __future__ import annotations

from typing import Any, Literal

import attrs
from dougong import Index, Retriever, Technique, hookimpl


def _one_each(instance: Any, attribute: Any, value: list[float] | None) -> None:
    if value is None:
        return
    parts = getattr(instance, "of", value)  # absent where it is itself wrong
    if len(value) != len(parts):
        raise ValueError(f"must be one number for each of the {len(parts)} retrievers; got {len(value)}")
    if not all(0 <= weight < float("inf") for weight in value) or not any(value):
        raise ValueError("must be 0 or more, and one of them above 0; [1, 1] weighs two alike")


@attrs.frozen
class Params:
    """What is searched, and how hits become one list.

    of: the retrievers; where all are indexes, so is the hybrid.
    fuse: ``z-score``, the sum of scores, each part's in standard deviations of its pool above the pool's last;
        ``min-max``, the same, but each scaled to 0..1; ``rrf``, the sum of ``1 / (rank_constant + rank)``, rank from 1.
    weights: what each part's share is multiplied by; None for 1 each.
    weights_zh: the same for queries in Chinese; None for `weights`, without the parts whose embedder says that it does
        not know the language.
    pool: hits that each part is asked for, at least; twice k where that is more.
    rank_constant: ``rrf``: the higher, the less the first ranks stand out.
    """

    of: list[Retriever] = attrs.field(validator=attrs.validators.min_len(1))
    fuse: Literal["z-score", "min-max", "rrf"] = "z-score"
    weights: list[float] | None = attrs.field(default=None, validator=_one_each)
    weights_zh: list[float] | None = attrs.field(default=None, validator=_one_each)
    pool: int = attrs.field(default=200, validator=attrs.validators.ge(1))
    rank_constant: int = attrs.field(default=60, validator=attrs.validators.ge(1))


@hookimpl
def dougong_retrievers() -> list[Technique]:
    return [
        Technique(
            "hybrid",
            Params,
            "dougong_retriever_hybrid.hybrid:Hybrid",
            summary="Several retrievers searched together: sum of standard scores, or RRF; an index of indexes.",
            source="Fox and Shaw 1994, CombSUM; Renda and Straccia 2003, z-scores; Cormack et al. 2009, RRF",
            protocol=Index,
        )
    ]
