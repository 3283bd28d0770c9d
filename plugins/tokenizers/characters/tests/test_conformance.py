"""tokenizer.characters passes the kit."""

from __future__ import annotations

from dougong.testing import TokenizerConformance


class TestCharacters(TokenizerConformance):
    name = "tokenizer.characters"
    golden = (("a 斗e\u0301\U00020bb7", ["a", " ", "斗", "e", "\u0301", "\U00020bb7"]),)
