"""tokenizer.bytes passes the kit; the bytes of one character share its place."""

from __future__ import annotations

import dougong
import pytest
from dougong.testing import TokenizerConformance


class TestBytes(TokenizerConformance):
    name = "tokenizer.bytes"
    golden = (("aé好", ["a", "é", "é", "好", "好", "好"]), ("", []), (" \n", [" ", "\n"]))
    parts = True


def test_it_is_there() -> None:
    with pytest.raises(dougong.ConfigError):
        dougong.make("tokenizer.bytes", size=3)
