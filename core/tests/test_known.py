"""The index of techniques that are not installed: what it says, how it is written, what hints it gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from dougong import Builder, Chunker, ConfigError, PluginError, Retriever, Tokenizer, Tool, Use, known, slot
from dougong.config import parse
from dougong.environment import needs
from dougong.kinds import KINDS
from dougong.registry import Registry

ROOT = Path(__file__).parents[2]
Dougong = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    known.index.cache_clear()
    yield
    known.index.cache_clear()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = [
        {"name": "chunker.comet", "distribution": "acme-comet", "summary": "Cuts like a comet.", "source": "Halley"},
        {"name": "chunker.fixed", "distribution": "acme-usurper", "summary": "Not it.", "source": "none"},
    ]
    path = tmp_path / "index.json"
    known.write(path, rows)
    monkeypatch.setenv("DOUGONG_INDEX", str(path))
    return path


# ---------------------------------------------------------------- what it says


def test_every_row_names_a_kind_a_distribution_a_summary_and_a_source() -> None:
    for name, row in known.index().items():
        assert name.partition(".")[0] in KINDS
        assert row.distribution.startswith("dougong-")
        assert row.summary
        assert row.source


def test_a_slot_of_a_row_takes_what_is_a_kind() -> None:
    def kinds(shape: Any) -> Iterator[str]:
        if isinstance(shape, str):
            yield shape
        else:
            for item in shape.values() if isinstance(shape, dict) else shape:
                yield from kinds(item)

    assert {kind for row in known.index().values() for kind in kinds(row.slots)} <= set(KINDS)


def test_an_index_of_ones_own_adds_to_it_and_replaces_nothing(index: Path) -> None:
    assert known.index()["chunker.comet"].distribution == "acme-comet"
    assert known.index()["chunker.fixed"].distribution == "dougong-chunker-fixed"


@pytest.mark.parametrize("text", ["", "{}x", "3", "[3]", "[{}]", '[{"name": "a.b", "surprise": 1}]'])
def test_a_bad_index_is_named(index: Path, text: str) -> None:
    index.write_text(text)
    with pytest.raises(ConfigError, match="no index of techniques") as error:
        known.index()
    assert str(error.value.place) == str(index)


def test_an_index_that_is_not_there_is_named(index: Path) -> None:
    index.unlink()
    with pytest.raises(ConfigError, match="cannot read the index") as error:
        known.index()
    assert error.value.hint == "correct DOUGONG_INDEX"


# ---------------------------------------------------------------- hints


@pytest.mark.parametrize(
    ("use", "hint"),
    [
        ("chunker.comet", "pip install acme-comet"),
        ("chunker.comte", "did you mean 'comet'?  pip install acme-comet"),
        ("chunker.zzz", "pip install dougong-chunker-zzz"),
    ],
)
def test_a_missing_technique_comes_with_what_to_install(index: Path, use: str, hint: str) -> None:
    with pytest.raises(PluginError) as error:
        Registry([]).find(use)
    assert error.value.hint == hint


def test_what_is_installed_is_no_matter_for_pip(index: Path) -> None:
    assert known.cure("chunker", "qutter", ["cutter"]) == "did you mean 'cutter'?"


# ---------------------------------------------------------------- slots


@attrs.frozen
class Member:
    """of: a nested value with a slot."""

    of: Retriever | None = None
    name: str = ""


@attrs.frozen
class Params:
    """One of each shape."""

    chunker: Chunker = slot("recursive", size=3, tokenizer=Use("words"))
    tokenizer: Tokenizer | None = None
    tools: list[Tool] = attrs.field(factory=list)
    by_name: dict[str, Retriever] = attrs.field(factory=dict)
    layer: Builder[Tool] | None = None
    members: list[Member] = attrs.field(factory=list)
    pair: tuple[int, Tool] | None = None
    size: int = 3
    words: list[str] = attrs.field(factory=list)


def test_slots_are_found_wherever_they_stand() -> None:
    assert known.slots(Params) == {
        "chunker": "chunker",
        "tokenizer": "tokenizer",
        "tools": ["tool"],
        "by_name": ["retriever"],
        "layer": "tool",
        "members": [{"of": "retriever"}],
        "pair": ["tool"],
    }
    assert known.defaults(Params) == {"chunker": {"use": "recursive", "size": 3, "tokenizer": {"use": "words"}}}


# ---------------------------------------------------------------- writing it


def test_an_index_is_written_from_source_without_installing(tmp_path: Path) -> None:
    """The plugins of this repository as an example; one that is broken is left out and named."""
    broken = tmp_path / "plugins" / "broken"
    (broken / "src").mkdir(parents=True)
    points = '[project.entry-points."dougong.v1"]\n"tool.broken" = "acme_no"\n'
    (broken / "pyproject.toml").write_text(f'[project]\nname = "acme-broken"\nversion = "1"\n{points}')
    out = tmp_path / "out.json"
    command = [sys.executable, "-m", "dougong.known", out, ROOT / "plugins" / "chunkers" / "fixed", broken]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "DOUGONG_LANG": "en"})
    assert done.returncode == 1
    assert "tool.broken, acme-broken 1" in done.stderr
    (row,) = json.loads(out.read_text(encoding="utf-8"))
    assert row["name"] == "chunker.fixed"
    assert row["slots"] == {"tokenizer": "tokenizer"}
    assert row["defaults"] == {"tokenizer": {"use": "words"}}


@pytest.mark.slow
def test_the_index_of_a_release_is_that_of_the_repository(tmp_path: Path) -> None:
    """Run before a release: `make known` writes it. A new technique needs no change here on its day."""
    folders = [str(ROOT / name) for name in ("plugins", "contrib")]
    subprocess.run([sys.executable, "-m", "dougong.known", tmp_path / "known.json", *folders], check=True)
    assert (tmp_path / "known.json").read_text("utf-8") == Path(known.__file__).with_name("known.json").read_text(
        "utf-8"
    )


# ---------------------------------------------------------------- the command


def test_what_is_not_installed_is_listed_with_how_to_get_it(dougong: Dougong, index: Path) -> None:
    assert "acme-comet" not in dougong("plugins", "chunker").stdout
    for arguments in (["--all", "chunker"], ["--search", "comet"], ["--search", "halley"]):
        out = dougong("plugins", *arguments, check=0).stdout
        assert "chunker.comet  (not installed; pip install acme-comet)\n    Cuts like a comet." in out
    assert "chunker.comet" not in dougong("plugins", "--all", "tool").stdout


def test_a_search_is_bilingual_and_narrows_with_every_word(dougong: Dougong, index: Path) -> None:
    assert "chunker.comet" in dougong("plugins", "--search", "切分").stdout
    assert "chunker.comet" in dougong("plugins", "--search", "切块 halley").stdout
    done = dougong("plugins", "--search", "切块 nothing-like-it", check=0)
    assert done.stdout == ""
    assert "no technique is known that fits" in done.stderr


def test_the_list_as_json(dougong: Dougong, index: Path, distribution: Callable[..., Path]) -> None:
    distribution("acme-own", {"chunker.own": "acme_own"})
    rows = {row["name"]: row for row in json.loads(dougong("plugins", "--all", "--json", check=0).stdout)}
    assert rows["chunker.comet"] == {
        "name": "chunker.comet", "distribution": "acme-comet", "summary": "Cuts like a comet.", "source": "Halley",
        "installed": False,
    }  # fmt: skip
    assert rows["chunker.own"]["installed"]


def test_a_slot_whose_default_is_only_changed_still_needs_it(index: Path) -> None:
    """``inner: {size: 3}`` names no technique; the default's distribution is needed all the same."""
    row = {"name": "pattern.outer", "distribution": "acme-outer", "summary": "s", "source": "s"}
    known.write(index, [{**row, "slots": {"inner": "chunker"}, "defaults": {"inner": {"use": "comet"}}},
                        {**row, "name": "chunker.comet", "distribution": "acme-comet"}])  # fmt: skip
    known.index.cache_clear()
    found = needs(parse("main: {use: pattern.outer, inner: {size: 3}}", "c.yaml"), Registry([]))
    assert set(found) == {"dougong", "acme-outer", "acme-comet"}
