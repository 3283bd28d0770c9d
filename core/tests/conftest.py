"""What the tests of the frame share: the plugin of fakes, configs from text, fake distributions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dougong import Assembly, load
from dougong import messages as words

FAKES = Path(__file__).with_name("fakes.py")


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Messages are English unless a test says otherwise."""
    monkeypatch.setenv("DOUGONG_LANG", "en")
    words.language.cache_clear()
    yield
    words.language.cache_clear()


@pytest.fixture
def assembly(tmp_path: Path) -> Callable[..., Assembly]:
    """``assembly(text, set=...)``: a config of the fakes, checked."""

    def make(text: str, set: Any = ()) -> Assembly:
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return load(path, set=set, plugins=[FAKES])

    return make


@pytest.fixture
def problems(assembly: Callable[..., Assembly]) -> Callable[..., list[Any]]:
    """``problems(text)``: what is wrong with a config."""
    from dougong import ConfigError

    def find(text: str, set: Any = ()) -> list[Any]:
        with pytest.raises(ConfigError) as error:
            assembly(text, set)
        return list(error.value.problems)

    return find


@pytest.fixture
def distribution(tmp_path: Path) -> Callable[..., Path]:
    """``distribution(name, {"retriever.x": "module"}, {"module": source})``: as if pip had installed it."""
    site = tmp_path / "site"

    def install(
        name: str,
        points: dict[str, str],
        modules: dict[str, str] | None = None,
        *,
        group: str = "dougong.v1",
        version: str = "1.0",
    ) -> Path:
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [f"{point} = {value}" for point, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
        for module, source in (modules or {}).items():
            (site / f"{module}.py").write_text(source, encoding="utf-8")
        return site

    return install


@pytest.fixture
def dougong(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``dougong("check", "a.yaml")``: the real command in a process of its own, fake distributions on its path."""

    def run(*arguments: str, check: int | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "dougong", *arguments],
            env={**os.environ, "PYTHONPATH": str(tmp_path / "site"), "DOUGONG_LANG": "en", **env},
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=60,
        )
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        if check is not None:
            assert done.returncode == check, done.stdout + done.stderr
        return done

    return run
