"""Rank files: tokens against byte pairs merged by the definition, and against the tokenizers library."""

import base64
from collections import Counter
from itertools import pairwise

import dougong
import numpy as np
import pytest
import regex
from dougong import BuildError, ConfigError, Document
from dougong_tokenizer_tiktoken_file import Params
from dougong_tokenizer_tiktoken_file.ranks import PATTERNS, RankFile
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

TEXT = "The cat sat on the mat; it's 12345 o'clock. 他走了很远的路，图书馆里有很多书。斗拱是榫卯。 Hello World! " * 2
PIECES = [
    "The cat",
    " it's",
    "12345",
    "他走了很远",
    "龘",
    "👩‍👩‍👧",
    "e\u0301",
    "\r\n\r\n",
    "   ",
    "　",
    "\x00",
    "<|endoftext|>",
    "\ud800",
]
hostile = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=20).map("".join)


def learnt(text, merges):
    """Ranks by the definition of byte-pair encoding: the commonest neighbours become a token, again and again."""
    words = [[bytes([b]) for b in word.encode()] for word in regex.findall(PATTERNS["cl100k"], text)]
    ranks = {bytes([byte]): byte for byte in range(256)}
    for rank in range(256, 256 + merges):
        pairs = Counter(pair for word in words for pair in pairwise(word))
        (left, right), _ = max(pairs.items(), key=lambda item: (item[1], item[0]))
        ranks[left + right] = rank
        words = [merged(word, left + right) for word in words]
    return ranks


def merged(word, token):
    done = []
    for piece in word:
        if done and done[-1] + piece == token:
            done[-1] = token
        else:
            done.append(piece)
    return done


def by_definition(ranks, pattern, text):
    """Tokens: of all neighbours the pair of the lowest rank is merged first, the leftmost of equals."""
    found = []
    for match in regex.finditer(pattern, text):
        word = [bytes([byte]) for byte in match[0].encode()]
        while len(word) > 1:
            best = min(range(len(word) - 1), key=lambda i: ranks.get(word[i] + word[i + 1], 1 << 30))
            if word[best] + word[best + 1] not in ranks:
                break
            word[best : best + 2] = [word[best] + word[best + 1]]
        found += word
    return found


RANKS = learnt(TEXT, 60)


@pytest.fixture(scope="session")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("ranks") / "own.tiktoken"
    path.write_bytes(b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in RANKS.items()))
    return path


@pytest.mark.parametrize("split", PATTERNS)
@given(text=hostile)
@example(text="")
@example(text=TEXT)
def test_tokens_are_those_of_the_definition_and_cover_the_text(file, split, text):
    made = RankFile(Params(file, split))
    clean = regex.sub("[\ud800-\udfff]", "\ufffd", text)
    tokens = by_definition(RANKS, PATTERNS[split], clean)
    assert made._ids(text).tolist() == [RANKS[token] for token in tokens]
    owner = [place for place, char in enumerate(clean) for _ in char.encode()]
    expected, at = [], 0
    for token in tokens:
        start, end = owner[at], owner[at + len(token) - 1] + 1
        if clean[start:end].strip():
            start, end = end - len(clean[start:end].lstrip()), start + len(clean[start:end].rstrip())
        expected.append((start, end))
        at += len(token)
    found = made.offsets(text)
    assert found.dtype == np.int32
    assert found.shape == (made.count(text), 2)
    assert list(map(tuple, found.tolist())) == expected
    covered = {place for start, end in expected for place in range(start, end)}
    assert all(text[place].isspace() for place in set(range(len(text))) - covered)


