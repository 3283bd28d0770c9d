"""Fixed-size chunks: windows over tokens, graphemes whole, the contract on hostile text."""

import dougong
import numpy as np
import pytest
import regex
from dougong import Chunk, Document, Section, Span
from dougong_analyzer.graphemes import joints
from dougong_chunker_fixed import Params
from dougong_chunker_fixed.fixed import FixedChunker
from dougong_tokenizer_characters import Params as NoParams
from dougong_tokenizer_characters.characters import Characters
from dougong_tokenizer_words.words import Words
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

CHARACTERS, WORDS = Characters(NoParams()), Words(NoParams())
FAMILY = "👩‍👩‍👧‍👦"
PIECES = [FAMILY, "🇨🇳", "e\u0301\u0302", "אב\u05b7", "\r\n", "\n\n", "\0", "क्षि", "\u0600 ", " \u0301"]
PIECES += ["word ", "他走了。", "　", "     "]
hostile = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=30).map("".join)


def chunks(text, size, overlap=0, tokenizer=CHARACTERS, tree=None):
    return list(FixedChunker(Params(size=size, overlap=overlap, tokenizer=tokenizer)).chunk(Document("d", text, tree)))


@pytest.mark.parametrize(
    ("count", "size", "overlap", "windows"),
    [
        (10, 4, 1, [(0, 4), (3, 7), (6, 10)]),
        (11, 4, 1, [(0, 4), (3, 7), (6, 10), (9, 11)]),
        (4, 4, 3, [(0, 4)]),
        (5, 4, 3, [(0, 4), (1, 5)]),
        (9, 4, 0, [(0, 4), (4, 8), (8, 9)]),
        (8, 4, 2, [(0, 4), (2, 6), (4, 8)]),
        (3, 4, 2, [(0, 3)]),
        (0, 4, 2, []),
    ],
)
def test_windows_slide_by_size_minus_overlap_and_stop_at_the_end(count, size, overlap, windows):
    """The last window is the first that reaches the end: no tail lies inside its predecessor."""
    text = "abcdefghijklmnop"[:count]
    assert [(c.span.start, c.span.end) for c in chunks(text, size, overlap)] == windows


def test_chunks_run_from_their_first_token_to_their_last():
    found = chunks("  One two.  三四五六 end ", 3, 1, WORDS)
    assert [(c.text, c.tokens) for c in found] == [("One two.", 3), (".  三四五六", 3), ("五六 end", 2)]


@settings(max_examples=600, deadline=None)
@given(hostile, st.integers(1, 20), st.integers(0, 19), st.sampled_from([CHARACTERS, WORDS]))
@example(FAMILY * 3, 2, 1, CHARACTERS)
@example("\u0600 x", 1, 0, WORDS)
def test_the_contract_holds_on_hostile_text(text, size, overlap, tokenizer):
    assume(overlap < size)
    text = text.replace("\ud800", "")
    found = chunks(text, size, overlap, tokenizer)
    inside = joints(text)
    covered = 0
    for chunk in found:
        start, end = chunk.span.start, chunk.span.end
        assert text[start:end] == chunk.text
        assert chunk.text.strip()
        assert chunk.id == Chunk.name("d", chunk.span)
        assert not text[covered:start].strip(), "only white space is left out"
        assert end > covered, "none lies inside the one before"
        assert not inside or not (inside[start] or inside[end]), "no grapheme is cut"
        assert chunk.oversize == (chunk.tokens > size)
        assert not chunk.oversize or len(regex.findall(r"\X", chunk.text)) == 1
        assert chunk.meta["line"] == 1 + text.count("\n", 0, start)
        covered = end
    assert not text[covered:].strip()


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab 中。\n", max_size=60), st.integers(1, 12), st.integers(0, 11))
def test_plain_text_gives_the_windows_of_the_definition(text, size, overlap):
    assume(overlap < size)
    offsets = WORDS.offsets(text).tolist()
    expected = []
    for first in range(0, len(offsets), size - overlap):
        window = offsets[first : first + size]
        expected.append((window[0][0], window[-1][1]))
        if first + size >= len(offsets):
            break
    assert [(c.span.start, c.span.end) for c in chunks(text, size, overlap, WORDS)] == expected


@pytest.mark.parametrize("unit", ["a", "好", FAMILY, "e\u0301", "\r\n", "🇨🇳", " "])
def test_a_megabyte_without_a_space_is_cut_in_linear_time(unit):
    text = unit * (1_000_000 // len(unit.encode()))
    found = chunks(text, 512, 64)
    assert all(chunk.tokens <= 512 for chunk in found)
    assert bool(found) == bool(text.strip())


def test_headings_and_parent_are_those_of_the_section_around():
    text = "# A\nx y\n## B\nz w v\n# C\nu"
    headings = [(0, 1, "A"), (8, 2, "B"), (19, 1, "C")]
    nodes = tuple(Section("heading", Span(at, at + 2 + level), level, title) for at, level, title in headings)
    found = chunks(text, 7, 0, CHARACTERS, Section("document", Span(0, len(text)), children=nodes))
    assert [(c.headings, c.parent and (c.parent.start, c.parent.end)) for c in found] == [
        (("A",), (0, 19)),
        (("A",), (0, 19)),
        ((), None),
        (("C",), (19, 24)),
    ]


def test_params_are_checked():
    with pytest.raises(ValueError, match=r"must be 0 or more and below size \(64\)"):
        Params(size=64, overlap=64, tokenizer=WORDS)
    with pytest.raises(ValueError, match="must be 1 or more"):
        Params(size=0, overlap=0, tokenizer=WORDS)


def test_it_is_built_by_name_with_its_default_tokenizer():
    chunker = dougong.make("chunker.fixed", size=2, overlap=1)
    assert [c.text for c in chunker.chunk(Document("d", "One two three"))] == ["One two", "two three"]


class Bytes:
    """A token a UTF-8 byte, at the place of its character, as byte-level tokenizers have them."""

    def offsets(self, text):
        places = [(at, at + 1) for at, char in enumerate(text) for _ in char.encode("utf-8", "surrogatepass")]
        return np.array(places, dtype=np.int32).reshape(-1, 2)

    def count(self, text):
        return len(self.offsets(text))


@given(hostile, st.integers(1, 9), st.integers(0, 8))
def test_tokens_that_share_a_character_are_never_parted(text, size, overlap):
    assume(overlap < size)
    for chunk in chunks(text, size, overlap, Bytes()):
        assert Bytes().count(chunk.text) <= size or chunk.oversize
        assert chunk.text in text
