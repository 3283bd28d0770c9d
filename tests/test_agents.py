"""The recipes of prompt, chat and tool-use, run as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import dougong
import pytest
from dougong.journal import Journal

RECIPES = Path(__file__).parent.parent / "docs" / "recipes"


def run(recipe: str, task: str, *options: str) -> dict:
    command = [sys.executable, "-m", "dougong", "run", str(RECIPES / recipe), task, "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_prompt_recipe_sorts_a_message() -> None:
    assert run("prompt.yaml", "I was charged twice.")["text"] == "billing"


def test_the_chat_recipe_remembers(tmp_path: Path) -> None:
    for turns in range(2):
        answer = run("chat.yaml", "What is my name?", "--set", f"main.path={tmp_path}")
        assert "你还没有告诉我" in answer["text"]
        assert len((tmp_path / "default.jsonl").read_text("utf-8").splitlines()) == turns + 2


def test_the_tool_recipe_calculates() -> None:
    answer = run("tool-use.yaml", "What is 17.5 % of 2400, twice?")
    assert (answer["text"], answer["status"]) == ("It is 840. 结果是 840。", "answered")


@pytest.mark.parametrize("recipe", ["prompt.yaml", "chat.yaml", "tool-use.yaml"])
def test_a_run_is_replayed_from_its_journal(recipe: str, tmp_path: Path) -> None:
    """The second time there is no reply left that fits: everything comes from the journal, the events too."""
    change = {"main.path": str(tmp_path / "chat")} if recipe == "chat.yaml" else {}
    kept = []
    for replay in (False, True):
        if replay:
            change["main.llm.replies"] = [{"when": "never", "text": ""}]
        events: list[dougong.Event] = []
        with dougong.load(RECIPES / recipe, set=change) as assembly:
            journal = Journal(tmp_path / "run.jsonl")
            answer = assembly.run("二加三？", journal=journal, replay=replay, listener=events.append)
            journal.close()
        kept.append((answer, [(event.kind, event.path) for event in events]))
    assert kept[0] == kept[1]
