"""Recursive chunks: the contract on hostile text, the rules against their plain definition, structure kept."""

from itertools import pairwise

import dougong
import numpy as np
import pytest
import regex
from dougong import Chunk, Document, Section, Span
from dougong_analyzer.graphemes import joints
from dougong_analyzer.sentences import sentences
from dougong_chunker_recursive import Params
from dougong_chunker_recursive.recursive import RecursiveChunker
from dougong_loader_markdown.blocks import parse
from dougong_tokenizer_characters import Params as NoParams
from dougong_tokenizer_characters.characters import Characters
from dougong_tokenizer_words.words import Words
from hypothesis import example, given, settings
from hypothesis import strategies as st


class Pairs:
    """A tokenizer whose tokens depend on what stands around: runs are cut in pairs from their front, as BPE may."""

    def offsets(self, text):
        spans = [(a, min(a + 2, m.end())) for m in regex.finditer(r"\S+", text) for a in range(m.start(), m.end(), 2)]
        return np.array(spans, np.int32).reshape(-1, 2)

    def count(self, text):
        return len(self.offsets(text))


CHARACTERS, WORDS, PAIRS = Characters(NoParams()), Words(None), Pairs()
FAMILY = "👩‍👩‍👧‍👦"
PIECES = [FAMILY, "🇨🇳", "e\u0301\u0302", "אב\u05b7ג", "\r\n", "\n\n", "\0", "क्षि", "\u0600 ", " \u0301", "\u2029", "\t"]
PIECES += ["　", "\ufeff", "The cat sat. ", "Why? ", "Mr. Smith e.g. here", "他走了。", "“你好！”", "图书馆，", "word "]
PIECES += ["longwordwithoutspace", "- item\n", "# H\n\n"]
UNITS = ["a", "好", FAMILY, "e\u0301", "\r\n", ".", "a.", "。", "- \n", "图书馆", "x\0", "🇨🇳", '"。']
hostile = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=30).map("".join)


def chunks(text, size, tokenizer=CHARACTERS, tree=None, **document):
    given = Document("d", text, tree, **document)
    return list(RecursiveChunker(Params(size=size, tokenizer=tokenizer)).chunk(given))


def check(text, found, size, tokenizer):
    inside = joints(text)
    at = 0
    for chunk in found:
        start, end = chunk.span.start, chunk.span.end
        assert text[start:end] == chunk.text != ""
        assert chunk.id == Chunk.name("d", chunk.span)
        assert not text[at:start].strip(), "only white space is left out"
        assert start >= at, "in order, without overlap"
        assert not inside or not (inside[start] or inside[end]), "no grapheme is cut"
        assert chunk.tokens == tokenizer.count(chunk.text)
        assert chunk.oversize == (chunk.tokens > size)
        assert not chunk.oversize or len(regex.findall(r"\X", chunk.text)) == 1, "only a grapheme may be too large"
        assert chunk.meta["line"] == 1 + text.count("\n", 0, start)
        if chunk.parent:
            assert chunk.parent.start <= start
            assert end <= chunk.parent.end
        at = end
    assert not text[at:].strip()


@settings(max_examples=600, deadline=None)
@given(hostile, st.integers(1, 40), st.sampled_from([CHARACTERS, WORDS, PAIRS]), st.booleans())
@example(FAMILY * 3, 2, CHARACTERS, False)
@example("a " + " \u0301" * 5, 1, CHARACTERS, False)
@example("", 5, CHARACTERS, False)
@example(" \n ", 5, WORDS, False)
def test_the_contract_holds_on_hostile_text(text, size, tokenizer, structured):
    text = text.replace("\ud800", "")
    found = chunks(text, size, tokenizer, parse(text) if structured else None)
    check(text, found, size, tokenizer)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("tokenizer", [CHARACTERS, WORDS], ids=["characters", "words"])
