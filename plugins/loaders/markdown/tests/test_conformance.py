"""loader.markdown passes the kit. What its golden files are read as is CommonMark's and GitHub's reading, by hand."""

from __future__ import annotations

from dougong.testing import LoaderConformance

LISTS = '---\ntitle: "木构" # said\n---\n# One *1* `c` {#id}\n\ntext\n- a\n- b\n  1. c\n     d\n\n      code\n'
TABLE = "| a | b |\r\n|---|---|\r\n| 1 \\| x |  |\r\n\r\n> quoted\r\n> too\r\n>\r\n\r\n***\r\n\r\nSetext\r\n---\r\n"
CODE = "```py title\nx = 1\n```\n\n<div>html</div>\n\n    indented\n\n###### Six ![alt](x.png) &amp;\n"
QUOTE = "> # In *quote*\n> - x\n>   - y\n>\n>     z\n\na\nb | c\n--|--\n1\n"
RULES = "---\n\nno front matter: here\n\n---\n"
NESTED = "- > q\n  > # h\n\n> > a\n> > b\n> ***\n\n1) | x\n"
FRONT = "---\nauthor: x\n...\n\n##  标题  ##\n* * *\n"


class TestMarkdown(LoaderConformance):
    name = "loader.markdown"
    details = True
    refused = ({"max_megabytes": 0},)
    accepted = ({"max_megabytes": 0.001},)
    golden = (
        (
            ("lists.md", LISTS.encode()),
            [
                ("", LISTS, 0, "木构"),
                ("front-matter", '---\ntitle: "木构" # said\n---', 0, ""),
                ("heading", "# One *1* `c` {#id}", 1, "One 1 c"),
                ("paragraph", "text", 0, ""),
                ("list", "- a\n- b\n  1. c\n     d\n\n      code", 1, ""),
                ("item", "- a", 1, ""),
                ("item", "- b\n  1. c\n     d\n\n      code", 1, ""),
                ("list", "1. c\n     d\n\n      code", 2, ""),
                ("item", "1. c\n     d\n\n      code", 2, ""),
                ("paragraph", "c\n     d", 0, ""),
                ("paragraph", "code", 0, ""),
            ],
        ),
        (
            ("table.md", TABLE.encode()),
            [
                ("", TABLE, 0, "Setext"),
                ("table", "| a | b |\r\n|---|---|\r\n| 1 \\| x |  |", 0, ""),
                ("row", "| a | b |", 0, "", {"header": True}),
                ("cell", "a", 0, ""),
                ("cell", "b", 0, ""),
                ("row", "| 1 \\| x |  |", 0, ""),
                ("cell", "1 \\| x", 0, ""),
                ("cell", "", 0, ""),
                ("quote", "> quoted\r\n> too\r\n>", 0, ""),
                ("paragraph", "quoted\r\n> too", 0, ""),
                ("rule", "***", 0, ""),
                ("heading", "Setext\r\n---", 2, "Setext"),
            ],
        ),
        (
            ("code.md", CODE.encode()),
            [
                ("", CODE, 0, "Six alt &"),
                ("code", "```py title\nx = 1\n```", 0, "py"),
                ("html", "<div>html</div>", 0, ""),
                ("code", "    indented", 0, ""),
                ("heading", "###### Six ![alt](x.png) &amp;", 6, "Six alt &"),
            ],
        ),
        (
            ("quote.md", QUOTE.encode()),
            [
                ("", QUOTE, 0, "In quote"),
                ("quote", "> # In *quote*\n> - x\n>   - y\n>\n>     z", 0, ""),
                ("heading", "# In *quote*", 1, "In quote"),
                ("list", "- x\n>   - y\n>\n>     z", 1, ""),
                ("item", "- x\n>   - y\n>\n>     z", 1, ""),
                ("list", "- y\n>\n>     z", 2, ""),
                ("item", "- y\n>\n>     z", 2, ""),
                ("paragraph", "y", 0, ""),
                ("paragraph", "z", 0, ""),
                ("paragraph", "a", 0, ""),
                ("table", "b | c\n--|--\n1", 0, ""),
                ("row", "b | c", 0, "", {"header": True}),
                ("cell", "b", 0, ""),
                ("cell", "c", 0, ""),
                ("row", "1", 0, ""),
                ("cell", "1", 0, ""),
            ],
        ),
        (
            ("rules.md", RULES.encode()),
            [
                ("", RULES, 0, ""),
                ("rule", "---", 0, ""),
                ("paragraph", "no front matter: here", 0, ""),
                ("rule", "---", 0, ""),
            ],
        ),
        (
            ("front.md", FRONT.encode()),
            [
                ("", FRONT, 0, "标题"),
                ("front-matter", "---\nauthor: x\n...", 0, ""),
                ("heading", "##  标题  ##", 2, "标题"),
                ("rule", "* * *", 0, ""),
            ],
        ),
        (
            ("nested.md", NESTED.encode()),
            [
                ("", NESTED, 0, "h"),
                ("list", "- > q\n  > # h", 1, ""),
                ("item", "- > q\n  > # h", 1, ""),
                ("quote", "> q\n  > # h", 0, ""),
                ("paragraph", "q", 0, ""),
                ("heading", "# h", 1, "h"),
                ("quote", "> > a\n> > b\n> ***", 0, ""),
                ("quote", "> a\n> > b", 0, ""),
                ("paragraph", "a\n> > b", 0, ""),
                ("rule", "***", 0, ""),
                ("list", "1) | x", 1, ""),
                ("item", "1) | x", 1, ""),
            ],
        ),
    )
