"""Structure: sections, tables, lists, code and pages, each as the document has them."""

from itertools import pairwise

import dougong
import pytest
from dougong import Document, Section, Span
from dougong_chunker_structure import Params
from dougong_chunker_structure.structure import StructureChunker
from dougong_loader_markdown.blocks import parse
from dougong_tokenizer_words.words import Words

WORDS = Words(None)


def chunks(text, size=40, minimum=0, code="whole", tree=None):
    chunker = StructureChunker(Params(size=size, minimum=minimum, code=code, tokenizer=WORDS))
    return list(chunker.chunk(Document("d", text, tree or parse(text))))


GUIDE = """# Guide

Read me first. It is short.

## Install

Run the installer, then wait for it to end.

### Linux

Use the package of your system. It is signed.

### 窗口系统

下载安装包，然后双击它。

## Use

Call it by name.
"""


def test_a_section_that_fits_is_one_chunk():
    found = chunks(GUIDE, size=50)
    assert [(chunk.text.split("\n")[0], chunk.headings) for chunk in found] == [
        ("# Guide", ("Guide",)),
        ("## Install", ("Guide", "Install")),
        ("## Use", ("Guide", "Use")),
    ]
    assert found[1].text.endswith("然后双击它。"), "with the sections under it"
    assert found[1].parent.of(GUIDE).strip() == found[1].text


def test_of_a_section_that_does_not_fit_its_text_and_each_section_under_it_are():
    found = chunks(GUIDE, size=16)
    assert [chunk.headings[-1] for chunk in found] == ["Guide", "Install", "Linux", "窗口系统", "Use"]
    assert len(chunks(GUIDE, size=400)) == 1


def test_small_neighbours_under_one_heading_are_joined():
    text = "# A\n\n" + "".join(f"## S{n}\n\nword word word.\n\n" for n in range(6)) + "# B\n\n## T\n\nword.\n"
    found = chunks(text, size=20, minimum=9)
    assert [chunk.text.count("## ") for chunk in found] == [2, 2, 2, 1]
    assert [chunk.headings for chunk in found] == [("A",), ("A",), ("A",), ("B",)]
    assert [chunk.headings[0] for chunk in chunks(text, size=20, minimum=0)] == ["A"] * 7 + ["B"], "B fits whole"


def test_nothing_is_joined_over_a_higher_heading():
    text = "# A\n\n" + "word. " * 30 + "\n\n## A1\n\nx.\n\n# B\n\ny.\n"
    found = chunks(text, size=40, minimum=20)
    assert [chunk.text.split("\n")[0] for chunk in found[-2:]] == ["## A1", "# B"]


TABLE = "| 城市 City | Height |\n|---|---|\n" + "".join(f"| Town {n} | {n * 7} m |\n" for n in range(30))


def test_a_table_is_cut_between_rows_and_its_header_repeated():
    found = chunks(f"# T\n\nThe heights:\n\n{TABLE}", size=60)
    assert "\n".join(
        line for chunk in found for line in chunk.text.splitlines() if line.startswith("| T")
    ) == "\n".join(line for line in TABLE.splitlines() if line.startswith("| T"))
    assert found[0].context == ""
    assert {chunk.context for chunk in found[1:]} == {"| 城市 City | Height |"}
    row = next(chunk for chunk in found if "Town 29 " in chunk.text)
    assert "Height" in row.index_text
    assert "Height" not in row.text
    assert all(WORDS.count(chunk.context + "\n" + chunk.text) <= 60 for chunk in found), "room is left for the header"
    assert all(chunk.text.splitlines()[0].startswith(("| T", "# T")) for chunk in found)


def test_a_row_that_is_too_large_stays_whole():
    text = "| a | b |\n|---|---|\n| x | " + "word " * 50 + "|\n| y | z |\n"
    found = chunks(text, size=20)
    assert [chunk.oversize for chunk in found] == [False, True, False]
    assert found[1].text == text.splitlines()[2]


