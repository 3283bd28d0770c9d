"""The tokenizer of characters."""

import numpy as np
import pytest
from dougong_tokenizer_characters import Params
from dougong_tokenizer_characters.characters import Characters

tokenizer = Characters(Params())


@pytest.mark.parametrize("text", ["", "a", "a b\n", "中文 e\u0301 👩‍👩", "\0\ud800"])
def test_each_code_point_is_a_token(text):
    offsets = tokenizer.offsets(text)
    assert offsets.dtype == np.int32
    assert offsets.shape == (len(text), 2)
    assert offsets.tolist() == [[i, i + 1] for i in range(len(text))]
    assert tokenizer.count(text) == len(text)


def test_offsets_cannot_be_written():
    """The columns share their memory: writing one would change the other."""
    with pytest.raises(ValueError, match="read-only"):
        tokenizer.offsets("abc")[0, 0] = 5
