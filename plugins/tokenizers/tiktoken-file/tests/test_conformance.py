"""tokenizer.tiktoken-file passes the kit; tokens which are parts of one character share its place."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from dougong.testing import TokenizerConformance

PAIRS = [b"th", b"the", b" the", b"on", "斗".encode()[:2], "斗".encode()]


class TestRanks(TokenizerConformance):
    name = "tokenizer.tiktoken-file"
    parts = True
    golden = (
        ("the on, tone", ["the", " ", "on", ",", " ", "t", "on", "e"]),
        ("on the", ["on", "the"]),
        ("斗拱", ["斗", "拱", "拱", "拱"]),
        ("a  b", ["a", " ", " ", "b"]),
    )

    def parameters(self) -> Mapping[str, Any]:
        path = self.folder / "own.tiktoken"
        tokens = [bytes([byte]) for byte in range(256)] + PAIRS
        path.write_bytes(b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens)))
        return {"path": str(path)}
