"""tokenizer.words: words, numbers and punctuation marks, as the analyzer cuts them."""

from __future__ import annotations

import attrs
from dougong import Technique, hookimpl


@attrs.frozen
class Params:
    """No parameters: every script has its own rules."""


@hookimpl
def dougong_tokenizers() -> list[Technique]:
    return [
        Technique(
            "words",
            Params,
            "dougong_tokenizer_words.words:Words",
            summary="A token a word, a number or a mark; Chinese words by dictionary.",
            source="Unicode Standard Annex 29, word boundaries; jieba for Chinese",
        )
    ]
