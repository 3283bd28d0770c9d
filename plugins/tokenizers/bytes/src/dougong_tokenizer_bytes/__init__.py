"""tokenizer.bytes: one token a byte of UTF-8."""

from __future__ import annotations

import attrs
from dougong import Technique, hookimpl


@attrs.frozen
class Params:
    """No parameters: a token is a byte of the text in UTF-8."""


@hookimpl
def dougong_tokenizers() -> list[Technique]:
    return [
        Technique(
            "bytes",
            Params,
            "dougong_tokenizer_bytes.utf8:Bytes",
            summary="One token a byte of UTF-8, white space included; sizes in bytes, as stores and byte models count.",
            source="UTF-8, RFC 3629; Xue et al. 2022, ByT5, arXiv:2105.13626",
        )
    ]
