"""``dougong sync``: exactly what a config names, in environments of their own, with wheels from a folder."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("wheelhouse", Path(__file__).with_name("wheelhouse.py"))
wheelhouse = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wheelhouse)

Sync = Callable[..., subprocess.CompletedProcess[str]]
CONFIG = "main: {use: pattern.outer, inner: {use: lines}}\n"
SLOT = "inner: Chunker"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A pattern with a slot, two versions of a chunker, a chunker with a default, and what nobody needs."""
    house = tmp_path / "house"
    wheelhouse.build(house, "acme-outer", "1.0", "pattern.outer", SLOT)
    for version in ("1.0", "2.0"):
        wheelhouse.build(house, "acme-lines", version, "chunker.lines", requires=["acme-base"])
        wheelhouse.build(house, "acme-base", version, "tokenizer.base")
    wheelhouse.build(house, "dougong-chunker-plain", "1.0", "chunker.plain")
    wheelhouse.build(house, "dougong-pattern-packed", "1.0", "pattern.packed", "inner: Chunker = slot('plain')")
    wheelhouse.build(house, "dougong-tool-empty", "1.0", "tool.other")
    return house


@pytest.fixture
def index(tmp_path: Path) -> Path:
    rows = [
        {"name": "pattern.outer", "distribution": "acme-outer", "slots": {"inner": "chunker"}},
        {"name": "chunker.lines", "distribution": "acme-lines"},
    ]
    path = tmp_path / "index.json"
    path.write_text(json.dumps([{"summary": "s", "source": "s", **row} for row in rows]))
    return path


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """An environment with core and pip alone."""
    return wheelhouse.environment(tmp_path / "env", ["dougong", "pip"])


@pytest.fixture
def sync(tmp_path: Path, python: Path, house: Path, index: Path) -> Sync:
    """``sync(config, *options)``, with the index and the wheels of this test; nothing else can be reached."""

    def run(config: str, *options: str, code: int = 0, input: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "c.yaml").write_text(config, encoding="utf-8")
        done = subprocess.run(
            [python, "-m", "dougong", "sync", "c.yaml", *options, "--", "--no-index", "--find-links", str(house)],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "DOUGONG_LANG": "en", "DOUGONG_INDEX": str(index), **env},
            input=input,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def versions(python: Path) -> Callable[[], dict[str, str]]:
    """What is installed besides what came with the environment."""

    def find() -> dict[str, str]:
        site = next(python.parent.parent.glob("lib/python*/site-packages"))
        pairs = (path.name.removesuffix(".dist-info").split("-") for path in site.glob("*.dist-info"))
        return {name: version for name, version in pairs if name.startswith(("acme", "dougong_"))}

    return find


def test_it_installs_what_the_config_names_and_no_more(sync: Sync, versions: Callable[[], dict[str, str]]) -> None:
    """Short names are understood before anything is installed, by what the index says of slots."""
    done = sync(CONFIG, "--yes")
    assert "c.yaml names 3 distributions; 2 to install or change" in done.stdout
    assert "to install  acme-outer" in done.stdout
    assert done.stdout.splitlines()[-1] == "c.yaml: right; techniques: 2"
    assert versions() == {"acme_outer": "1.0", "acme_lines": "2.0", "acme_base": "2.0"}
    again = sync(CONFIG)
    assert "0 to install or change" in again.stdout


@pytest.mark.slow
def test_it_goes_on_where_installing_shows_what_else_is_missing(
    sync: Sync, versions: Callable[[], dict[str, str]], index: Path
) -> None:
    """The pattern is in no index, so what its slot takes is known only once it is there."""
    index.write_text(json.dumps(json.loads(index.read_text())[1:]))
    done = sync(CONFIG.replace("pattern.outer", "acme-outer:pattern.outer"), "--yes")
    assert "2 distributions; 1 to install" in done.stdout
    assert "3 distributions; 1 to install" in done.stdout
    assert "right; techniques: 2" in done.stdout
    assert set(versions()) == {"acme_outer", "acme_lines", "acme_base"}


def test_a_default_in_a_slot_counts(sync: Sync, versions: Callable[[], dict[str, str]]) -> None:
    done = sync("main: {use: pattern.packed}\n", "--yes")
    assert re.search(r"to install  dougong-pattern-packed +pattern.packed  \(not in the index: a guess\)", done.stdout)
    assert versions() == {"dougong_pattern_packed": "1.0", "dougong_chunker_plain": "1.0"}


