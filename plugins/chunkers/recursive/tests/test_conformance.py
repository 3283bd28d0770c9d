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
        (CHAPTERS, ["# One\na b c.", "## Part\nd e. f g.", "# Two\nh."], {"size": 9}),
    )


class TestRecursiveByCharacters(ChunkerConformance):
    name = "chunker.recursive"
    params = {"size": 40, "tokenizer": {"use": "characters"}}
    maximum = 40
    tokenizer = "characters"
