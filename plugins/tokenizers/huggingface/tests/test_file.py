"""Tokenizer files: counts are the library's, offsets cover the text, whatever the tokenizer does to it."""

import dougong
import numpy as np
import pytest
from dougong import BuildError, Document
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "The cat sat on the mat, and naïve cafés were open. ",
    "他走了很远的路，图书馆里有很多书。斗拱是榫卯。",
    "hello world 你好",
]
CORPUS *= 3


def byte_pairs():
    """As GPT-2 and Qwen: bytes, a prefix space, offsets trimmed, NFC; and settings that would cut texts short."""
    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.post_processor = processors.ByteLevel(trim_offsets=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, show_progress=False)
    )
    made.enable_truncation(8)
    made.enable_padding(length=8)
    return made


def word_pieces():
    """As BERT: lower case, accents and control characters dropped, spaces put around Chinese; framed."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[UNK]", "[CLS]", "[SEP]"]
    made.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=160, special_tokens=special, show_progress=False)
    )
    made.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return made


def byte_fallback():
    """As Llama: SentencePiece's marks for spaces; unknown characters as bytes."""
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    made.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=420, special_tokens=special, show_progress=False))
    return made


def unigrams():
    """As T5: a unigram model over text in NFKC, which changes lengths."""
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=90, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)
    made.train_from_iterator(CORPUS, trainer)
    return made


def dropping():
    """Characters that have no token vanish."""
    made = Tokenizer(models.BPE())
    made.train_from_iterator(["abc 好"], trainers.BpeTrainer(show_progress=False))
    return made


MADE = {make.__name__: make() for make in (byte_pairs, word_pieces, byte_fallback, unigrams, dropping)}
PIECES = [
    "hello ",
    "The cat",
    "他走了",
    "龘",
    "👩‍👩‍👧",
    "é",
    "e\u0301",
    "\u0301",
    "½ ",
    "㎏",
    "ﬁ",
    "İ",
    "\x00",
    "\x01",
    "\ufeff",
    "　",
]
PIECES += ["\r\n", "   ", "\u2029", "<unk>", "[SEP]", "\ud800", "abc", "\u200b"]
hostile = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=20).map("".join)


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizers")
    for name, made in MADE.items():
        made.save(str(folder / f"{name}.json"))
    return {name: dougong.make("tokenizer.huggingface", path=folder / f"{name}.json") for name in MADE}


@pytest.mark.parametrize("name", MADE)
@given(text=hostile)
@example(text="")
@example(text="  \n ")
@example(text="\x01\x02")
@example(text="x")
def test_offsets_cover_the_text_and_counts_agree(built, name, text):
    offsets = built[name].offsets(text)
    assert offsets.dtype == np.int32
    assert offsets.shape == (built[name].count(text), 2)
    at = 0
    for start, end in offsets.tolist():
        assert 0 <= start < end <= len(text)
        assert not text[at:start].strip()
        at = max(at, end)
    assert not text[at:].strip()
    assert (np.diff(offsets, axis=0) >= 0).all(), "ascending"


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("text", [" ".join(CORPUS), "他走了很远。龘 ½ Café " * 40], ids=["corpus", "odd"])
def test_tokens_are_those_of_the_library(built, name, text):
    """Asked on its own: no frame, no truncation, no padding."""
    reference = MADE[name]
    reference.no_truncation()
    reference.no_padding()
    encoding = reference.encode(text, add_special_tokens=False)
    assert built[name].count(text) == len(encoding.ids)
    if name != "dropping":
        for (start, end), theirs in zip(built[name].offsets(text).tolist(), encoding.offsets):
            if text[slice(*theirs)].strip():
                assert text[start:end].strip() == text[start:end]
                assert text[start:end].startswith(text[slice(*theirs)].strip())


def test_byte_pairs_stand_where_their_bytes_stand(built):
    """Against the bytes themselves: token by token, decoded by the alphabet of GPT-2."""
    text = "斗拱 hello 👩‍👩‍👧 他走了很远的路 x"
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(byte): byte for byte in printable}
    table.update({chr(256 + number): byte for number, byte in enumerate(b for b in range(256) if b not in printable)})
    owner = [place for place, char in enumerate(text) for _ in char.encode()]
    at, expected = -1, []  # the prefix space is a byte that the text lacks
    for token in MADE["byte_pairs"].encode(text, add_special_tokens=False).tokens:
        size = len(bytes(table[char] for char in token))
        start, end = owner[max(at, 0)], owner[max(at + size - 1, 0)] + 1
        while text[start].isspace() and end - start > 1:
            start += 1
        expected.append((start, end))
        at += size
    assert list(map(tuple, built["byte_pairs"].offsets(text).tolist())) == expected


def test_words_carry_no_white_space(built):
    text = " hello   world\n"
    found = [text[start:end] for start, end in built["byte_pairs"].offsets(text)]
    assert (
        "".join(found).split() == ["helloworld"] or "".join(piece for piece in found if piece.strip()) == "helloworld"
    )


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("chunker", ["fixed", "recursive"])
def test_chunkers_keep_their_contract(built, name, chunker):
    text = "The cat sat. 他走了很远的路。\n\n👩‍👩‍👧 Café ½ 龘龘龘\x01\x02 " * 20
    extra = {"overlap": 3} if chunker == "fixed" else {}
    made = dougong.make(f"chunker.{chunker}", size=20, tokenizer=built[name], **extra)
    at = 0
    for chunk in made.chunk(Document("d", text)):
        assert chunk.text == text[chunk.span.start : chunk.span.end]
        assert not text[at : chunk.span.start].strip()
        assert chunker == "fixed" or chunk.oversize or built[name].count(chunk.text) <= 20
        at = chunk.span.end
    assert not text[at:].strip()


def test_a_name_is_no_file_and_the_error_says_how_to_get_one(tmp_path):
    with pytest.raises(BuildError, match=r"bert-base-chinese is no file.*hf download bert-base-chinese tokenizer.json"):
        dougong.make("tokenizer.huggingface", path="bert-base-chinese")


def test_a_folder_with_the_file_is_told_so(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(BuildError, match=r"name the file in it: .*tokenizer\.json"):
        dougong.make("tokenizer.huggingface", path=str(tmp_path))


@pytest.mark.parametrize("content", ["", "{}", '{"version": "9"}', "not json", "[1]"])
def test_a_file_that_is_no_tokenizer_is_an_error_that_names_it(tmp_path, content):
    file = tmp_path / "some.json"
    file.write_text(content)
    with pytest.raises(BuildError, match=r"some\.json holds no tokenizer"):
        dougong.make("tokenizer.huggingface", path=str(file))
