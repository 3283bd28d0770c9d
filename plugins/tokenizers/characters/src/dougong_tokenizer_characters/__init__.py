"""tokenizer.characters: one token a character."""

from __future__ import annotations

import attrs
from dougong import Technique, hookimpl


@attrs.frozen
class Params:
    """No parameters: a character is a Unicode code point."""


@hookimpl
def dougong_tokenizers() -> list[Technique]:
    return [
        Technique(
            "characters",
            Params,
            "dougong_tokenizer_characters.characters:Characters",
            summary="One token a character, white space included; sizes in len(text).",
            source="Unicode code points",
        )
    ]
