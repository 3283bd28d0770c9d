"""Bytes: counts and offsets against the encoder, and what chunkers make of characters of several bytes."""

import dougong
import numpy as np
import pytest
from dougong import Document
from hypothesis import given
from hypothesis import strategies as st

BYTES = dougong.make("tokenizer.bytes")
MIXED = "斗拱 (dǒugǒng): brackets 👩‍👩‍👧 of Chinese timber building. 榫卯不用钉。\n\n营造法式，1103。 " * 6


@given(st.text(st.characters(exclude_categories=())))
def test_every_byte_has_the_offsets_of_its_character(text):
    expected = [(i, i + 1) for i, char in enumerate(text) for _ in char.encode("utf-8", "surrogatepass")]
    found = BYTES.offsets(text)
    assert found.dtype == np.int32
    assert found.shape == (len(expected), 2)
    assert list(map(tuple, found.tolist())) == expected
    assert BYTES.count(text) == len(expected)


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_recursive_chunks_keep_their_maximum_to_the_byte(size):
    chunks = list(dougong.make("chunker.recursive", size=size, tokenizer=BYTES).chunk(Document("d", MIXED)))
    assert "".join("".join(c.text for c in chunks).split()) == "".join(MIXED.split())
    for chunk in chunks:
        assert len(chunk.text.encode()) <= size or chunk.oversize


@pytest.mark.parametrize("text", [MIXED, MIXED.replace("\u200d", " ")], ids=["families", "single"])
@pytest.mark.parametrize(("size", "overlap"), [(1, 0), (2, 0), (7, 2), (100, 0), (100, 99)])
def test_windows_hold_whole_characters_and_leave_none_out(size, overlap, text):
    """A window may end inside a character; both neighbours then hold it."""
    chunks = list(dougong.make("chunker.fixed", size=size, overlap=overlap, tokenizer=BYTES).chunk(Document("d", text)))
    at = 0
    for chunk in chunks:
        assert text[chunk.span.start : chunk.span.end] == chunk.text
        assert not text[at : chunk.span.start].strip()
        assert text is MIXED or len(chunk.text.encode()) <= size + 6
        at = chunk.span.end
    assert not text[at:].strip()