def test_a_lock_file_gives_exact_versions(
    sync: Sync, versions: Callable[[], dict[str, str]], python: Path, tmp_path: Path
) -> None:
    sync(CONFIG, "--yes")
    data = {"version": 1, "config": "", "distributions": {"acme-outer": "1.0", "acme-lines": "1.0", "acme-base": "1.0"}}
    (tmp_path / "c.yaml.lock").write_text(json.dumps(data))
    done = sync(CONFIG, "--yes", code=2)
    assert "to change  acme-lines  2.0 -> 1.0  chunker.lines" in done.stdout
    assert "to change  acme-base   2.0 -> 1.0" in done.stdout
    assert "has changed since it was locked" in done.stderr  # this one is no lock of it
    assert versions() == {"acme_outer": "1.0", "acme_lines": "1.0", "acme_base": "1.0"}
    subprocess.run([python, "-m", "dougong", "lock", "c.yaml"], cwd=tmp_path, check=True, capture_output=True)
    assert "0 to install or change" in sync(CONFIG, "--locked").stdout


def test_locked_asks_for_a_lock_file(sync: Sync) -> None:
    assert "c.yaml.lock: there is no lock file; dougong lock c.yaml" in sync(CONFIG, "--locked", code=2).stderr


@pytest.mark.parametrize("text", ["", "[]", "{", '{"distributions": 3}'])
def test_a_damaged_lock_file_stops_it(sync: Sync, tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml.lock").write_text(text)
    assert "the lock file is damaged" in sync(CONFIG, "--yes", code=2).stderr


def test_nothing_is_installed_without_a_yes(sync: Sync, versions: Callable[[], dict[str, str]]) -> None:
    assert "Install?" in sync(CONFIG, input="n\n", code=1).stderr
    assert "nobody is there to be asked; give --yes" in sync(CONFIG, code=2).stderr
    assert versions() == {}
    sync(CONFIG, input="y\n")
    assert len(versions()) == 3


def test_a_slip_of_the_pen_installs_nothing(sync: Sync, versions: Callable[[], dict[str, str]]) -> None:
    """Whatever an index may hold under that name."""
    error = sync("main:\n  use: pattern.outer\n  inner: {use: lnies}\n", "--yes", code=2).stderr
    assert "c.yaml:3  main.inner: no chunker 'lnies' is known; did you mean 'lines'?" in error
    assert "{use: dougong-chunker-lnies:lnies}" in error
    assert versions() == {}


@pytest.mark.slow
def test_what_cannot_be_found_is_named_with_the_cure(sync: Sync) -> None:
    done = sync("main: {use: chunker.quite-another}\n", "--yes", code=1)
    assert "No matching distribution found for dougong-chunker-quite-another" in done.stderr
    assert "where there is no network, say where wheels lie" in done.stderr


@pytest.mark.slow
def test_a_distribution_without_the_technique_is_not_installed_again(sync: Sync) -> None:
    error = sync("main: {use: dougong-tool-empty:tool.wanted}\n", "--yes", code=2).stderr
    assert "c.yaml:1  main: " in error
    assert "tool 'wanted'" in error or "does not declare it" in error


@pytest.mark.slow
def test_a_requirement_that_went_missing_is_brought_back(
    sync: Sync, versions: Callable[[], dict[str, str]], python: Path
) -> None:
    sync(CONFIG, "--yes")
    subprocess.run([python, "-m", "pip", "uninstall", "-qy", "acme-base"], check=True)
    assert "to install  acme-base" in sync(CONFIG, "--yes").stdout
    assert versions()["acme_base"] == "2.0"


@pytest.mark.slow
def test_exact_removes_what_no_technique_needs_but_never_core_or_others(
    sync: Sync, versions: Callable[[], dict[str, str]]
) -> None:
    sync("main: {use: pattern.packed}\n", "--yes")
    sync(CONFIG, "--yes")
    assert len(versions()) == 5
    assert "not needed" not in sync(CONFIG, "--yes").stdout
    done = sync("main: {use: chunker.plain}\n", "--exact", "--yes")
    assert "not needed: dougong-pattern-packed" in done.stdout
    assert set(versions()) == {"acme_outer", "acme_lines", "acme_base", "dougong_chunker_plain"}
    assert "right; techniques: 1" in done.stdout


def test_environment_variables_are_told_of_and_not_needed(sync: Sync) -> None:
    config = "main: {use: 'chunker.${env:CUTTER:-plain}'}\nx: {use: pattern.packed, text: '${env:WORDS}'}\n"
    done = sync(config, "--yes", code=2)
    assert "to be set before it runs: WORDS" in done.stderr
    assert "unknown parameter" in done.stderr  # all else is checked
    assert "not set" not in done.stderr


def test_an_extra_argument_is_refused(sync: Sync, python: Path, tmp_path: Path) -> None:
    done = subprocess.run([python, "-m", "dougong", "sync", "c.yaml", "d.yaml"], capture_output=True, text=True,
                          cwd=tmp_path, env={**os.environ, "DOUGONG_LANG": "en"})  # fmt: skip
    assert done.returncode == 2
    assert "extra argument 'd.yaml'; pip's options stand after '--'" in done.stderr
