"""Offsets of the tokens of a tokenizer.json file, mended until they cover the text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from dougong import BuildError
from tokenizers import Encoding, Tokenizer

if TYPE_CHECKING:
    from dougong_tokenizer_huggingface import Params

_SPACES = np.array([point for point in range(0x3001) if chr(point).isspace()])  # str.isspace; none above U+3000
_SURROGATE = re.compile("[\ud800-\udfff]")


class TokenizerFile:
    """Tokens are those that the model of the file sees, without the special ones that frame a sequence.

    What the file says of truncation and padding is left out: it would cut long texts short. `offsets` are the
    library's, in code points of the text as given (before any normalisation), but for three things, so that they
    cover it:

    - white space at a token's edges is left out, but for tokens of nothing else;
    - what the tokenizer drops (control characters, accents, characters without a token) belongs to the token before it,
      or else after it; where it drops a whole text that is not blank, that text counts as one token;
    - tokens that are parts of one character (byte pairs of Chinese, ``½`` normalised to ``1⁄2``) have its offsets each.
    """

    def __init__(self, params: Params) -> None:
        self._tokenizer = _read(params.path)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.post_processor = None  # adds special tokens, and trims offsets of blank tokens to nothing

    def offsets(self, text: str) -> np.ndarray:
        """Offsets ``[start, end)`` of the tokens, ascending: int32 ``(n, 2)``."""
        found = np.array(self._encode(text).offsets, np.int32).reshape(-1, 2)
        if not len(found) and not text.strip():
            return found
        return _covering(found if len(found) else np.array([[0, len(text)]], np.int32), text)

    def count(self, text: str) -> int:
        """How many tokens `text` has."""
        return len(self._encode(text)) or int(bool(text.strip()))

    def _encode(self, text: str) -> Encoding:
        return self._tokenizer.encode(_SURROGATE.sub("\ufffd", text), add_special_tokens=False)


def _covering(offsets: np.ndarray, text: str) -> np.ndarray:
    """`offsets` ascending, none empty, with only white space between them."""
    length = len(text)
    starts = np.maximum.accumulate(np.minimum(offsets[:, 0], length - 1))
    ends = np.maximum(np.maximum.accumulate(offsets[:, 1]), starts + 1)
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    places, blank = np.arange(length, dtype=np.int32), np.isin(points, _SPACES)
    after = np.minimum.accumulate(np.where(blank, length, places)[::-1])[::-1]  # the next that is not blank, or length
    before = np.append(0, np.maximum.accumulate(np.where(blank, 0, places + 1)))  # behind the last that is not, or 0
    first, last = after[starts], before[ends]
    worded = first < last
    starts, ends = np.where(worded, first, starts), np.where(worded, last, ends)
    starts[0] = min(starts[0], after[0])
    ends = np.maximum(ends, before[np.append(starts[1:], length)])
    return np.stack([starts, ends], axis=1).astype(np.int32)


def _read(path: Path) -> Tokenizer:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        inside = path / "tokenizer.json"
        cure = (
            f"name the file in it: {inside}"
            if inside.is_file()
            else (
                f"give the path of a tokenizer.json; a model's name is not looked up. To fetch one yourself: "
                f"hf download {path.as_posix()} tokenizer.json"
                if not path.exists()
                else "give the path of a tokenizer.json"
            )
        )
        raise BuildError(
            f"{path} is no file that can be read ({getattr(error, 'strerror', error)})", hint=cure
        ) from None
    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # the library raises plain Exceptions
        cure = "give a tokenizer.json of the tokenizers library, saved by tokenizer.save() or save_pretrained()"
        raise BuildError(f"{path} holds no tokenizer that can be read ({error})", hint=cure) from None
