"""The kit fails nine of ten small mistakes in our own plugins that change what they do."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from harness import HEAD, ROOT, judged, listed

SAMPLE = 10
PLUGINS = [
    "loaders/text", "loaders/markdown", "loaders/files",
    "tokenizers/characters", "tokenizers/words",
    "chunkers/fixed", "chunkers/recursive",
    "retrievers/rank-bm25", "retrievers/bm25", "retrievers/library",
    "llms/scripted", "tools/calculator", "patterns/prompt", "patterns/chat", "patterns/tool-use", "patterns/rag",
    "middleware/budget", "middleware/retry", "middleware/redact", "middleware/rate-limit", "middleware/approval",
    "blocks/attention", "blocks/ffn", "blocks/rmsnorm", "blocks/transformer",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="mutants run in forks")
def test_the_kit_sees_small_mistakes(tmp_path: Path) -> None:
    """Ten mutants a plugin; prints who saw them, and where the list of those is that nobody saw."""
    verdicts = [judged(plugin, SAMPLE) for plugin in PLUGINS]
    survivors = tmp_path / "survivors.txt"
    survivors.write_text(listed(verdicts), encoding="utf-8")
    seen = sum(verdict.suite + verdict.promises for verdict in verdicts)
    changing = sum(verdict.changing for verdict in verdicts)
    print(f"\n{HEAD}", *(verdict.row() for verdict in verdicts), sep="\n")
    print(f"seen: {seen} of {changing}, {seen / changing:.1%}; what survived: {survivors}")
    assert seen >= 0.9 * changing, f"{seen} of {changing} are seen; not seen are:\n{listed(verdicts)}"


def test_a_mutant_is_one_small_mistake() -> None:
    """Each parses, differs from the module, and is made the same way every time."""
    import ast

    from harness import mutants

    folder = ROOT / "plugins" / "chunkers" / "fixed"
    made = mutants(folder)
    assert made == mutants(folder)
    assert len({mutant.change for mutant in made}) > 20
    for mutant in made:
        assert ast.dump(ast.parse(mutant.source)) != ast.dump(ast.parse(mutant.file.read_text("utf-8")))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="mutants run in forks")
def test_the_harness_tells_the_dead_from_the_living() -> None:
    """Of the dozen mutants of the smallest plugin, most die; one takes the read-only flag off a view, and lives."""
    verdict = judged("tokenizers/characters", 12)
    assert verdict.suite >= 9
    assert verdict.suite + verdict.promises + len(verdict.missed) + len(verdict.equivalent) == verdict.made == 12
