"""tokenizer.bytes passes the kit, but that the bytes of one character share its place."""

from __future__ import annotations

import dougong
import pytest
from dougong.testing import TokenizerConformance
from dougong.testing.tokenizer import TEXTS


class TestBytes(TokenizerConformance):
    name = "tokenizer.bytes"
    golden = (("aé好", ["a", "é", "é", "好", "好", "好"]), ("", []), (" \n", [" ", "\n"]))

    def test_tokens_stand_in_order_inside_the_text(self) -> None:
        """Ascending, none empty; those of one character repeat it, as code points have no finer place."""
        for text in TEXTS.values():
            found = self.build().offsets(text).tolist()
            assert found == sorted(found)
            assert all(0 <= start < end <= len(text) for start, end in found)

    def test_random_texts(self) -> None:
        """In test_utf8.py, against the encoder."""


def test_it_is_there() -> None:
    with pytest.raises(dougong.ConfigError):
        dougong.make("tokenizer.bytes", size=3)
