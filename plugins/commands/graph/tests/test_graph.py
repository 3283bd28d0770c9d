"""What is shown is what the graph holds, and no text of it can do anything."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner
from dougong import messages
from dougong_command_graph import command
from dougong_command_graph.page import page
from dougong_command_graph.view import Held

HOSTILE = "Then Bob </script><script>alert(1)</script> <!-- met <img src=x onerror=alert(2)> Fred Smith \u2028 there."


@pytest.fixture(params=["en", "zh"], autouse=True)
def language(request, monkeypatch):
    monkeypatch.setenv("DOUGONG_LANG", request.param)
    messages.language.cache_clear()
    yield request.param
    messages.language.cache_clear()


@pytest.fixture
def config(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    carol = "First line.\nThen Bob Cratchit met Jacob Marley in London.\nFred met Bob Cratchit."
    (docs / "carol.txt").write_text(carol)
    (docs / "zhu.txt").write_text("朱五四的妻子陈氏生下了朱元璋。\n朱元璋投奔郭子兴。", "utf-8")
    (docs / "bad.txt").write_text(HOSTILE, "utf-8")
    (docs / "alone.txt").write_text("The pagoda stands in Yingxian.")
    file = tmp_path / "graph.yaml"
    file.write_text(
        "library: {use: retriever.library, sources: [docs], path: lib, index: {use: graph}}\n"
        "other: {use: retriever.library, sources: [docs], path: other, index: {use: bm25}}\n"
    )
    return file


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.data = ""
        self.script = ""
        self._in = ""

    def handle_starttag(self, tag, attributes):
        self.found.append(tag)
        given = dict(attributes)
        assert not {"src", "href", "onload", "onerror"} & set(given), given
        self._in = {"application/json": "data", None: "script"}.get(given.get("type")) if tag == "script" else ""

    def handle_endtag(self, tag):
        self._in = ""

    def handle_data(self, data):
        if self._in:
            setattr(self, self._in, getattr(self, self._in) + data)


def read(html: str) -> Elements:
    parser = Elements()
    parser.feed(html)
    return parser


def test_figures_are_those_of_the_graph(config):
    told = json.loads(CliRunner().invoke(command, [str(config), "--json", "--top", "2"], catch_exceptions=False).stdout)
    with Held(config) as held:
        held.sync()
        graph = held.index.graph
        assert (told["entities"], told["relations"]) == (len(graph.entities), len(graph.edges))
        joined = {end for edge in graph.edges for end in (edge.source, edge.target)}
        assert told["orphans"] == len(graph.entities) - len(joined) > 0
    assert told["chunks"] == 4
    assert len(told["top"]) == 2
    assert told["top"][0]["degree"] >= told["top"][1]["degree"]


def test_the_terminal_speaks_the_users_language(config, language):
    result = CliRunner().invoke(command, [str(config)], catch_exceptions=False)
    assert result.exit_code == 0
    assert ("entities" if language == "en" else "实体") in result.output
    assert "Bob Cratchit" in result.output


def test_the_page_is_one_file_whose_only_script_is_ours(config, tmp_path):
    file = tmp_path / "graph.html"
    assert CliRunner().invoke(command, [str(config), "--html", str(file)], catch_exceptions=False).exit_code == 0
    html = file.read_text("utf-8")
    parser = read(html)
    assert parser.found.count("script") == 2
    assert not {"img", "svg", "iframe", "link"} & set(parser.found)
    digest = base64.b64encode(hashlib.sha256(parser.script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|https?://", parser.script)
    assert "alert(1)" in parser.data
    assert "</script><script>alert" in json.dumps(json.loads(parser.data))


def test_places_on_the_page_are_lines_of_the_sources(config):
    with Held(config) as held:
        held.sync()
        data = json.loads(read(page(held, 100)).data)
        nodes = {node["name"]: node for node in data["nodes"]}
        document, line, before, said, after = nodes["Jacob Marley"]["places"][0]
        assert document.endswith("carol.txt")
        assert (line, said) == (2, "Jacob Marley")
        assert before.endswith("Then Bob Cratchit met ")
        assert after.startswith(" in London.")
        labels = {
            (data["nodes"][one]["name"], label, data["nodes"][two]["name"]) for one, two, label, *_ in data["edges"]
        }
        assert ("朱元璋", "投奔", "郭子兴") in labels
        assert len(held.data(3)["nodes"]) == 3
        assert all(max(edge[:2]) < 3 for edge in held.data(3)["edges"])


def test_a_config_without_a_graph_is_told_so(tmp_path):
    file = tmp_path / "plain.yaml"
    file.write_text("library: {use: retriever.library, sources: [.], path: lib}\n")
    result = CliRunner().invoke(command, [str(file)])
    assert result.exit_code
    assert "plain.yaml" in str(result.exception)


def test_a_graph_inside_a_hybrid_is_found(config):
    config.write_text(
        "library: {use: retriever.library, sources: [docs], path: lib,\n"
        "  index: {use: hybrid, of: [{use: bm25}, {use: graph}]}}\n"
    )
    with Held(config) as held:
        held.sync()
        assert "Jacob Marley" in {entity.name for entity in held.index.graph.entities}
