"""What a chunker asks a model while documents are read is in the journal, in the budget and in the trace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from dougong import Exhausted, load
from dougong.journal import Journal, read

ASKING = '''
import attrs
from dougong import Chunk, Chunker, LLM, Message, Retriever, Span, Technique, hookimpl

@attrs.frozen
class Params:
    """llm: is asked about every document."""
    llm: LLM

class Asking:
    def __init__(self, params):
        self.llm = params.llm
    def chunk(self, document):
        said = "".join(delta.text for delta in self.llm.chat([Message("user", document.text)]))
        span = Span(0, len(document.text))
        yield Chunk(Chunk.name(document.id, span), document.id, document.text, span, headings=(said,))

@hookimpl
def dougong_chunkers():
    return [Technique("asking", Params, f"{__name__}:Asking", summary="asks", source="test")]
'''
CONFIG = """\
lib:
  use: retriever.library
  sources: [docs]
  chunker: {use: chunker.asking, llm: {use: scripted, strict: false, replies: [about brackets]}}
middleware: [{use: budget, model_calls: 3}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "asking.py").write_text(ASKING, encoding="utf-8")
    (tmp_path / "c.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "docs").mkdir()
    for name in "abc":
        (tmp_path / "docs" / f"{name}.txt").write_text(f"document {name}", encoding="utf-8")
    return tmp_path


def dougong(folder: Path, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dougong", *arguments],
        cwd=folder,
        env={**os.environ, "DOUGONG_LANG": "en"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_the_calls_of_indexing_are_in_the_journal_and_the_budget(folder: Path) -> None:
    journal = Journal(folder / "index.jsonl")
    assembly = load(folder / "c.yaml", plugins=[folder / "asking.py"])
    with assembly, assembly.start(journal=journal) as run:
        assembly["lib"].sync()
        assert [hit.chunk.headings for hit in assembly["lib"].search("brackets")] == [("about brackets",)] * 3
        assert run.usage.model_calls == 3
        (folder / "docs" / "d.txt").write_text("one too many", encoding="utf-8")
        with pytest.raises(Exhausted):
            assembly["lib"].sync()
    journal.close()
    lines = [line for line in read(folder / "index.jsonl") if line.get("kind") == "llm"]
    assert [line["name"] for line in lines] == ["lib.chunker.llm"] * 3
    assert [line["arguments"]["messages"][0]["content"] for line in lines] == [f"document {name}" for name in "abc"]
    with assembly, assembly.start():
        assert len(assembly["lib"].search("document")) == 3, "what was indexed before the budget ran out is kept"


def test_the_command_writes_down_what_it_asked_and_nothing_where_it_asked_nothing(folder: Path) -> None:
    given = ["c.yaml", "--plugin", "asking.py"]
    dougong(folder, "index", *given)
    dougong(folder, "index", *given)  # nothing has changed: nothing is asked
    journals = list((folder / ".dougong" / "runs").iterdir())
    assert len(journals) == 1
    shown = dougong(folder, "trace", str(journals[0]))
    assert shown.count("llm lib.chunker.llm") == 3
    assert "3 added" in shown
    (folder / "docs" / "d.txt").write_text("more", encoding="utf-8")
    for name in "efg":
        (folder / "docs" / f"{name}.txt").write_text(f"more {name}", encoding="utf-8")
    told = dougong(folder, "index", *given, code=1)
    assert "budget" in told
    last = max((folder / ".dougong" / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert "failed: Exhausted" in dougong(folder, "trace", str(last))
    assert "1 added" in dougong(folder, "index", *given)
