"""``dougong ask`` from the outside: what a newcomer types, right and wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
QUESTIONS = ROOT / "examples" / "questions.yaml"


@pytest.fixture
def ask(tmp_path: Path):
    """Runs the command in a process of its own, with a cache of its own, in English."""

    def run(*arguments: object, lang: str = "en") -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "DOUGONG_CACHE": str(tmp_path / "cache"), "DOUGONG_LANG": lang}
        command = [sys.executable, "-m", "dougong", "ask", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return done

    return run


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "tower.md").write_text(
        "# Towers\n\n## Pisa\n\nThe tower of Pisa leans by almost four degrees. It was finished in 1372.\n"
        "\n## Eiffel\n\nGustave Eiffel's company built the tower in Paris in 1889.\n",
        encoding="utf-8",
    )
    (folder / "塔.md").write_text(
        "# 塔\n\n## 应县木塔\n\n应县木塔建于1056年，是世界上现存最古老的木塔。木塔使用了五十四种斗拱。\n",
        encoding="utf-8",
    )
    return folder


def test_an_english_question_gets_a_cited_answer(ask, docs: Path) -> None:
    done = ask(docs, "When was the tower of Pisa finished?")
    assert done.returncode == 0
    assert "1372" in done.stdout
    assert "tower.md:5" in done.stdout


def test_a_chinese_question_gets_a_cited_answer(ask, docs: Path) -> None:
    done = ask(docs, "应县木塔建于哪一年？", lang="zh")
    assert done.returncode == 0
    assert "1056" in done.stdout
    assert "塔.md:5" in done.stdout


def test_citations_resolve_to_exact_source_text(ask, docs: Path) -> None:
    answer = json.loads(ask(docs, "Who built the tower in Paris?", "--json").stdout)
    assert answer["status"] == "answered"
    for citation in answer["citations"]:
        text = Path(citation["source"]).read_text(encoding="utf-8")
        assert text[citation["span"]["start"] : citation["span"]["end"]] == citation["quote"]


def test_what_the_documents_do_not_answer_is_declined(ask, docs: Path) -> None:
    done = ask(docs, "What is the boiling point of tungsten?", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["status"] == "declined"


def test_a_changed_file_changes_the_answer(ask, docs: Path) -> None:
    ask(docs, "When was the tower of Pisa finished?")
    file = docs / "tower.md"
    file.write_text(file.read_text(encoding="utf-8").replace("1372", "1399"), encoding="utf-8")
    assert "1399" in ask(docs, "When was the tower of Pisa finished?").stdout


def test_bad_files_are_named_and_the_rest_goes_on(ask, docs: Path) -> None:
    """Empty, binary, of broken encoding, unreadable: one line each, and the question is still answered."""
    (docs / "empty.md").write_bytes(b"")
    (docs / "binary.txt").write_bytes(bytes(range(256)) * 40)
    (docs / "broken.md").write_bytes("# caf\u00e9 ".encode("latin-1") + b"\xff\xfe\x81\x00 tail")
    (docs / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    done = ask(docs, "When was the tower of Pisa finished?")
    assert done.returncode == 0
    assert "1372" in done.stdout
    assert "binary.txt" in done.stderr


@pytest.mark.parametrize("question", ["", "   "])
def test_an_empty_question_is_refused(ask, docs: Path, question: str) -> None:
    done = ask(docs, question)
    assert done.returncode == 2
    assert "question" in done.stderr


def test_a_question_of_marks_only_is_declined(ask, docs: Path) -> None:
    assert json.loads(ask(docs, "?!。", "--json").stdout)["status"] == "declined"


def test_a_missing_folder_is_named(ask, tmp_path: Path) -> None:
    done = ask(tmp_path / "nowhere", "Who?")
    assert done.returncode == 1
    assert "nowhere" in done.stderr


def test_a_folder_without_documents_says_so(ask, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    done = ask(tmp_path / "bare", "Who?")
    assert done.returncode == 1
    assert "no documents" in done.stderr


def test_nothing_is_written_beside_the_documents(ask, docs: Path) -> None:
    before = sorted(docs.rglob("*"))
    ask(docs, "Who?")
    assert sorted(docs.rglob("*")) == before


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_example_corpus_answers_its_questions(ask, language: str) -> None:
    """At least five in six of the example questions are answered from the expected file, by the expected sentence."""
    from ruamel.yaml import YAML

    cases = YAML(typ="safe", pure=True).load(QUESTIONS)["more"][language]
    right = 0
    for case in cases:
        answer = json.loads(ask(ROOT / "examples" / "corpus", case["question"], "--json").stdout)
        right += any(c["source"].endswith(case["file"]) and case["contains"] in c["quote"] for c in answer["citations"])
    assert right >= len(cases) * 5 / 6
