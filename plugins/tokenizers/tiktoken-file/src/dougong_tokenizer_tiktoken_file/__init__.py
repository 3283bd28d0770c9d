"""tokenizer.tiktoken-file: byte pairs from a file in tiktoken's format."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs
from dougong import Technique, hookimpl


def _a_pattern(instance: Any, attribute: Any, value: str | None) -> None:
    if value is not None and not value:
        raise ValueError("must be a regular expression; leave it out to take that of 'split'")


@attrs.frozen
class Params:
    """Parameters of a byte-pair file.

    path: the file: a line a token, its bytes in base64, then its rank. Nothing is downloaded.
    split: whose pattern cuts the text before bytes are paired: ``gpt2`` (also r50k, p50k), ``cl100k``, ``o200k``.
    pattern: a pattern of your own in place of `split`'s, as tiktoken takes it; every character must match somewhere.
    """

    path: Path
    split: Literal["gpt2", "cl100k", "o200k"] = "cl100k"
    pattern: str | None = attrs.field(default=None, validator=_a_pattern)


@hookimpl
def dougong_tokenizers() -> list[Technique]:
    return [
        Technique(
            "tiktoken-file",
            Params,
            "dougong_tokenizer_tiktoken_file.ranks:RankFile",
            summary="The tokens of a byte-pair file in tiktoken's format, as the models of that encoding count them.",
            source="tiktoken (github.com/openai/tiktoken); Sennrich et al. 2016, arXiv:1508.07909, on bytes",
        )
    ]