def test_a_megabyte_of_one_thing_is_cut_in_linear_time(unit, tokenizer):
    """A quadratic step would need hours."""
    text = unit * (1_000_000 // len(unit.encode()))
    found = chunks(text, 512, tokenizer)
    check(text, found, 512, tokenizer)


def naive(text, size):
    """The definition, for characters: what is too large is split, and siblings are joined while they fit."""

    def split(start, end, level):
        cut = text[start:end]
        if level == "paragraph":
            ends = [0, *(match.end() for match in regex.finditer(r"\n[^\S\n]*\n\s*", cut)), len(cut)]
            for first, last in list(pairwise(ends)):
                if last - first > size:  # lines after a whole sentence are paragraphs too
                    ends += [first + m.end() for m in regex.finditer(r"[.!?]\s*\n(?=(?s:.))", cut[first:last])]
        elif level == "sentence":
            ends = [stop for _, stop in sentences(cut)]
        elif level == "line":
            ends = [match.end() for match in regex.finditer("\n", cut)]
        elif level == "word":
            ends = [match.end() for match in regex.finditer(r"\s+", cut)]
        else:
            ends = list(range(1, len(cut)))
        edges = sorted({start, *(start + at for at in ends if 0 < at < len(cut)), end})
        return list(pairwise(edges))

    def fits(start, end):
        return len(text[start:end].strip()) <= size

    def visit(start, end, levels):
        if fits(start, end):
            yield text[start:end].strip()
            return
        joined = None
        for first, last in split(start, end, levels[0]):
            if joined and fits(joined[0], last):
                joined = (joined[0], last)
                continue
            if joined:
                yield from visit(*joined, levels[1:])
            joined = (first, last)
        if joined:
            yield from visit(*joined, levels[1:])

    levels = ["paragraph", "sentence", "line", "word", "grapheme", "none"]
    return [piece for piece in visit(0, len(text), levels) if piece]


ENGLISH = [
    "The cat sat. ",
    "It ran! ",
    "Why? ",
    "and then ",
    "it went on, ",
    "x",
    "Mr. Smith ",
    "\n",
    "\n\n",
    "A line\n",
]
english = st.lists(st.sampled_from(ENGLISH), max_size=40).map("".join)


@settings(max_examples=500, deadline=None)
@given(english, st.integers(3, 60))
def test_cuts_are_those_of_the_definition(text, size):
    assert [chunk.text for chunk in chunks(text, size)] == naive(text, size)


def test_chinese_is_cut_at_sentences_and_then_at_words():
    text = "话说天下大势，分久必合，合久必分。周末七国分争，并入于秦。“及秦灭之后？”楚、汉分争，又并入于汉。"
    assert [c.text for c in chunks(text, 30)] == [
        "话说天下大势，分久必合，合久必分。周末七国分争，并入于秦。",
        "“及秦灭之后？”楚、汉分争，又并入于汉。",
    ]
    assert [c.text for c in chunks("我们在图书馆学习自然语言处理", 5)] == ["我们在", "图书馆学习", "自然语言", "处理"]


MARKDOWN = """# Guide

Intro to it.

## Install

Run the installer. Then wait.

### Linux

Use the package. It is signed. Check it.

## Use

- one
- two
- three
"""


def test_chapters_stay_whole_and_know_their_headings():
    tree = parse(MARKDOWN)
    found = chunks(MARKDOWN, 75, tree=tree)
    assert [(c.text.split("\n")[0], c.headings) for c in found] == [
        ("# Guide", ("Guide",)),
        ("## Install", ("Guide", "Install")),
        ("### Linux", ("Guide", "Install", "Linux")),
        ("## Use", ("Guide", "Use")),
    ]
    install = MARKDOWN[MARKDOWN.index("## Install") : MARKDOWN.index("## Use")].strip()
    assert [c.parent and c.parent.of(MARKDOWN) for c in found][1:3] == [install, install]


def test_small_chapters_are_joined_under_what_they_share():
    (chunk,) = chunks(MARKDOWN, 1000, tree=parse(MARKDOWN))
    assert (chunk.text, chunk.headings, chunk.parent) == (MARKDOWN.strip(), ("Guide",), None)


def test_a_heading_stays_with_what_follows():
    text = "# T\n\n" + "One two three. " * 10 + "\n\n## S\n\n### S1\n\n" + "Four five six. " * 10
    found = chunks(text, 60, tree=parse(text))
    assert [c.text for c in found if c.text.lstrip("# ") in ("T", "S", "S1")] == []
    assert "## S\n\n### S1\n\nFour five six." in "|".join(c.text for c in found)


def test_code_is_cut_at_lines_and_tables_at_rows():
    code = "```py\n" + "\n".join(f"x{i} = f({i}). Y" for i in range(9)) + "\n```"
    found = chunks(code, 40, tree=parse(code))
    assert "\n".join(c.text for c in found) == code
    table = "| a | b |\n|---|---|\n" + "\n".join(f"| One. Two | {i} |" for i in range(9))
    found = chunks(table, 40, tree=parse(table))
    assert "\n".join(c.text for c in found) == table


def test_the_parent_of_a_part_of_a_paragraph_is_the_paragraph():
    text = "Short.\n\n" + "A sentence here. " * 5 + "\n\nEnd."
    found = chunks(text, 40)
    paragraph = ("A sentence here. " * 5).rstrip()
    assert [c.parent and c.parent.of(text) for c in found] == [None, paragraph, paragraph, paragraph, None]


def test_meta_is_the_documents_plain_values_and_the_line():
    pages = tuple(Section("page", Span(a, b), meta={"page": p}) for a, b, p in ((0, 4, 3), (4, 9, 4)))
    tree = Section("document", Span(0, 9), children=pages)
    meta = {"title": "T", "tags": ["a"], "nested": {"x": 1}}
    found = chunks("One\nTwo.\n", 4, tree=tree, source="s.txt", meta=meta)
    assert [c.meta for c in found] == [
        {"title": "T", "tags": ["a"], "source": "s.txt", "line": 1, "page": 3},
        {"title": "T", "tags": ["a"], "source": "s.txt", "line": 2, "page": 4},
    ]


def test_params_are_checked():
    with pytest.raises(ValueError, match="must be 1 or more"):
        Params(size=0, tokenizer=WORDS)


def test_it_is_built_by_name_with_its_default_tokenizer():
    chunker = dougong.make("chunker.recursive", size=3)
    assert [c.text for c in chunker.chunk(Document("d", "One two. 三四五。"))] == ["One two.", "三四五。"]


def test_a_long_paragraph_right_after_a_heading_is_cut_at_its_lines():
    text = "# T\n\n" + "A whole sentence.\n" * 5
    found = chunks(text, 39, tree=parse(text))
    assert [c.text for c in found] == ["# T\n\nA whole sentence.", *["A whole sentence.\nA whole sentence."] * 2]
