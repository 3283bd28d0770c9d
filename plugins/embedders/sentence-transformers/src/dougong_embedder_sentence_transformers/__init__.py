"""embedder.sentence-transformers: any model that sentence-transformers can load."""

from __future__ import annotations

import attrs
from attrs.validators import ge, min_len, optional
from dougong import Technique, hookimpl


@attrs.frozen
class Params:
    """Parameters of the embedder.

    model: a folder, or a model's name on the hub, which must be in the local cache unless `download`.
    download: fetch a model that is not there. Nothing is fetched otherwise.
    revision: branch, tag or commit on the hub; None for its default.
    device: of torch, ``cpu``, ``cuda:1``, ``mps``; None for the best there is.
    query_prefix, passage_prefix: put before a text; None for what the model's config_sentence_transformers.json says,
        ``""`` for none.
    batch: texts computed together, those of like length.
    dim: length that its vectors must have; None to take the model's.
    """

    model: str = attrs.field(validator=min_len(1))
    download: bool = False
    revision: str | None = None
    device: str | None = None
    query_prefix: str | None = None
    passage_prefix: str | None = None
    batch: int = attrs.field(default=32, validator=ge(1))
    dim: int | None = attrs.field(default=None, validator=optional(ge(1)))


@hookimpl
def dougong_embedders() -> list[Technique]:
    return [
        Technique(
            "sentence-transformers",
            Params,
            "dougong_embedder_sentence_transformers.model:Model",
            summary="Any sentence-transformers model, from a local folder or, where asked for, the hub.",
            source="Reimers and Gurevych 2019, Sentence-BERT, arXiv:1908.10084; https://sbert.net",
        )
    ]
