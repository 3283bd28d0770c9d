"""chunker.recursive passes the kit."""

from __future__ import annotations

from dougong.testing import ChunkerConformance
from dougong.testing.texts import outlined

ENGLISH = "One two. Three four.\n\nFive six seven."
CHAPTERS = outlined(
    "chapters.md",
    ("heading", "# One", 1),
    ("paragraph", "a b c."),
    ("heading", "## Part", 2),
    ("paragraph", "d e. f g."),
    ("heading", "# Two", 1),
    ("paragraph", "h."),
    gap="\n",
)
LINES = outlined("lines.md", ("paragraph", "A b. C d.\nE f. G h."), ("code", "a = 1. b\nc = 2. d"))
CHARACTERS = {"use": "characters"}


class TestRecursive(ChunkerConformance):
    name = "chunker.recursive"
    params = {"size": 12}
    maximum = 12
    tokenizer = "words"
    golden = (
        (ENGLISH, [ENGLISH], {"size": 11}),
        (ENGLISH, ["One two. Three four.", "Five six seven."], {"size": 8}),
        (ENGLISH, ["One two.", "Three four.", "Five six seven."], {"size": 5}),
        (ENGLISH, ["One", "two.", "Three", "four.", "Five six", "seven."], {"size": 2}),
        (
            "斗拱连接柱。梁在上面！\n\n木塔很高。",
            ["斗拱连接柱。", "梁在上面！", "木塔很高。"],
            {"size": 6, "tokenizer": {"use": "characters"}},
        ),
        (CHAPTERS, ["# One\na b c.\n## Part\nd e. f g.", "# Two\nh."], {"size": 15}),
        (CHAPTERS, ["# One\na b c.", "## Part\nd e. f g.", "# Two\nh."], {"size": 13}),
        (CHAPTERS, ["# One\na b c.", "## Part\nd e. f g.", "# Two\nh."], {"size": 9}),
        ("One two three four five.\n\nA.\nB.", ["One two three four five.", "A.\nB."], {"size": 8}),
        ("A b. C d.\nE f. G h.", ["A b. C d.", "E f. G h."], {"size": 9}),
        (LINES, ["A b. C d.\nE f. G h.", "a = 1. b\nc = 2. d"], {"size": 12}),
        (LINES, ["A b.", "C d.", "E f.", "G h.", "a = 1. b", "c = 2. d"], {"size": 5}),
        ("斗拱连接柱与梁", ["斗拱", "连接柱", "与梁"], {"size": 3, "tokenizer": CHARACTERS}),
        ("e\u0301" * 3, ["e\u0301"] * 3, {"size": 3, "tokenizer": CHARACTERS}),
        ("e\u0301" * 3, ["e\u0301e\u0301", "e\u0301"], {"size": 4, "tokenizer": CHARACTERS}),
        ("one two\nthree four", ["one two", "three four"], {"size": 12, "tokenizer": CHARACTERS}),
    )
    refused = ({"size": 0},)
    accepted = ({"size": 1},)


class TestRecursiveByCharacters(ChunkerConformance):
    name = "chunker.recursive"
    params = {"size": 40, "tokenizer": {"use": "characters"}}
    maximum = 40
    tokenizer = "characters"


class TestParentsOfRecursive(ChunkerConformance):
    name = "chunker.recursive"
    details = True
    golden = (
        (
            CHAPTERS,
            [
                ("# One\na b c.", ("One",), "# One\na b c.\n## Part\nd e. f g.", False),
                ("## Part\nd e. f g.", ("One", "Part"), "# One\na b c.\n## Part\nd e. f g.", False),
                ("# Two\nh.", ("Two",), None, False),
            ],
            {"size": 9},
        ),
        (
            LINES,
            [
                *((text, (), "A b. C d.", False) for text in ("A b.", "C d.")),
                *((text, (), "E f. G h.", False) for text in ("E f.", "G h.")),
                *((text, (), "a = 1. b\nc = 2. d", False) for text in ("a = 1. b", "c = 2. d")),
            ],
            {"size": 5},
        ),
        (
            LINES,
            [
                *((text, (), "A b. C d.", False) for text in ("A", "b.", "C", "d.")),
                *((text, (), "E f. G h.", False) for text in ("E", "f.", "G", "h.")),
                *((text, (), "a = 1. b", False) for text in ("a =", "1.", "b")),
                *((text, (), "c = 2. d", False) for text in ("c =", "2.", "d")),
            ],
            {"size": 2},
        ),
        (
            "a👍🏿 b",
            [("a", (), None, False), ("👍🏿", (), None, True), ("b", (), None, False)],
            {"size": 1, "tokenizer": CHARACTERS},
        ),
    )
