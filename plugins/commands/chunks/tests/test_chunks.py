"""The comparison tells the truth about chunkers, good and bad, and no text of a document can do anything."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from dougong import BuildError, Chunk, ConfigError, Document, Span, messages
from dougong_command_chunks import command
from dougong_command_chunks.compare import Comparison, Cut, violations
from dougong_command_chunks.page import SHOWN, coloured, histogram, page
from dougong_command_chunks.words import _CHINESE
from hypothesis import given
from hypothesis import strategies as st

HOSTILE = "</div></pre><script>alert(1)</script><img src=x onerror=alert(2)> \x1b[2J\u202e & \"quoted\" 'single'"
ENGLISH = f"# Guide\n\nThe cat sat on the mat. {HOSTILE} It was warm.\n\n## Next\n\nMore text stands here. And more.\n"
CHINESE = "# 指南\n\n猫坐在垫子上。天气很暖和。\n\n## 下一节\n\n这里还有别的文字，后面还有更多。\n"
ELEMENTS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "h1",
    "p",
    "div",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}
ELEMENTS |= {"input", "label", "section", "details", "summary", "span", "b", "i", "svg", "rect", "text", "line"}
BAD = """
import attrs
from dougong import Chunk, Span, Technique, hookimpl

@attrs.frozen
class Params:
    size: int = 2

class Bad:
    def __init__(self, params):
        pass

    def chunk(self, document):
        yield Chunk("a", document.id, "other", Span(3, 8), tokens=9)
        yield Chunk("a", "elsewhere", document.text[0:2], Span(0, 2), tokens=1)

@hookimpl
def dougong_chunkers():
    return [Technique("bad", Params, f"{__name__}:Bad", "Breaks every rule.", "none")]