def test_ids_are_those_of_the_tokenizers_library(file):
    """The same ranks as merges there, each of the two tokens that make it up."""
    alphabet = {}
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    written = {token: "".join(alphabet[byte] for byte in token) for token in RANKS}
    merges = []
    for token, rank in RANKS.items():
        if len(token) > 1:
            below = {known: value for known, value in RANKS.items() if value < rank}
            word = _parts(below, token)
            merges.append((written[word[0]], written[word[1]]))
    reference = Tokenizer(models.BPE({written[token]: rank for token, rank in RANKS.items()}, merges))
    greedy = regex.sub(r"([+?*}])\+", r"\1", PATTERNS["cl100k"])  # its engine has no possessive quantifiers
    split = pre_tokenizers.Split(Regex(greedy), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    reference.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    assert RankFile(Params(file))._ids(TEXT).tolist() == reference.encode(TEXT).ids


def _parts(ranks, token):
    word = [bytes([byte]) for byte in token]
    while len(word) > 2:
        best = min(range(len(word) - 1), key=lambda i: ranks.get(word[i] + word[i + 1], 1 << 30))
        word[best : best + 2] = [word[best] + word[best + 1]]
    return word


@pytest.mark.parametrize("chunker", ["fixed", "recursive"])
def test_chunkers_keep_their_contract(file, chunker):
    extra = {"overlap": 3} if chunker == "fixed" else {}
    tokenizer = dougong.make("tokenizer.tiktoken-file", path=file)
    text, at = TEXT + "龘👩‍👩‍👧龘龘" * 20, 0
    for chunk in dougong.make(f"chunker.{chunker}", size=20, tokenizer=tokenizer, **extra).chunk(Document("d", text)):
        assert chunk.text == text[chunk.span.start : chunk.span.end]
        assert not text[at : chunk.span.start].strip()
        assert chunker == "fixed" or chunk.oversize or tokenizer.count(chunk.text) <= 20
        at = chunk.span.end
    assert not text[at:].strip()


@pytest.mark.parametrize("unit", ["a", " ", "\n", ".", "好", "1", "\r\n", "ab", "👩‍👩‍👧"])
def test_half_a_megabyte_of_one_thing_is_no_trouble(file, unit):
    text = unit * (500_000 // len(unit.encode()))
    offsets = RankFile(Params(file)).offsets(text)
    assert offsets[-1, 1] == len(text)


def test_a_name_is_no_file(tmp_path):
    with pytest.raises(BuildError, match=r"cl100k_base is no file.*name is not looked up"):
        dougong.make("tokenizer.tiktoken-file", path="cl100k_base")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("no line", r"own\.tiktoken:257 .*this is no line"),
        ("IQ== 300 4", ":257 .*this is no line"),
        ("IQ== x", ":257 .*this is no line"),
        ("IQ== 300", ":257 .*this is no line"),  # a byte twice
        ("IiE= -1", ":257 .*this is no line"),
        ("IiE= 99999999999", ":257 .*this is no line"),
        ("IiE= 3", "gives one rank to several"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_the_line(tmp_path, line, why):
    path = tmp_path / "own.tiktoken"
    good = [base64.b64encode(bytes([byte])).decode() + f" {byte}" for byte in range(256)]
    path.write_text("\n".join([*good, line]))
    with pytest.raises(BuildError, match=why):
        dougong.make("tokenizer.tiktoken-file", path=str(path))
    path.write_text("\n".join(good[:200]))
    with pytest.raises(BuildError, match="no token for the byte 200 and 55 others"):
        dougong.make("tokenizer.tiktoken-file", path=str(path))


def test_patterns_are_checked(file):
    with pytest.raises(BuildError, match=r"pattern '\(a' cannot be read"):
        dougong.make("tokenizer.tiktoken-file", path=file, pattern="(a")
    with pytest.raises(ConfigError, match="cl100k"):
        dougong.make("tokenizer.tiktoken-file", path=file, split="cl10k")
    made = dougong.make("tokenizer.tiktoken-file", path=file, pattern=r"\w+")
    assert made.count("word") == len(by_definition(RANKS, r"\w+", "word"))
    with pytest.raises(ValueError, match="leaves out 1 bytes"):
        made.count("two words")
