"""All middleware of the recipe around real patterns, on one journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dougong
from dougong.journal import Journal

RECIPE = Path(__file__).parent.parent / "docs" / "recipes" / "middleware.yaml"
FLAKY = {
    "use": "scripted",
    "replies": [{"error": "busy"}, "Anna wrote it ([EMAIL_1])."],
}


def assembly(tmp_path: Path, **changes: Any) -> dougong.Assembly:
    return dougong.load(RECIPE, set={"library.path": str(tmp_path / "library"), **changes})


def test_the_recipe_answers_with_a_citation(tmp_path: Path) -> None:
    with assembly(tmp_path) as built:
        built["library"].sync()
        answer = built.run("When was the Yingzao Fashi printed?")
    assert "1103" in answer.citations[0].quote


def test_it_replays_with_every_attempt_and_no_personal_data_in_requests(tmp_path: Path) -> None:
    changes = {"main.llm": FLAKY, "middleware[1].on": ["CallError"], "middleware[1].base": 0.0}
    answers = []
    with assembly(tmp_path, **changes) as built:
        built["library"].sync()
        for replay in (False, True):
            journal = Journal(tmp_path / "run.jsonl")
            try:
                answers.append(built.run("Who wrote it, anna@example.com?", journal=journal, replay=replay))
            finally:
                journal.close()
    assert answers[0] == answers[1]
    assert "anna@example.com" in answers[0].text
    models = [line for line in (tmp_path / "run.jsonl").read_text("utf-8").splitlines() if '"kind":"llm"' in line]
    assert len(models) == 2
    assert not [line for line in models if "Who wrote it, anna@example.com" in line]


def test_what_ran_out_is_named(tmp_path: Path) -> None:
    """The budget's refusal ends the answer, not the program: it says what ran out."""
    with assembly(tmp_path, **{"middleware[3].tokens": 50}) as built:
        built["library"].sync()
        answer = built.run("When was the Yingzao Fashi printed?")
    assert answer.status == "stopped"
    assert "ran out of tokens" in answer.reason
    assert answer.usage.model_calls == 0
