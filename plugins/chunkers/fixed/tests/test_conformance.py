"""chunker.fixed passes the kit."""

from __future__ import annotations

from dougong.testing import ChunkerConformance

CHARACTERS = {"use": "characters"}


class TestFixed(ChunkerConformance):
    name = "chunker.fixed"
    params = {"size": 12, "overlap": 3}
    maximum = 12
    tokenizer = "words"
    tokens_of = "document"
    golden = (
        ("abcdefghij", ["abcd", "defg", "ghij"], {"size": 4, "overlap": 1, "tokenizer": CHARACTERS}),
        ("abcdefghijk", ["abcd", "efgh", "ijk"], {"size": 4, "overlap": 0, "tokenizer": CHARACTERS}),
        ("one two three four five", ["one two three", "three four five"], {"size": 3, "overlap": 1}),
        ("斗拱连接柱与梁", ["斗拱连接", "柱与", "梁"], {"size": 2, "overlap": 0}),
        ("ab \u0301cd ef", ["ab", " \u0301cd", "ef"], {"size": 1, "overlap": 0}),
        ("a👍🏿👍🏿b", ["a👍🏿", "👍🏿b"], {"size": 3, "overlap": 1, "tokenizer": CHARACTERS}),
        (
            "ae\u0301\u0302\u0303b",
            ["a", "e\u0301\u0302\u0303", "b"],
            {"size": 2, "overlap": 0, "tokenizer": CHARACTERS},
        ),
        ("a好b", ["a", "好", "b"], {"size": 2, "overlap": 0, "tokenizer": {"use": "bytes"}}),
        ("ab好", ["ab好"], {"size": 5, "overlap": 1, "tokenizer": {"use": "bytes"}}),
        ("x\r\ny", ["x", "y"], {"size": 2, "overlap": 0, "tokenizer": CHARACTERS}),
        ("a👍🏿b", ["a", "👍🏿", "b"], {"size": 1, "overlap": 0, "tokenizer": CHARACTERS}),
    )
    refused = ({"size": 0}, {"overlap": -1}, {"overlap": 12})
    accepted = ({"size": 1, "overlap": 0}, {"overlap": 11})


class TestFixedByCharacters(ChunkerConformance):
    name = "chunker.fixed"
    params = {"size": 40, "overlap": 0, "tokenizer": CHARACTERS}
    maximum = 40
    tokenizer = "characters"
