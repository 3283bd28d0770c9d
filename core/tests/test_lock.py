"""The lock file: what a config needs, and every difference from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dougong import ConfigError
from dougong.lock import lock, lock_path, verify

Make = Callable[..., Any]
TEXT = "m: {use: llm.echo, key: '${env:KEY}', reply: x}"


@pytest.fixture
def written(assembly: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEY", "sk-123456")
    path = tmp_path / "config.yaml"
    lock_path(path).write_text(json.dumps(lock(assembly(TEXT))))
    return path


def test_a_lock_names_distributions_and_holds_no_environment_value(
    assembly: Make, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = lock_path(written).read_text()
    data = json.loads(text)
    assert {"dougong", "pluggy", "attrs", "click", "ruamel-yaml"} <= set(data["distributions"])
    assert "sk-123456" not in text
    monkeypatch.setenv("KEY", "another")
    verify(assembly(TEXT), written)


def test_layout_and_comments_do_not_matter(assembly: Make, written: Path) -> None:
    verify(assembly("# hello\nm:\n  reply: x\n  key: ${env:KEY}\n  use: llm.echo\n"), written)


@pytest.mark.parametrize("text", [TEXT.replace("reply: x", "reply: y"), TEXT + "\nn: {use: chunker.cut}"])
def test_a_changed_config_is_reported(assembly: Make, written: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="has changed since it was locked"):
        verify(assembly(text), written)


def test_set_is_part_of_what_is_locked(assembly: Make, written: Path) -> None:
    with pytest.raises(ConfigError, match="has changed"):
        verify(assembly(TEXT, ["m.reply=y"]), written)


def test_every_other_version_is_reported(assembly: Make, written: Path) -> None:
    data = json.loads(lock_path(written).read_text())
    data["distributions"]["click"] = "0.1"
    del data["distributions"]["attrs"]
    lock_path(written).write_text(json.dumps(data))
    with pytest.raises(ConfigError) as error:
        verify(assembly(TEXT), written)
    assert sorted(problem.message.split()[0] for problem in error.value.problems) == ["attrs", "click"]
    assert any("pip install click==0.1" in problem.hint for problem in error.value.problems)


@pytest.mark.parametrize("text", ["", "[]", "{}", "{", '{"config": 1}', '{"distributions": 3, "config": ""}', '"x"'])
def test_a_damaged_lock_is_reported(assembly: Make, written: Path, text: str) -> None:
    lock_path(written).write_text(text)
    with pytest.raises(ConfigError, match="damaged") as error:
        verify(assembly(TEXT), written)
    assert error.value.hint.startswith("dougong lock ")


def test_a_missing_lock_is_reported(assembly: Make, written: Path) -> None:
    lock_path(written).unlink()
    with pytest.raises(ConfigError, match="cannot read the lock file"):
        verify(assembly(TEXT), written)