def test_lists_are_cut_between_items():
    items = [f"- Item {n} has one sentence. And a second one.\n" for n in range(12)]
    found = chunks("# L\n\nThese are all:\n\n" + "".join(items), size=45)
    assert len(found) > 3
    for chunk in found:
        lines = [line for line in chunk.text.splitlines() if line.startswith("- ")]
        assert all(line + "\n" in items for line in lines), "no item is cut"


def test_an_item_too_large_alone_is_cut_at_the_items_in_it():
    text = "- Outer begins here.\n" + "".join(f"  - Inner {n} of the outer item.\n" for n in range(12)) + "- Next.\n"
    found = chunks(text, size=30)
    assert all(chunk.tokens <= 30 for chunk in found)
    assert all(line.strip().startswith("-") for chunk in found for line in chunk.text.splitlines())


CODE = "```python\n" + "".join(f"value_{n} = call({n})\n" for n in range(20)) + "```"


def test_code_stays_whole_and_says_that_it_is_too_large():
    found = chunks(f"# C\n\nAbove.\n\n{CODE}\n\nBelow.\n", size=40)
    assert [(chunk.text, chunk.oversize) for chunk in found] == [
        ("# C\n\nAbove.", False),
        (CODE, True),
        ("Below.", False),
    ]
    assert len(chunks(f"# C\n\n{CODE}\n", size=400)) == 1


def test_code_is_cut_at_lines_on_demand():
    found = chunks(f"# C\n\nAbove.\n\n{CODE}\n\nBelow.\n", size=40, code="lines")
    assert not any(chunk.oversize for chunk in found)
    lines = [line for chunk in found for line in chunk.text.splitlines()]
    assert [line for line in CODE.splitlines() if line not in lines] == []


def test_a_heading_is_packed_with_what_follows():
    text = "# H\n\n" + "Some words are here. " * 12 + "\n\n" + "And more of them. " * 12
    found = chunks(text, size=40)
    assert found[0].text.startswith("# H\n\nSome words")


def test_a_chunk_tells_the_page_on_which_it_starts():
    text = "First page here. Second sentence.\n\nSecond page here.\n\nThird page. Its end."
    starts = [0, text.index("Second page"), text.index("Third"), len(text)]
    pages = tuple(
        Section("page", Span(a, b), meta={"page": n}, children=(Section("paragraph", Span(a, b)),))
        for n, (a, b) in enumerate(pairwise(starts), 7)
    )
    found = chunks(text, size=8, tree=Section("document", Span(0, len(text)), children=pages))
    assert [(chunk.text, chunk.meta["page"]) for chunk in found] == [
        ("First page here. Second sentence.", 7),
        ("Second page here.", 8),
        ("Third page. Its end.", 9),
    ]


def test_a_text_without_structure_is_cut_at_paragraphs():
    chunker = dougong.make("chunker.structure", size=4, minimum=0)
    text = "One two three.\n\n四五六。Seven."
    recursive = dougong.make("chunker.recursive", size=4)
    assert list(chunker.chunk(Document("d", text))) == list(recursive.chunk(Document("d", text)))


@pytest.mark.parametrize("unit", ["# h\n", "- a\n", "| a |\n", "word. ", "好", "```\nx\n```\n"])
def test_long_documents_take_linear_time(unit):
    text = ("| a |\n|---|\n" if "|" in unit else "") + unit * (60_000 // len(unit))
    found = chunks(text, size=100, minimum=20)
    assert all(chunk.tokens <= 100 for chunk in found)


def test_params_are_checked():
    with pytest.raises(ValueError, match=r"must be 0 or more and at most size \(40\)"):
        Params(size=40, minimum=41, tokenizer=WORDS)
    with pytest.raises(ValueError, match="must be 1 or more"):
        Params(size=0, minimum=0, tokenizer=WORDS)
