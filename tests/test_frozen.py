"""A plugin that was built against the first dougong.v1 works with the core of today: see tests/fixtures/frozen."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parent / "fixtures"
WHEEL = FIXTURES / "dougong_frozen-0.1.0-py3-none-any.whl"
CONFIG = """\
main:
  use: pattern.frozen-concordance
  text: poem.txt
  order: count
  chunker: {use: frozen-lines, size: 20}
  counter: {use: frozen-count, ignore_case: true}
middleware: [{use: frozen-trim, most: 1}]
"""
POEM = "A rose is a rose\nis a Rose.\n\n玫瑰就是玫瑰，玫瑰\n"

Dougong = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def dougong(tmp_path: Path) -> Dougong:
    """The command in a folder with the config, the wheel unpacked as pip unpacks one of pure Python."""
    with zipfile.ZipFile(WHEEL) as wheel:
        wheel.extractall(tmp_path / "site")
    (tmp_path / "c.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "poem.txt").write_text(POEM, encoding="utf-8")

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "dougong", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path / "site"), "DOUGONG_LANG": "en"},
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


def test_the_source_beside_the_wheel_is_what_was_built() -> None:
    with zipfile.ZipFile(WHEEL) as wheel:
        for file in sorted((FIXTURES / "frozen" / "src").rglob("*.py")):
            built = wheel.read(file.relative_to(FIXTURES / "frozen" / "src").as_posix())
            assert ast.dump(ast.parse(built)) == ast.dump(ast.parse(file.read_bytes())), file.name


def test_it_is_listed_checked_and_described(dougong: Dougong) -> None:
    rows = json.loads(dougong("plugins", "--json").stdout)
    mine = {row["name"]: row["state"] for row in rows if row["distribution"] == "dougong-frozen"}
    names = ("chunker.frozen-lines", "middleware.frozen-trim", "pattern.frozen-concordance", "tool.frozen-count")
    assert mine == dict.fromkeys(names, "ok")
    assert "right; techniques: 4" in dougong("check", "c.yaml").stdout
    described = dougong("plugins", "pattern.frozen-concordance").stdout
    assert "{use: frozen-lines}" in described
    assert "required" in described


@pytest.mark.parametrize(
    ("task", "text", "quotes"),
    [
        ("rose", "3 [1][2]", ["A rose is a rose\n", "is a Rose.\n\n"]),
        ("玫瑰", "3 [1]", ["玫瑰就是玫瑰，玫瑰\n"]),
    ],
)
def test_it_answers_with_exact_citations(dougong: Dougong, task: str, text: str, quotes: list[str]) -> None:
    answer = json.loads(dougong("run", "c.yaml", task, "--json").stdout)
    assert (answer["text"], answer["status"], answer["data"]) == (text, "answered", {"of": 3})
    assert [citation["quote"] for citation in answer["citations"]] == quotes
    for citation in answer["citations"]:
        span = citation["span"]
        assert POEM[span["start"] : span["end"]] == citation["quote"]
    assert answer["usage"]["tool_calls"] == 3


def test_it_declines_with_a_reason(dougong: Dougong) -> None:
    answer = json.loads(dougong("run", "c.yaml", "tulip", "--json").stdout)
    assert (answer["status"], answer["reason"]) == ("declined", "'tulip' is not in poem.txt")


def test_its_run_replays_without_its_file(dougong: Dougong, tmp_path: Path) -> None:
    """Files are read through the run: the journal has them."""
    first = dougong("run", "c.yaml", "rose", "--journal", "j.jsonl").stdout
    (tmp_path / "poem.txt").write_text("", encoding="utf-8")
    assert dougong("replay", "j.jsonl").stdout == first


def test_its_middleware_trims_what_tools_return(dougong: Dougong, tmp_path: Path) -> None:
    (tmp_path / "poem.txt").write_text("rose " * 12, encoding="utf-8")
    dougong("run", "c.yaml", "rose", "--journal", "j.jsonl", "--set", "main.chunker.size=100")
    (line,) = [line for line in (tmp_path / "j.jsonl").read_text().splitlines() if '"count"' in line and "12" in line]
    assert '"12"' in line  # the journal is innermost: it holds what the tool returned
    code = (
        "import dougong; from dougong.run import active_run\n"
        "with dougong.load('c.yaml', set={'main.chunker.size': 100}) as a:\n"
        "    with a.start(): print(a['main']._params.counter.call({'text': 'rose ' * 12, 'word': 'rose'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(tmp_path / "site")}, timeout=60)  # fmt: skip
    assert "text='1'" in done.stdout, done.stderr
    assert "{'count': 12}" in done.stdout


def test_its_mistakes_are_reported_in_one_report(dougong: Dougong, tmp_path: Path) -> None:
    wrong = CONFIG.replace("size: 20", "size: 20, least: 20").replace("order: count", "order: cuont")
    (tmp_path / "c.yaml").write_text(wrong.replace("ignore_case", "ignorecase"), encoding="utf-8")
    error = dougong("check", "c.yaml", code=2).stderr
    assert "c.yaml:5  main.chunker.least: must be smaller than size; make it 0" in error
    assert "c.yaml:4  main.order: expected one of place, count, got the string 'cuont'; did you mean 'count'?" in error
    assert "c.yaml:6  main.counter.ignorecase: unknown parameter; did you mean 'ignore_case'?" in error
