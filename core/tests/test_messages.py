"""Every message of ours has a Chinese translation with the same fields."""

from __future__ import annotations

import ast
import inspect
import json
import string
from collections import Counter
from pathlib import Path

import dougong
import pytest
from dougong import messages

SOURCE = Path(dougong.__file__).parent
CHINESE: dict[str, str] = json.loads((SOURCE / "locale" / "zh.json").read_text(encoding="utf-8"))
CLICKS = {"Options", "Show this message and exit.", "Show the version and exit."}
"""Click's own words, which our formatter passes through `known`."""


def templates() -> set[str]:
    """All literals of ``t("...")``, and of the tables whose values go through ``t`` later."""
    found: set[str] = set()
    for file in SOURCE.rglob("*.py"):
        if "scaffold" in file.relative_to(SOURCE).parts[:-1]:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", "") == "t"
                and isinstance(node.args[0], ast.Constant)
            ):
                found.add(node.args[0].value)
            if isinstance(node, ast.Assign | ast.AnnAssign):
                names = node.targets if isinstance(node, ast.Assign) else [node.target]
                if getattr(names[0], "id", "") in ("_COMMANDS", "_NAMES") and isinstance(node.value, ast.Dict):
                    found |= {value.value for value in node.value.values if isinstance(value, ast.Constant)}
    return found


def helps() -> set[str]:
    """The docstrings that ``--help`` prints."""
    found: set[str] = set()
    for file in (SOURCE / "cli").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name in ("command", "cli"):
                found.add(inspect.cleandoc(ast.get_docstring(node) or ""))
    return found


def fields(template: str) -> Counter[str]:
    return Counter(f"{name}:{spec}" for _, name, spec, _ in string.Formatter().parse(template) if name is not None)


@pytest.mark.parametrize("template", sorted(templates()))
def test_a_template_has_a_translation_with_the_same_fields(template: str) -> None:
    assert fields(CHINESE[template]) == fields(template)


@pytest.mark.parametrize("text", sorted(helps() | CLICKS))
def test_a_help_text_has_a_translation(text: str) -> None:
    assert CHINESE[text]


def test_nothing_is_left_over() -> None:
    assert set(CHINESE) == templates() | helps() | CLICKS


def test_translations_are_chinese() -> None:
    """Each holds a Han character, but for templates that are fields and marks alone."""
    for template, chinese in CHINESE.items():
        assert any("一" <= char <= "鿿" for char in chinese) or not any(map(str.isalpha, template)), template


@pytest.mark.parametrize(
    ("variables", "want"),
    [
        ({"DOUGONG_LANG": "zh"}, "zh"),
        ({"DOUGONG_LANG": "en", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_TW.UTF-8"}, "zh"),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LC_MESSAGES": "zh_CN", "LANG": "en_US.UTF-8"}, "zh"),
        ({}, "en"),
    ],
)
def test_the_language_is_the_environments(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], want: str
) -> None:
    for name in ("DOUGONG_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    messages.language.cache_clear()
    assert messages.language() == want


def test_an_unknown_template_stays_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOUGONG_LANG", "zh")
    messages.language.cache_clear()
    assert messages.t("no such template {x} {{y}}", x=1) == "no such template 1 {y}"
    assert messages.known("no such text {x}") == "no such text {x}"
