"""The recipe runs on the corpus of the repository, from its files to a cited answer."""

from contextlib import closing
from pathlib import Path

import dougong
import pytest
from dougong.journal import Journal

RECIPE = Path(__file__).parents[4] / "docs" / "recipes" / "agentic-rag.yaml"


@pytest.mark.skipif(not RECIPE.exists(), reason="the recipe lies in the repository")
def test_the_recipe_bridges_from_one_sub_question_to_the_next(tmp_path):
    paths = {f"{name}.path": str(tmp_path / name) for name in ("english", "chinese")}
    answers = []
    for replay in (False, True):
        with dougong.load(RECIPE, set={**paths, "main.memory": str(tmp_path)}) as assembly:
            for name in ("english", "chinese"):
                assembly[name].sync()
            with closing(Journal(tmp_path / "run.jsonl")) as journal:
                task = "When was the building manual of the Song court printed?"
                answers.append(assembly.run(task, journal=journal, replay=replay))
    answer = answers[0]
    assert answer.status == "answered"
    assert "1103" in answer.citations[0].quote
    assert answer.citations[0].source.endswith("dougong-bracket.md")
    assert answer.data["steps"][1]["queries"] == [["english", "When was Yingzao Fashi printed?"]]
    assert answers[1] == answer
