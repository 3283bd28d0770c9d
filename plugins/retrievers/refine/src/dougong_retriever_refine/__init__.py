"""retriever.refine: near-duplicates go, what is left is trimmed to the sentences that matter to the query."""

from __future__ import annotations

from typing import Any

import attrs
from dougong import Embedder, Retriever, Technique, Tokenizer, hookimpl, slot


def _a_share(instance: Any, attribute: Any, value: float) -> None:
    if not 0 < value <= 1:
        raise ValueError("must be above 0 and at most 1")


@attrs.frozen
class Params:
    """Parameters of context refinement.

    of: finds the hits.
    share: of the tokens found that are kept, at most; 1 trims nothing.
    tokens: kept at most, whatever the share; None for no such limit.
    duplicates: of two hits whose shingles have this Jaccard similarity or more, the later goes; 1: only equal ones.
    embedder: judges sentences, beside BM25; None for BM25 alone.
    tokenizer: what a token is.
    """

    of: Retriever
    share: float = attrs.field(default=0.4, validator=_a_share)
    tokens: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))
    duplicates: float = attrs.field(default=0.8, validator=_a_share)
    embedder: Embedder | None = None
    tokenizer: Tokenizer = slot("words")


@hookimpl
def dougong_retrievers() -> list[Technique]:
    return [
        Technique(
            "refine",
            Params,
            "dougong_retriever_refine.refine:Refine",
            summary="Hits without near-duplicates, trimmed to the sentences that matter, within a budget of tokens.",
            source="Broder 1997, On the Resemblance and Containment of Documents; Xu et al. 2024, RECOMP (extractive)",
        )
    ]