"""


@pytest.fixture(params=["en", "zh"], autouse=True)
def language(request, monkeypatch):
    monkeypatch.setenv("DOUGONG_LANG", request.param)
    messages.language.cache_clear()
    yield request.param
    messages.language.cache_clear()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / 'a"<img src=x onerror=alert(3)>.md'
    path.write_text(ENGLISH, encoding="utf-8")
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    for number in range(4):
        (tmp_path / "docs" / f"{number}.md").write_text(ENGLISH if number % 2 else CHINESE, encoding="utf-8")
    (tmp_path / "docs" / "bad.txt").write_bytes(bytes(range(256)) * 20)
    path = tmp_path / "rag.yaml"
    path.write_text(
        "library:\n  use: retriever.library\n  sources: [docs]\n  path: store\n  chunker: {use: recursive, size: 30}\n"
        "small: {use: chunker.recursive, size: 8}\n"
        "rules: {use: chunker.llm-rules, rules: rules.json, size: 20, llm: {ref: model}}\n"
        'model: {use: llm.scripted, replies: [\'{"rules": [{"regex": "^#", "level": 1}]}\']}\n'
    )
    return path


def call(*arguments: object) -> object:
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


# ---------------------------------------------------------------- figures


def test_figures_are_those_of_the_chunks(file):
    result = call(file, "--chunker", "fixed,recursive", "--size", 10, "--set", "fixed.overlap=3", "--json")
    assert result.exit_code == 0
    with Comparison(file, ["fixed", "recursive"], 10, ["fixed.overlap=3"]) as comparison:
        (document,) = comparison.documents
        for label, figures in json.loads(result.stdout).items():
            chunks = list(comparison.assembly[label].chunk(document))
            tokens = sorted(chunk.tokens for chunk in chunks)
            assert figures["chunks"] == len(chunks)
            assert figures["mean"] == round(sum(tokens) / len(tokens), 1)
            assert tokens[(len(tokens) - 1) // 2] <= figures["median"] <= tokens[len(tokens) // 2]
            assert (figures["max"], figures["size"]) == (tokens[-1], 10)
            assert figures["fill"] == round(sum(tokens) / len(tokens) / 10, 3)
            assert (figures["violations"], figures["technique"]) == ({}, f"chunker.{label}")


def test_a_file_is_cut_by_recursive_unless_told(file):
    with Comparison(file, []) as comparison:
        assert list(comparison.chunkers()) == ["recursive"]


def test_the_table_and_the_first_chunks_are_printed(file, language):
    result = call(file, "--chunker", "fixed,recursive", "--size", 12, "--set", "fixed.overlap=2", "--first", 1)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[1].split()[0] == {"en": "chunker", "zh": "分块方法"}[language]
    assert [line.split()[0] for line in lines[2:4]] == ["fixed", "recursive"]
    assert sum(line.startswith("┏") for line in lines) == 2
    assert "\x1b[2J" not in result.output
    assert "\u202e" not in result.output


def test_each_way_to_break_the_contract_is_counted():
    text = "one two three"
    document = Document("d", text)

    def chunk(start, end, of="d", said=None, **more):
        return Chunk(f"{start}-{end}", of, text[start:end] if said is None else said, Span(start, end), **more)

    good = [chunk(0, 7, tokens=2), chunk(4, 13, tokens=2)]
    assert not violations(document, good, 2)
    assert dict(violations(document, good, 1)) == {"a chunk larger than its size that does not say so": 2}
    assert not violations(document, [chunk(0, 13, tokens=3, oversize=True)], 1)
    assert dict(violations(document, good[::-1], 2)) == {"a chunk that begins before the one before it": 1}
    assert dict(violations(document, good[:1], 2)) == {"text that is in no chunk": 1}
    assert dict(violations(document, [*good, good[1]], 2)) == {"two chunks of one id": 1}
    assert dict(violations(document, [*good, chunk(7, 8)], 2)) == {"a chunk that is blank": 1}
    assert dict(violations(document, [chunk(0, 13, of="e")], 9)) == {"a chunk of another document": 1}
    wrong = {"a chunk that is not the text of its span": 1}
    assert dict(violations(document, [chunk(0, 13, said="One two three")], 9)) == wrong
    assert violations(document, [], 1) == {"text that is in no chunk": 1}


def test_a_chunker_that_breaks_its_contract_is_told_and_the_code_is_1(file, tmp_path):
    plugin = tmp_path / "bad.py"
    plugin.write_text(BAD)
    out = tmp_path / "out.html"
    result = call(file, "--chunker", "bad,recursive", "--plugin", plugin, "--html", out, "--json")
    assert result.exit_code == 1
    figures = json.loads(result.stdout)
    assert sum(figures["bad"]["violations"].values()) == 6
    assert figures["recursive"]["violations"] == {}
    assert 'class="bad"' in out.read_text("utf-8")


# ---------------------------------------------------------------- configs


def test_a_librarys_own_chunker_and_those_that_the_config_names(config):
    result = call(config, "--json")
    assert json.loads(result.stdout)["library.chunker"]["size"] == 30
    figures = json.loads(call(config, "--chunker", "small,fixed", "--set", "fixed.overlap=0", "--json").stdout)
    assert [figures[name]["size"] for name in ("small", "fixed")] == [8, 512]
    assert not (config.parent / "store").exists(), "the store is not touched"


def test_documents_that_cannot_be_read_are_told_and_few_are_taken(config, language):
    result = call(config, "--first", 0)
    assert result.exit_code == 0
    assert re.search(r"(skipped|跳过) .*bad\.txt", result.output)
    result = call(config, "--first", 0, "--documents", 2)
    assert "--documents" in result.output


def test_rules_are_learnt_from_the_documents_and_then_used(config):
    result = call(config, "--chunker", "rules,small", "--learn", "--first", 0)
    assert result.exit_code == 0, result.output
    assert "rules.json" in result.output
    assert json.loads((config.parent / "rules.json").read_text("utf-8"))["check"]["documents"] == 4
    assert call(config, "--chunker", "rules", "--first", 0).exit_code == 0, "with no reply left, no model is asked"


def test_a_chunker_that_fails_is_told_and_the_others_go_on(config):
    result = call(config, "--chunker", "rules,small", "--set", "model.replies=[no]", "--json")
    assert result.exit_code == 1
    figures = json.loads(result.stdout)
    assert "error" in figures["rules"]
    assert figures["small"]["chunks"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["."], "folder|文件夹"),
        (["nowhere.md"], "does not exist|不存在"),
        (["FILE", "--chunker", "recursve"], "recursive"),
        (["FILE", "--chunker", "recursive", "--set", "recursive.sise=3"], "size"),
        (["FILE", "--learn"], "learn|学习"),
        (["CONFIG", "--chunker", "model"], "model"),
    ],
)
def test_wrong_input_is_an_error_with_a_cure(file, config, tmp_path, arguments, message):
    paths = {"FILE": file, "CONFIG": config, ".": tmp_path}
    with pytest.raises((ConfigError, BuildError)) as caught:
        call(*[paths.get(argument, argument) for argument in arguments])
    assert re.search(message, str(caught.value))
    assert caught.value.hint or caught.value.problems[0].hint


def test_a_config_without_a_library_is_an_error(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("small: {use: chunker.recursive}\n")
    with pytest.raises(ConfigError, match=r"library|文档库"):
        call(path)


# ---------------------------------------------------------------- the page


class Reader(HTMLParser):
    """Elements, attributes, and the text of each ``.text`` box without the marks."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.boxes: list[str] = []
        self._in = self._skip = 0

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._skip += tag in ("b", "i")
        if tag == "div" and dict(attrs).get("class") == "text":
            self._in = 1
            self.boxes.append("")

    def handle_endtag(self, tag):
        self._skip -= tag in ("b", "i")
        if tag == "div":
            self._in = 0

    def handle_data(self, data):
        if self._in and not self._skip:
            self.boxes[-1] += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


