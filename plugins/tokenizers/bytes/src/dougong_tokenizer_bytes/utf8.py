"""Offsets of the bytes of UTF-8."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dougong_tokenizer_bytes import Params


class Bytes:
    """Every byte of the text in UTF-8 is a token, white space too: ``count(text) == len(text.encode())``.

    A byte has no place of its own in code points. Its offsets are those of the character that it is part of, so the
    rows of one character repeat ``[i, i + 1)``, as byte-level tokenizers (`tokenizers`, say) tell half characters. No
    row is empty, and any stretch of tokens names the whole characters that it touches. A window that ends inside a
    character therefore holds it, and so does the next one.
    """

    def __init__(self, params: Params) -> None:
        pass

    def offsets(self, text: str) -> np.ndarray:
        """Offsets ``[i, i + 1)`` of the character of each byte, ascending: int32 ``(n, 2)``."""
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        widths = 1 + (points >= 0x80).astype(np.int8) + (points >= 0x800) + (points >= 0x10000)
        starts = np.repeat(np.arange(len(text), dtype=np.int32), widths)
        return np.stack([starts, starts + 1], axis=1)

    def count(self, text: str) -> int:
        """The length of `text` in bytes."""
        return len(text.encode("utf-8", "surrogatepass"))
