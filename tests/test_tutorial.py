"""The tutorial, done as it is written: every file written, every command typed, every output compared."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from dougong.distributions import closure

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "tutorial.md"
OURS = ["core", "analyzer", "plugins/loaders/files", "plugins/loaders/text", "plugins/loaders/markdown",
        "plugins/tokenizers/words", "plugins/chunkers/recursive", "plugins/retrievers/library",
        "plugins/retrievers/bm25", "plugins/llms/extractive", "plugins/patterns/rag",
        "plugins/commands/chunks"]  # fmt: skip
TOOLS = ["pytest", "hypothesis", "ruff", "hatchling", "editables", "pip", "setuptools", "wheel"]


def _module(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # attrs looks there
    spec.loader.exec_module(module)
    return module


pages = _module(ROOT / "tests" / "pages.py")
wheelhouse = _module(ROOT / "core" / "tests" / "wheelhouse.py")


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    """In an environment linked from this one; builds are not isolated, the kit's random documents left out."""
    names = ["dougong", *(f"dougong-{_name(place)}" for place in OURS[1:]), *TOOLS]
    present = [name for name in names if not closure([name])[1]]
    python = wheelhouse.environment(tmp_path / ".venv", present)
    for script in ("dougong", "pytest", "pip"):
        (python.parent / script).write_text(f'#!/bin/sh\nexec "{python}" -m {script} "$@"\n')
        (python.parent / script).chmod(0o755)
    environ = pages.surroundings(tmp_path, str(python.parent), "en")
    environ |= {"PIP_NO_BUILD_ISOLATION": "0", "PYTEST_ADDOPTS": "-k 'not random'"}
    assert len(pages.follow(PAGE, tmp_path, environ, without="environment")) >= 20


@pytest.mark.slow
def test_the_tutorial_does_what_it_says_on_a_fresh_machine(tmp_path: Path) -> None:
    """In an environment of its own, made by the page's first commands, from wheels."""
    house = tmp_path / "wheels"
    house.mkdir()
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", house]
    subprocess.run([*build, *(ROOT / place for place in OURS)], check=True)
    built = {re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]) for wheel in house.iterdir()}
    for name in set(closure(["dougong", *built, *TOOLS[:-3]])[0]) - built:
        wheelhouse.pack(house, name)
    environ = pages.surroundings(tmp_path, str(tmp_path / ".venv" / "bin"), "en") | {"PIP_FIND_LINKS": str(house)}
    assert len(pages.follow(PAGE, tmp_path, environ)) >= 20


def _name(place: str) -> str:
    """``plugins/loaders/text`` is loader-text."""
    parts = place.split("/")
    return "-".join(part.removesuffix("s") if number == 0 else part for number, part in enumerate(parts[1:] or parts))


def test_the_chinese_tutorial_has_the_same_blocks() -> None:
    def shown(page: Path) -> list[tuple[str, ...]]:
        return [(block.language, block.title, block.body, block.note) for block in pages.blocks(page)]

    assert shown(PAGE) == shown(PAGE.parent / "zh" / PAGE.name)


@pytest.mark.parametrize(
    ("told", "printed", "same"),
    [
        ("a\n", "a", True),
        ("a\n", "b", False),
        ("", "x", False),
        ("...\nb", "x\ny\nb", True),
        ("...\nb", "b", True),
        ("a ... c", "a b", False),
        ("┃\nx", "┃ \nx", True),
        ("1 a; 0.2 s", "1 a; 3.4 s", True),
        ("1 a; 0.2 s", "2 a; 0.2 s", False),
    ],
)
def test_a_comparison_that_can_fail(told: str, printed: str, same: bool) -> None:
    assert pages.agrees(told, printed) is same
