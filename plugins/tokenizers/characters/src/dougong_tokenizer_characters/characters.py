"""Offsets of characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dougong_tokenizer_characters import Params


class Characters:
    """Every code point is a token, white space too: ``count(text) == len(text)``, as other tools count characters.

    A code point is not always what a reader calls a character (an emoji family has seven); chunkers keep those whole.
    """

    def __init__(self, params: Params) -> None:
        pass

    def offsets(self, text: str) -> np.ndarray:
        """Offsets ``[i, i + 1)`` of each character: int32 ``(len(text), 2)``, read-only, four bytes a character."""
        edges = np.arange(len(text) + 1, dtype=np.int32)
        return np.lib.stride_tricks.as_strided(edges, (len(text), 2), edges.strides * 2, writeable=False)

    def count(self, text: str) -> int:
        """The length of `text`."""
        return len(text)
