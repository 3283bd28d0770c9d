"""tokenizer.huggingface: the tokens of a tokenizer.json file."""

from __future__ import annotations

from pathlib import Path

import attrs
from dougong import Technique, hookimpl


@attrs.frozen
class Params:
    """Parameters of a tokenizer file.

    path: a ``tokenizer.json`` of the `tokenizers` library. A file, never a name: nothing is downloaded.
    """

    path: Path


@hookimpl
def dougong_tokenizers() -> list[Technique]:
    return [
        Technique(
            "huggingface",
            Params,
            "dougong_tokenizer_huggingface.file:TokenizerFile",
            summary="The tokens of a tokenizer.json file, as the model that it belongs to counts them.",
            source="the tokenizers library (github.com/huggingface/tokenizers)",
        )
    ]
