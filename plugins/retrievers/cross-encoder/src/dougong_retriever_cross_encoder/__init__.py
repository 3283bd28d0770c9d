"""retriever.cross-encoder: a network reads query and passage together and puts what was found in order."""

from __future__ import annotations

from pathlib import Path

import attrs
from dougong import Retriever, Technique, hookimpl


@attrs.frozen
class Params:
    """Parameters of reranking by a cross-encoder.

    of: finds the candidates.
    model: folder of a transformers model for sequence classification with one label: config.json, model.safetensors,
        tokenizer.json (BAAI/bge-reranker-v2-m3, cross-encoder/ms-marco-MiniLM-L6-v2).
    pool: candidates that are scored; what k asks for beyond them follows in its own order.
    max_tokens: of query and passage together; what is longer is cut, the longer of the two first.
    batch: pairs that go through the network together.
    device: where it runs, as torch names it: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    """

    of: Retriever
    model: Path
    pool: int = attrs.field(default=100, validator=attrs.validators.ge(1))
    max_tokens: int = attrs.field(default=512, validator=attrs.validators.ge(8))
    batch: int = attrs.field(default=32, validator=attrs.validators.ge(1))
    device: str = "cpu"


@hookimpl
def dougong_retrievers() -> list[Technique]:
    return [
        Technique(
            "cross-encoder",
            Params,
            "dougong_retriever_cross_encoder.scoring:CrossEncoder",
            summary="A network that reads query and passage together puts the hits in order.",
            source="Nogueira and Cho 2019, Passage Re-ranking with BERT, arXiv:1901.04085",
        )
    ]
