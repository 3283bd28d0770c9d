"""Encodings without a mark: Chinese of a line or two, and what is no text."""

import random

import pytest
from dougong_loader_text.decoding import decode
from dougong_loader_text.guess import guess

SIMPLIFIED = "营造法式是宋代李诫编修的建筑书，今天仍然有人在读。"
TRADITIONAL = "營造法式是宋代李誡編修的建築書，今天仍然有人在讀。"
ENGLISH = "The Yingzao Fashi is a book on building, finished in 1100 and printed in 1103.\n"
MIXED = "斗拱（dougong）是 Chinese 建筑里的 bracket set。"


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        *((text, "gb18030") for text in (SIMPLIFIED, TRADITIONAL, MIXED, SIMPLIFIED[:12], "今天我们去看电影。")),
        *((text, "big5") for text in (TRADITIONAL, TRADITIONAL[:12], "今天我們去看電影。")),
        *((text, codec) for text in (SIMPLIFIED, TRADITIONAL, ENGLISH, MIXED) for codec in ("utf-16-le", "utf-16-be")),
        ("Съешь ещё этих мягких французских булок, да выпей чаю.", "cp1251"),
        ("Съешь ещё этих мягких французских булок, да выпей чаю.", "koi8_r"),
        ("Ξεσκεπάζω την ψυχοφθόρα βδελυγμία", "cp1253"),
        ("오늘은 날씨가 좋아서 사람들이 공원에 많이 있습니다.", "cp949"),
        ("いろはにほへと ちりぬるを", "euc_jp"),
        ("Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich", "cp1252"),
    ],
)
def test_a_line_is_enough(tmp_path, text, codec):
    assert decode(text.encode(codec), tmp_path)[0] == text


def test_what_was_found_is_named():
    assert guess(SIMPLIFIED.encode("gb18030")) == "gb18030"
    assert guess(TRADITIONAL.encode("big5")) == "big5"
    assert guess(b"") == ""


def test_random_bytes_are_no_text():
    rng = random.Random(1)
    assert not any(guess(rng.randbytes(2000)) for _ in range(20))


def test_what_is_declared_counts_unless_the_bytes_say_otherwise(tmp_path):
    word = "联通".encode("gb18030")  # valid UTF-8, too
    assert decode(word, tmp_path, declared="gb18030") == ("联通", "gb18030")
    assert decode(SIMPLIFIED.encode(), tmp_path, declared="gb18030") == (SIMPLIFIED, "utf-8")
    assert decode(SIMPLIFIED.encode("gb18030"), tmp_path, declared="utf-8") == (SIMPLIFIED, "gb18030")
    assert decode(b"plain", tmp_path, declared="big5")[0] == "plain"
