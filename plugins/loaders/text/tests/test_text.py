"""The text loader: encodings, refusals, paragraphs."""

import codecs
from itertools import pairwise

import pytest
from dougong import LoadError
from dougong_loader_text import Params
from dougong_loader_text.text import TextLoader, paragraphs
from hypothesis import given
from hypothesis import strategies as st

ENGLISH = "A line.\r\n\r\nAnother “line” – with café.\n"
CHINESE = "话说天下大势，分久必合，合久必分。\n周末七国分争，并入于秦。及秦灭之后，楚、汉分争，又并入于汉。"
TRADITIONAL = "話說天下大勢，分久必合，合久必分。周末七國分爭，並入於秦。及秦滅之後，楚、漢分爭，又並入於漢。"
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"


def load(tmp_path, data, **params):
    file = tmp_path / "file.txt"
    file.write_bytes(data)
    return TextLoader(Params(**params)).load(file)


@pytest.mark.parametrize("text", [ENGLISH, CHINESE, "", "x"])
@pytest.mark.parametrize(
    ("codec", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-32-le", codecs.BOM_UTF32_LE),
        ("utf-32-be", codecs.BOM_UTF32_BE),
    ],
)
def test_unicode_is_read_with_and_without_a_mark(tmp_path, text, codec, mark):
    document = load(tmp_path, mark + text.encode(codec))
    assert document.text == text
    assert document.meta["encoding"] == codec
    assert document.id == document.source == str(tmp_path / "file.txt")


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf16_of_latin_text_is_known_by_its_nulls(tmp_path, codec):
    assert load(tmp_path, ENGLISH.encode(codec)).text == ENGLISH


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        (CHINESE, "gb18030"),
        (CHINESE * 2000, "gb18030"),
        (TRADITIONAL, "big5"),
        (JAPANESE, "shift_jis"),
        ("Ce café était fermé à Noël, hélas. Où dîner ? Ça ne gênait personne.", "cp1252"),
    ],
)
def test_other_encodings_are_detected(tmp_path, text, codec):
    assert load(tmp_path, text.encode(codec)).text == text


def test_a_given_encoding_is_used(tmp_path):
    assert load(tmp_path, "é".encode("cp1252"), encoding="cp1252").text == "é"
    with pytest.raises(LoadError, match=r"file\.txt: is not ascii; name another"):
        load(tmp_path, b"\xe9", encoding="ascii")
    with pytest.raises(ValueError, match="must be an encoding"):
        Params(encoding="klingon")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"%PDF-1.7\n\0\1\2", "PDF; pip install dougong-loader-pdf"),
        (b"PK\x03\x04\x14\0\0\0", "ZIP"),
        (b"\x89PNG\r\n\x1a\n\0\0", "PNG"),
        (b"text with a \0 in it, and more", "not text"),
        (bytes(range(1, 256)) * 10, "not text"),
    ],
)
def test_what_is_not_text_is_refused_by_name(tmp_path, data, message):
    with pytest.raises(LoadError, match=rf"file\.txt: .*{message}"):
        load(tmp_path, data)


def test_a_large_file_is_refused_unread(tmp_path):
    with pytest.raises(LoadError, match=r"0\.2 MB, more than the 0\.1 MB that are read; split the file"):
        load(tmp_path, b"x" * 200_000, max_megabytes=0.1)
    with pytest.raises(ValueError, match="must be above 0"):
        Params(max_megabytes=0)


@pytest.mark.parametrize("name", ["missing.txt", "."])
def test_what_cannot_be_opened_is_named(tmp_path, name):
    with pytest.raises(LoadError, match="check the path"):
        TextLoader(Params()).load(tmp_path / name)


def test_lone_surrogates_and_the_odd_broken_byte_are_replaced(tmp_path):
    assert load(tmp_path, "a\ud800b".encode("utf-8", "surrogatepass")).text == "a\ufffdb"
    assert load(tmp_path, codecs.BOM_UTF16_LE + "a\udc00b".encode("utf-16-le", "surrogatepass")).text.endswith("b")
    assert load(tmp_path, CHINESE.encode() + b"\xff" + CHINESE.encode()).text == CHINESE + "\ufffd" + CHINESE


@pytest.mark.parametrize(
    ("text", "codec"), [(CHINESE, "gb18030"), (TRADITIONAL, "big5"), ("Où dîner ? Ça gêne.", "cp1252")]
)
def test_what_tells_the_encoding_may_come_late(tmp_path, text, codec):
    """Behind a hundred thousand bytes of ASCII, and without line ends."""
    document = load(tmp_path, b"x = 1; " * 14_000 + text.encode(codec) * 50)
    assert document.text == "x = 1; " * 14_000 + text * 50


def test_a_broken_byte_may_come_late(tmp_path):
    assert load(tmp_path, CHINESE.encode() * 3000 + b"\xff" + b"end").text == CHINESE * 3000 + "\ufffdend"


def test_paragraphs_stand_between_blank_lines(tmp_path):
    document = load(tmp_path, b"\n  One\nline two. \r\n \r\n\tThree\x0cFour\n\n\n")
    assert document.tree.span.of(document.text) == document.text
    assert [(n.kind, n.span.of(document.text)) for n in document.tree.children] == [
        ("paragraph", "One\nline two."),
        ("paragraph", "Three"),
        ("paragraph", "Four"),
    ]


@given(st.text(alphabet="a。 \n\r\t\f\u2029\u3000中", max_size=40))
def test_paragraphs_hold_all_that_is_not_white_space(text):
    found = paragraphs(text)
    assert "".join("".join(node.span.of(text).split()) for node in found) == "".join(text.split())
    assert all(a.span.end <= b.span.start for a, b in pairwise(found))
    assert all(node.span.of(text) == node.span.of(text).strip() != "" for node in found)
