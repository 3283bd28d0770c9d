"""What holds for every distribution of this repository, whoever wrote it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLUGINS = sorted(
    path.parent for path in (*ROOT.glob("plugins/*/*/pyproject.toml"), *ROOT.glob("contrib/*/pyproject.toml"))
)
HEAVY = "torch transformers peft numpy scipy sqlite3 sentence_transformers faiss ray openai httpx"


def project(folder: Path) -> dict:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_a_plugin_has_the_one_shape(folder: Path) -> None:
    """Name, module, folder and entry points agree; README, tests, licence and floors are there."""
    meta = project(folder)
    points = {**meta["entry-points"].get("dougong.v1", {}), **meta["entry-points"].get("dougong.commands.v1", {})}
    module = meta["name"].replace("-", "_")
    assert {value.partition(":")[0].partition(".")[0] for value in points.values()} == {module}
    assert (folder / "src" / module / "__init__.py").is_file()
    assert list((folder / "tests").glob("test_*.py"))
    assert (folder / "README.md").read_text(encoding="utf-8").startswith("# ")
    assert meta["license"] == "Apache-2.0"
    assert not [need for need in meta["dependencies"] if need.startswith("dougong") and "<" in need], "no cap on ours"


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_declaring_imports_nothing_heavy(folder: Path) -> None:
    """Loading the technique and its params, as `dougong check` does, imports none of the heavy packages."""
    names = list(project(folder)["entry-points"].get("dougong.v1", {}))
    code = (
        "import sys; from dougong.registry import Registry; from dougong.schema import schema\n"
        f"r = Registry(); found = [r.find(n) for n in {names!r}]\n"
        "for x in found: schema(x.technique.params, x.name); assert x.technique.summary and x.technique.source\n"
        f"print([m for m in {HEAVY!r}.split() if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_every_technique_goes_through_the_kit(folder: Path) -> None:
    """tests/test_conformance.py has a suite, of the technique's kind, for each technique that a plugin declares."""
    names = set(project(folder)["entry-points"].get("dougong.v1", {}))
    file = folder / "tests" / "test_conformance.py"
    if not names:
        return
    assert file.is_file(), f"write {file.relative_to(ROOT)}; see docs/kit.md"
    text = file.read_text(encoding="utf-8")
    assert "Conformance" in text, f"{file.relative_to(ROOT)} uses no suite; see docs/kit.md"
    classes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    suites = {node.value for suite in classes for node in ast.walk(suite) if isinstance(node, ast.Constant)}
    assert suites >= names, f"no suite in {file.relative_to(ROOT)} names {', '.join(sorted(names - suites))}"


def test_every_distribution_is_pinned_together() -> None:
    """constraints.txt holds an exact version of every library that a distribution of ours asks for."""
    pinned = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    wanted: set[str] = set()
    for folder in (ROOT / "core", ROOT / "analyzer", *PLUGINS):
        for need in project(folder)["dependencies"]:
            name = re.match(r"[\w.-]+", need)
            assert name is not None
            wanted.add(name[0].lower())
    assert {name for name in wanted if not name.startswith("dougong")} <= pinned
