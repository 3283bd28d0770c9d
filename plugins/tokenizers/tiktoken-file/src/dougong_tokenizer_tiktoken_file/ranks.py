"""Byte-pair tokens from a rank file, with offsets in code points."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tiktoken
from dougong import BuildError, Place

if TYPE_CHECKING:
    from dougong_tokenizer_tiktoken_file import Params

# From tiktoken_ext/openai_public.py (MIT), where they stand beside the addresses that they are downloaded from.
_O200K_TAIL = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
PATTERNS = {
    "gpt2": r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s""",
    "cl100k": r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"""
    r"""|\s++$|\s*[\r\n]|\s+(?!\S)|\s""",
    "o200k": r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"""
    + _O200K_TAIL
    + r"""|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"""
    + _O200K_TAIL
    + r"""|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
}
_SPACES = np.array([point for point in range(0x3001) if chr(point).isspace()])  # str.isspace; none above U+3000
_SURROGATE = re.compile("[\ud800-\udfff]")


class RankFile:
    """Tokens are those of tiktoken with the file's ranks. Special tokens written out in a text are text.

    A token's offsets are those of the characters that it has bytes of, white space at its edges left out (but for
    tokens of nothing else); tokens that are parts of one character have its offsets each.
    """

    def __init__(self, params: Params) -> None:
        ranks = _read(params.path)
        pattern = params.pattern or PATTERNS[params.split]
        try:
            self._encoding = tiktoken.Encoding(
                params.path.name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={}
            )
        except ValueError as error:
            cure = "mend it, or leave it out to take that of 'split'"
            raise BuildError(f"pattern {pattern!r} cannot be read ({error})", hint=cure) from None
        self._sizes = np.zeros(max(ranks.values()) + 1, np.int32)
        self._sizes[list(ranks.values())] = [len(token) for token in ranks]

    def offsets(self, text: str) -> np.ndarray:
        """Offsets ``[start, end)`` of the tokens, ascending: int32 ``(n, 2)``. Raises ValueError as `count` does."""
        ends = np.cumsum(self._sizes[self._ids(text)])
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        widths = 1 + (points >= 0x80).astype(np.int8) + (points >= 0x800) + (points >= 0x10000)
        owner = np.repeat(np.arange(len(text), dtype=np.int32), widths)  # the character of each byte
        if not len(ends):
            return np.zeros((0, 2), np.int32)
        first, last = owner[np.append(0, ends[:-1])], owner[ends - 1] + 1
        places, blank = np.arange(len(text), dtype=np.int32), np.isin(points, _SPACES)
        after = np.minimum.accumulate(np.where(blank, len(text), places)[::-1])[::-1][first]
        before = np.maximum.accumulate(np.where(blank, 0, places + 1))[last - 1]
        worded = after < before
        return np.stack([np.where(worded, after, first), np.where(worded, before, last)], axis=1).astype(np.int32)

    def count(self, text: str) -> int:
        """How many tokens `text` has. Raises ValueError where the pattern leaves out a part of the text."""
        return len(self._ids(text))

    def _ids(self, text: str) -> np.ndarray:
        text = _SURROGATE.sub("\ufffd", text)
        ids = self._encoding.encode_to_numpy(text, disallowed_special=())
        missing = len(text.encode()) - int(self._sizes[ids].sum())
        if missing:
            raise ValueError(f"the pattern leaves out {missing} bytes of the text; let it end in |\\s+|.")
        return ids


def _read(path: Path) -> dict[bytes, int]:
    """Ranks by token. Raises BuildError naming file and line."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        cure = "give the path of a rank file, cl100k_base.tiktoken say; an encoding's name is not looked up"
        raise BuildError(f"{path} is no file that can be read ({error.strerror})", hint=cure) from None
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            token, rank = line.split()
            bytes_, value = base64.b64decode(token, validate=True), int(rank)
            if not bytes_ or not 0 <= value < 1 << 24 or bytes_ in ranks:
                raise ValueError
        except (ValueError, binascii.Error):
            cure = "each line holds a token's bytes in base64, a space, and its rank, no token twice"
            raise BuildError("this is no line of a rank file", place=Place(str(path), number), hint=cure) from None
        ranks[bytes_] = value
    if len(set(ranks.values())) < len(ranks):
        raise BuildError(f"{path} gives one rank to several tokens", hint="take the file as its model was trained with")
    if lacking := [byte for byte in range(256) if bytes([byte]) not in ranks]:
        raise BuildError(
            f"{path} has no token for the byte {lacking[0]} and {len(lacking) - 1} others",
            hint="a rank file begins with the 256 bytes; this one may be cut short or hold extra tokens only",
        )
    return ranks
