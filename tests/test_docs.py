"""The documentation shows files that exist, protocols as they are, and recipes that are right."""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import dougong
import dougong.discovery
import dougong.testing
import pytest
from dougong import kinds
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
RECIPES = sorted(DOCS.glob("recipes/*.yaml"))
SHOWN = [
    (page, title, body)
    for page in PAGES
    for title, body in re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', page.read_text("utf-8"), re.M | re.S)
    if title.startswith("docs/")  # others are files that the page has its reader write
]
FOLLOWED = ["first-steps.md", "config.md", "knowledge.md", "agents.md", "models.md", "runs.md", "plugins.md", "kit.md",
            "zh/first-steps.md", "zh/config.md"]  # fmt: skip
"""Pages whose commands, programs and configs are run. The tutorial has a test of its own; the protocols on the page of
kinds are compared with the source; publish.md and environments.md tell of what needs an index of packages."""


def _module(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # attrs looks there
    spec.loader.exec_module(module)
    return module


pages = _module(ROOT / "tests" / "pages.py")


def methods(tree: ast.AST) -> dict[str, str]:
    """Members of the classes in `tree`, as code without docstrings."""
    found = {}
    for cls in ast.walk(tree):
        if isinstance(cls, ast.ClassDef):
            bases = ", ".join(map(ast.unparse, cls.bases))
            for item in cls.body:
                if isinstance(item, ast.FunctionDef):
                    found[f"{cls.name}({bases}).{item.name}"] = (
                        f"{ast.unparse(item.args)} -> {ast.unparse(item.returns)}"
                    )
                elif isinstance(item, ast.AnnAssign):
                    found[f"{cls.name}({bases}).{ast.unparse(item.target)}"] = ast.unparse(item.annotation)
    return found


@pytest.mark.parametrize(("page", "title", "body"), SHOWN, ids=[f"{p.stem}-{t}" for p, t, _ in SHOWN])
def test_a_titled_block_is_the_file_it_names(page: Path, title: str, body: str) -> None:
    assert body == (ROOT / title).read_text("utf-8")


def test_the_kinds_page_shows_every_protocol_as_it_is() -> None:
    text = (DOCS / "kinds.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(class .*?)^```$", text, re.M | re.S)
    shown = {name: code for block in blocks for name, code in methods(ast.parse(block)).items()}
    source = methods(ast.parse(Path(kinds.__file__).read_text("utf-8")))
    assert shown == {name: code for name, code in source.items() if not name.startswith("Builder")}
    assert all(f"(#{kind})" in text for kind in kinds.KINDS)


@pytest.mark.parametrize("name", FOLLOWED)
def test_what_a_page_says_happens(name: str, tmp_path: Path) -> None:
    for folder in ("docs/recipes", "docs/examples", "examples/corpus"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns(".*"))
    (tmp_path / "bin").mkdir()
    for script, module in (("dougong", "-m dougong"), ("pytest", "-m pytest"), ("python", "")):
        (tmp_path / "bin" / script).write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        (tmp_path / "bin" / script).chmod(0o755)
    language = "zh" if name.startswith("zh/") else "en"
    assert pages.follow(DOCS / name, tmp_path, pages.surroundings(tmp_path, str(tmp_path / "bin"), language))


@pytest.mark.parametrize("page", sorted((DOCS / "zh").glob("*.md")), ids=lambda page: page.name)
def test_a_chinese_page_has_the_blocks_and_headings_of_the_english_one(page: Path) -> None:
    def outline(page: Path) -> tuple[list[int], list[tuple[str, str, str]]]:
        text = page.read_text("utf-8")
        blocks = [(block.language, block.title, _typed(block)) for block in pages.blocks(page)]
        return [len(marks) for marks in re.findall(r"^(#+) ", pages.FENCE.sub("", text), re.M)], sorted(blocks)

    assert outline(page) == outline(DOCS / page.name)


def _typed(block: Any) -> str:
    """Programs and files as they are; of a console the commands, since questions and outputs are Chinese there."""
    if block.language:
        return block.body
    return "\n".join(sorted(re.findall(r"^\$ (\S+ \S+)", block.body, re.M)))


def test_the_reference_has_all_kinds_hooks_suites_commands_and_techniques(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOUGONG_LANG", "en")  # which the module sets, and which is then taken back
    reference = _module(DOCS / "reference.py")
    made = {name: make() for name, make in reference.PAGES.items()}
    assert all(f"## {protocol.__name__}\n" in made["kinds"] for protocol in kinds.KINDS.values())
    assert all(f"## dougong_{kind}" in made["hooks"] for kind in kinds.KINDS)
    assert all(f"## {name}\n" in made["testing"] for name in dougong.testing.__all__)
    assert all(f"## {name}\n" in made["commands"] for name in ("ask", "run", "new", "sync", "trace"))
    ours = reference.distributions()
    for entry in dougong.discovery.discover():
        if entry.distribution in ours and entry.group == dougong.discovery.GROUP:
            assert f"### {entry.name}\n" in made["techniques"], "is it installed? then see docs/reference.py"
    assert all(f"(recipes/{recipe.name})" in reference.recipes() for recipe in RECIPES)


@pytest.mark.slow
def test_the_pages_build_without_a_warning(tmp_path: Path) -> None:
    """Every link between pages, to a heading or to a file, leads somewhere."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "site" / "reference" / "techniques.html").is_file()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_is_right(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"\$\{env:(\w+)\}", recipe.read_text(encoding="utf-8")):  # keys that its user has
        monkeypatch.setenv(name, "a-key")
    assert list(dougong.load(recipe).plans())


@pytest.mark.parametrize("name", ["rag.yaml", "scripted.yaml"])
def test_a_recipe_that_runs_gives_a_cited_answer(name: str, tmp_path: Path) -> None:
    with dougong.load(DOCS / "recipes" / name, set={"library.path": str(tmp_path / "library")}) as assembly:
        assembly["library"].sync()
        answer = assembly.run("When was the Yingzao Fashi printed?")
    assert "1103" in answer.citations[0].quote
    assert answer.citations[0].source.endswith("dougong-bracket.md")


def test_the_example_plugin_runs_from_its_file(tmp_path: Path) -> None:
    config, plugin = DOCS / "examples" / "paragraphs.yaml", DOCS / "examples" / "paragraphs.py"
    with dougong.load(config, plugins=[plugin], set={"library.path": str(tmp_path / "library")}) as assembly:
        assembly["library"].sync()
        assert "1103" in assembly["library"].search("Yingzao Fashi printed", k=1)[0].chunk.text


def test_the_wrong_example_has_the_mistakes_that_the_page_tells() -> None:
    with pytest.raises(dougong.ConfigError) as caught:
        dougong.load(DOCS / "examples" / "wrong.yaml")
    told = (DOCS / "config.md").read_text("utf-8")
    for problem in caught.value.problems:
        assert f"wrong.yaml:{problem.place.line}  {problem.path}: " in told


# ---------------------------------------------------------------- examples/corpus


def test_every_example_question_has_its_answer_in_one_place() -> None:
    questions = YAML(typ="safe", pure=True).load(ROOT / "examples" / "questions.yaml")
    for language in ("en", "zh"):
        assert len(questions["demo"][language]) == 3
        for case in (*questions["demo"][language], *questions["more"][language]):
            text = (ROOT / "examples" / "corpus" / case["file"]).read_text("utf-8")
            assert text.count(case["contains"]) == 1, case


@pytest.mark.parametrize(
    "page", sorted((ROOT / "examples" / "corpus").rglob("*.md")), ids=lambda p: f"{p.parent.name}-{p.stem}"
)
def test_a_page_of_the_corpus_has_a_title_sections_and_a_readable_size(page: Path) -> None:
    text = page.read_text("utf-8")
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    assert len(re.findall(r"^# ", prose, re.M)) == 1
    assert text.startswith("# ")
    assert 3 <= len(re.findall(r"^## ", prose, re.M)) <= 8
    size = len(text.split()) if page.parent.name == "en" else len(re.sub(r"\s", "", text))
    assert (450 if page.parent.name == "en" else 800) <= size <= (800 if page.parent.name == "en" else 1400)
