"""The Markdown loader: kinds, exact spans, titles."""

import pytest
from dougong import LoadError
from dougong_loader_markdown import Params
from dougong_loader_markdown.blocks import parse
from dougong_loader_markdown.markdown import MarkdownLoader
from hypothesis import example, given, settings
from hypothesis import strategies as st


def outline(text, *kinds):
    """(kind, text) of the nodes, in document order."""
    return [(n.kind, n.span.of(text)) for n in parse(text).walk() if n.kind in kinds or not kinds][0 if kinds else 1 :]


@pytest.mark.parametrize(
    ("text", "level", "title"),
    [
        ("# One", 1, "One"),
        ("###### Six ##", 6, "Six"),
        ("Setext\ntwo lines\n===", 1, "Setext two lines"),
        ("Two\n---", 2, "Two"),
        ("## *Em* `code` [link](u) ![alt](i) <b>x</b> &amp; \\*", 2, "Em code link alt x & *"),
        ("## Create it { #create-it }", 2, "Create it"),
        ("## A {x} b", 2, "A {x} b"),
        ("## 第一章 *概述*", 2, "第一章 概述"),
        ("# [See][r]\n\n[r]: /u", 1, "See"),
        ("#", 1, ""),
    ],
)
def test_headings_have_level_and_plain_title(text, level, title):
    (heading,) = [node for node in parse(text).walk() if node.kind == "heading"]
    assert (heading.level, heading.title) == (level, title)
    assert heading.span.of(text) == text.partition("\n\n")[0]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_blocks_have_exact_spans_with_any_line_end(end):
    blocks = [
        ("heading", "# T"),
        ("paragraph", "one\ntwo  \nthree"),
        ("code", "```py title\n# no heading\n\n```"),
        ("quote", "> said\nlazily"),
        ("code", "    indented\n\n    code"),
        ("html", "<div>\n*x*\n</div>"),
        ("rule", "* * *"),
        ("table", "| a | b |\n|---|---|\n| 1 | 2 |"),
        ("list", "1. x\n2. y"),
    ]
    text = "\n\n".join(block for _, block in blocks).replace("\n", end) + end
    tree = parse(text)
    assert [(n.kind, n.span.of(text)) for n in tree.children] == [(k, b.replace("\n", end)) for k, b in blocks]
    assert tree.span.of(text) == text


def test_lists_nest_with_their_depth_as_level():
    text = "- a\n  more\n  1) deep\n  2) deeper\n\n     para\n- b\n"
    found = [(n.kind, n.level, n.span.of(text)) for n in parse(text).walk()][1:]
    assert found == [
        ("list", 1, text.rstrip()),
        ("item", 1, "- a\n  more\n  1) deep\n  2) deeper\n\n     para"),
        ("list", 2, "1) deep\n  2) deeper\n\n     para"),
        ("item", 2, "1) deep"),
        ("paragraph", 0, "deep"),
        ("item", 2, "2) deeper\n\n     para"),
        ("paragraph", 0, "deeper"),
        ("paragraph", 0, "para"),
        ("item", 1, "- b"),
    ]


def test_blocks_in_quotes_and_items_begin_behind_the_markers():
    text = "> - > deep\n>   > still\n>\n>   ```sh\n>   ls\n>   ```\n> # H\n"
    assert outline(text) == [
        ("quote", text.rstrip()),
        ("list", "- > deep\n>   > still\n>\n>   ```sh\n>   ls\n>   ```"),
        ("item", "- > deep\n>   > still\n>\n>   ```sh\n>   ls\n>   ```"),
        ("quote", "> deep\n>   > still"),
        ("paragraph", "deep\n>   > still"),
        ("code", "```sh\n>   ls\n>   ```"),
        ("heading", "# H"),
    ]


def test_tables_have_rows_and_cells():
    text = "| a \\| b | 名 |\n|:--|--:|\n| `x` |\n1 | |\n"
    tree = parse(text)
    rows = [node for node in tree.walk() if node.kind == "row"]
    assert [row.meta.get("header", False) for row in rows] == [True, False, False]
    assert [[c.span.of(text) for c in row.children] for row in rows] == [["a \\| b", "名"], ["`x`"], ["1", ""]]


def test_code_is_titled_with_its_language():
    assert [n.title for n in parse("~~~  Python hl\nx\n~~~\n\n    y\n\n```\nz").children] == ["Python", "", ""]
    assert [n.title for n in parse("``` c\\+\\+ x\n```\n~~~ f&ouml;\n~~~\n```&nbsp;\n```").children] == [
        "c++",
        "fö",
        "",
    ]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("---\ntitle: Plain # note\nx: 1\n---\n# H", "Plain"),
        ("---\r\nx: 1\r\ntitle: \"A: 'b'\"\r\n---\r\n", "A: 'b'"),
        ("---\ntitle: 'Q'\n...\ntext", "Q"),
        ("---\ntitle: |\n  block\n---\n## *H*", "H"),
        ("---\nno: end\n# H", "H"),
        ("---\n\n# After a rule\n\n---\n", "After a rule"),
        ("no title", None),
    ],
)
def test_the_title_is_that_of_the_front_matter_or_the_first_heading(tmp_path, text, title):
    file = tmp_path / "a.md"
    file.write_bytes(text.encode())
    document = MarkdownLoader(Params()).load(file)
    assert document.text == text
    assert document.meta.get("title") == title


def test_front_matter_is_a_node_and_no_heading():
    text = "---\na: 1\n---\n\nText\n"
    assert outline(text) == [("front-matter", "---\na: 1\n---"), ("paragraph", "Text")]


def test_two_rules_at_the_top_are_rules():
    assert [kind for kind, _ in outline("---\n---\ntext")] == ["rule", "rule", "paragraph"]


def test_what_is_not_text_is_refused(tmp_path):
    file = tmp_path / "a.md"
    file.write_bytes(b"%PDF\0")
    with pytest.raises(LoadError, match=r"a\.md: PDF"):
        MarkdownLoader(Params()).load(file)


PIECES = "# - * > 1. 1) ``` ~~~ --- === | \\| : <div> </div> [a]: ![ ]( ) ` & é 中文 。 \t \n \r\n \r \0 \ufeff"
SPACED = [" ", "  ", "    ", "\n", "\n\n", "> ", "- ", "|---|---|\n"]
markdown = st.lists(st.sampled_from([*PIECES.split(" "), *SPACED]), max_size=30)
BLOCKS = ["# h", "p\nq", "- a\n- b", "> q", "```\nc\n```", "|a|\n|-|", "***", "<p>\n"]


@settings(max_examples=1000, deadline=None)
@given(markdown.map("".join))
@example("- a\n\n  b\n- c")
def test_nodes_nest_in_order_without_overlap(text):
    stack = [parse(text)]
    assert stack[0].span.of(text) == text
    while stack:
        node = stack.pop()
        at = node.span.start
        for child in node.children:
            assert at <= child.span.start <= child.span.end <= node.span.end
            at = child.span.end
        stack.extend(node.children)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(BLOCKS), max_size=6))
def test_a_block_cut_out_is_the_block_it_was(blocks):
    text = "\n\n".join(blocks)
    for node in parse(text).children:
        assert [child.kind for child in parse(node.span.of(text)).children] == [node.kind]
