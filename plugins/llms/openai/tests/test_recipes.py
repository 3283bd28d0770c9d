"""The recipes of docs/, run against a server of ours in the place of the provider's."""

from __future__ import annotations

import re
from pathlib import Path

import dougong
import pytest

RECIPES = sorted((Path(__file__).parents[4] / "docs" / "recipes").glob("models-*.yaml"))
QUOTE = (
    "The *Yingzao Fashi* (营造法式), the building manual of the Song court, was compiled by Li Jie and printed in 1103."
)


@pytest.fixture
def answers(server, monkeypatch):
    """The server answers with a quote; every environment variable that a recipe needs is set."""
    server.stream(
        {"choices": [{"index": 0, "delta": {"content": f'"{QUOTE}" [1]'}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 7}},
    )
    for recipe in RECIPES:
        for name in re.findall(r"\$\{env:(\w+)\}", recipe.read_text("utf-8")):
            monkeypatch.setenv(name, f"key-of-{name}")
    for name in ("MODEL", "LLM_URL", "CASSETTE"):
        monkeypatch.delenv(name, raising=False)


def run(recipe, tmp_path, **changes):
    with dougong.load(recipe, set={"library.path": str(tmp_path / "library"), **changes}) as assembly:
        assembly["library"].sync()
        return assembly.run("When was the Yingzao Fashi printed?")


def test_there_are_recipes():
    assert len(RECIPES) == 14


@pytest.mark.parametrize("recipe", [r for r in RECIPES if "use: openai\n    base_url" in r.read_text("utf-8")],
                         ids=lambda r: r.stem)  # fmt: skip
def test_a_models_recipe_gets_a_cited_answer(server, answers, tmp_path, recipe):
    answer = run(recipe, tmp_path, **{"main.llm.base_url": server.url})
    assert answer.citations[0].quote == QUOTE
    assert answer.usage.input_tokens == 7
    (request,) = server.requests
    words = recipe.read_text("utf-8")
    assert request["body"]["model"] == re.search(r"env:MODEL:-(.*)}", words)[1]
    key = re.search(r"api_key: \$\{env:(\w+)}", words)
    assert request["headers"].get("Authorization") == (f"Bearer key-of-{key[1]}" if key else None)
    assert request["body"].get("stream_options") == (None if "stream_options" in words else {"include_usage": True})
    assert "not run against it" in words


def test_the_fallback_recipe_asks_the_second_where_the_first_is_down(server, answers, tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("SECOND_URL", server.url)
    (recipe,) = [r for r in RECIPES if r.stem == "models-fallback"]
    assert run(recipe, tmp_path).citations[0].quote == QUOTE


def test_the_cassette_recipe_answers_again_without_the_server(server, answers, tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_URL", server.url)
    (recipe,) = [r for r in RECIPES if r.stem == "models-cassette"]
    path = {"main.llm.path": str(tmp_path / "answers.jsonl")}
    first = run(recipe, tmp_path, **path)
    monkeypatch.setenv("CASSETTE", "replay")
    monkeypatch.setenv("LLM_URL", "http://127.0.0.1:9/v1")
    assert run(recipe, tmp_path, **path).text == first.text
    assert len(server.requests) == 1