@pytest.fixture
def written(file, tmp_path):
    out = tmp_path / "out.html"
    arguments = ["--chunker", "fixed,recursive", "--size", "12", "--set", "fixed.overlap=4", "--first", "0"]
    assert call(file, *arguments, "--html", out).exit_code == 0
    return out.read_text("utf-8")


def test_the_page_is_whole_and_hostile_text_stays_text(written):
    reader = read(written)
    assert {tag for tag, _ in reader.found} <= ELEMENTS
    assert "default-src 'none'" in written
    for tag, attributes in reader.found:
        assert not any(name.startswith("on") or name in ("src", "href", "style") for name in attributes), tag
    assert len(reader.boxes) == 2
    assert all(box == ENGLISH for box in reader.boxes), "the text as it is, in every tab"


def test_each_chunk_has_its_mark_its_colour_and_its_headings(written):
    found = read(written).found
    marks = [attributes for tag, attributes in found if tag == "b"]
    assert any("Guide > Next" in str(attributes["title"]) for attributes in marks)
    assert {attributes["class"] for tag, attributes in found if tag == "span"} == {"c0", "c1", "c2", "c3", "both"}
    assert sum(tag == "section" for tag, _ in found) == sum(tag == "svg" for tag, _ in found) == 2


def test_the_page_speaks_the_language_of_the_document():
    cut = Cut("recursive", "chunker.recursive", [[]], 10, 0.1, {})
    assert 'lang="zh"' in page(Path("a.md"), [Document("d", CHINESE)], [cut])
    assert "分块方法" in page(Path("a.md"), [Document("d", CHINESE)], [cut])
    assert 'lang="en"' in page(Path("a.md"), [Document("d", ENGLISH)], [cut])


def test_of_a_long_document_the_front_is_shown_with_a_note():
    text = "The cat sat. " * 100_000
    chunks = [Chunk(str(n), "d", text[n : n + 13], Span(n, n + 13), tokens=4) for n in range(0, len(text), 13)]
    html = page(Path("a.txt"), [Document("d", text)], [Cut("x", "chunker.x", [chunks], 10, 0.1, {})])
    assert read(html).boxes == [text[:SHOWN]]
    assert "the first 200,000 of 1,300,000 characters" in html
    assert "100,000" in html, "figures are of all"


@given(
    st.text(max_size=60), st.lists(st.tuples(st.integers(-2, 70), st.integers(-2, 70)), max_size=8), st.integers(0, 60)
)
def test_colours_never_change_the_text(text, spans, length):
    text = re.sub("[\ud800-\udfff\r\0]", "", text)
    length = min(length, len(text))
    chunks = [Chunk(str(n), "d", "", Span(*span), (text,), tokens=n) for n, span in enumerate(sorted(spans))]
    html = "".join(coloured(text, chunks, length, "en"))
    assert read(f'<div class="text">{html}</div>').boxes == [text[:length]]


@given(st.lists(st.integers(0, 3000), min_size=1), st.one_of(st.none(), st.integers(1, 3000)))
def test_the_histogram_holds_every_chunk(tokens, size):
    svg = "".join(histogram(tokens, size, "en"))
    assert sum(map(int, re.findall(r"<title>(\d+) chunks", svg))) == len(tokens)
    assert max(float(height) for height in re.findall(r'width="30\.0" height="([\d.]+)"', svg)) == 86.0


def test_every_word_has_its_fields_in_both_languages():
    for english, chinese in _CHINESE.items():
        if "{use" not in english:
            assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", chinese)), english
