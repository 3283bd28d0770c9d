"""Checks of declarations: each passes what is right and says what is wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from dougong import Chunker, Hit, Retriever, Technique
from dougong.discovery import Entry
from dougong.registry import Loaded
from dougong.testing import declared
from dougong.testing.comparing import difference


@attrs.frozen
class Params:
    """None."""


def loaded(distribution: str, name: str = "chunker.x") -> Loaded:
    entry = Entry("dougong.v1", name, "module", distribution, "1.0")
    return Loaded("chunker", Technique("x", Params, "module:X", "A chunker.", "none"), entry)


# ---------------------------------------------------------------- the distribution

GOOD = """Metadata-Version: 2.4
Name: {name}
Version: 1.0
Summary: Cuts.
License-Expression: MIT
Requires-Dist: dougong>=0.1
Requires-Dist: dougong[testing]==0.1; extra == "test"

# Read me
"""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("", "", None),
        ("Requires-Dist: dougong>=0.1\n", "", "does not ask for dougong"),
        ("dougong>=0.1", "dougong>=0.1,<1", "caps dougong"),
        ("dougong>=0.1", "dougong~=0.1", "does not ask for dougong"),
        ("License-Expression: MIT\n", "", "names no licence"),
        ("License-Expression: MIT", "Classifier: License :: OSI Approved :: MIT License", None),
        ("Summary: Cuts.\n", "", "has no description"),
        ("# Read me\n", "", "has no README"),
    ],
)
def test_a_distribution_is_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, says: str | None
) -> None:
    name = f"dougong-chunker-x{abs(hash((old, new)))}"
    info = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(GOOD.format(name=name).replace(old, new, 1))
    monkeypatch.syspath_prepend(str(tmp_path))
    if says is None:
        declared.distribution_is_described(loaded(name), None)
    else:
        with pytest.raises(AssertionError, match=says):
            declared.distribution_is_described(loaded(name), None)


def test_an_entry_point_is_called_as_its_technique() -> None:
    with pytest.raises(AssertionError, match=r"call it chunker\.x"):
        declared.distribution_is_described(loaded("dougong", "chunker.y"), None)


@pytest.mark.parametrize("heavy", ["import sqlite3", "import numpy", ""])
def test_a_heavy_import_is_seen(tmp_path: Path, heavy: str) -> None:
    file = tmp_path / "plugin.py"
    file.write_text(
        f"{heavy}\nimport attrs\nfrom dougong import Technique, hookimpl\n\n@attrs.frozen\nclass Params:\n    pass\n\n"
        "@hookimpl\ndef dougong_chunkers():\n    return [Technique('x', Params, 'nowhere:X', 'A.', 'b')]\n"
    )
    if heavy:
        with pytest.raises(AssertionError, match=f"imports {heavy.split()[1]}"):
            declared.imports_nothing_heavy(loaded(""), file)
    else:
        declared.imports_nothing_heavy(loaded(""), file)


# ---------------------------------------------------------------- signatures


def method(function: Callable[..., Any], name: str = "search") -> Any:
    return type("Built", (), {name: function})()


def right(self: Any, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]: ...
def further(self: Any, query: str, k: int = 10, where: Any = None, *, probes: int = 8) -> list[Hit]: ...
def anything(self: Any, *args: Any, **kwargs: Any) -> list[Hit]: ...
def renamed(self: Any, text: str, k: int = 10, where: Any = None) -> list[Hit]: ...
def other_default(self: Any, query: str, k: int = 5, where: Any = None) -> list[Hit]: ...
def no_default(self: Any, query: str, k: int, where: Any = None) -> list[Hit]: ...
def other_order(self: Any, k: int = 10, query: str = "", where: Any = None) -> list[Hit]: ...
def too_few(self: Any, query: str, k: int = 10) -> list[Hit]: ...
def too_many(self: Any, query: str, k: int = 10, where: Any = None, *, probes: int) -> list[Hit]: ...


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (right, ""),
        (further, ""),
        (anything, ""),
        (renamed, "takes no 'query'"),
        (other_default, "'k' has not the default 10"),
        (no_default, "'k' has not the default 10"),
        (other_order, "'query' is not number 1"),
        (too_few, "takes no 'where'"),
        (too_many, "asks for 'probes'"),
    ],
)
def test_a_signature_is_compared(function: Callable[..., Any], says: str) -> None:
    told = "; ".join(declared.signature_problems(Retriever, method(function)))
    assert says in told if says else not told


def test_a_method_that_lacks_is_told() -> None:
    assert declared.signature_problems(Chunker, object()) == ["it has no method chunk"]


# ---------------------------------------------------------------- differences


@pytest.mark.parametrize(
    ("wanted", "found", "says"),
    [
        ([1, {"a": 2.0}], (1, {"a": 2.0 + 1e-9}), ""),
        ([1, {"a": 2.0}], [1, {"a": 2.1}], "[1].a is 2.1, not 2.0"),
        ([1], [1, 2], "it has 2 items, not 1"),
        ({"a": 1}, {}, ".a is missing"),
        ({}, {"a": 1}, ".a is new"),
        ("a", b"a", "it is '61', not 'a'"),
        (1, True, "it is True, not 1"),
        (float("nan"), float("nan"), ""),
        (None, 0, "it is 0, not None"),
        (ValueError("a"), ValueError("b"), "[1] is 'b', not 'a'"),
        ({"b", "a"}, {"a", "b"}, ""),
    ],
)
def test_a_difference_is_placed(wanted: Any, found: Any, says: str) -> None:
    told = difference(wanted, found, 1e-6)
    assert says in told if says else not told


# ---------------------------------------------------------------- the package


def test_importing_the_kit_imports_no_library() -> None:
    """Not even with every suite of the knowledge wing, nor those of the agents'."""
    code = (
        "import sys, dougong.testing as t\n"
        "names = [n for n in t.__all__ if not n.startswith(('Block', 'Network', 'Cache', 'Adapter', 'Objective'))]\n"
        "for name in names: getattr(t, name)\n"
        "print([m for m in ('torch', 'numpy', 'transformers', 'sqlite3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_fixtures(registry: Any, clock: Any, run: Any, tmp_path: Path) -> None:
    """Techniques from memory and files; a clock; an active run that writes its journal."""
    from dougong.run import active_run

    found = registry(chunker=[Technique("x", Params, "module:X", "A chunker.", "none")])
    assert found.find("chunker.x").technique.summary == "A chunker."
    assert "x" not in registry().names("chunker")
    with pytest.raises(ValueError, match="no kind 'pirate'"):
        registry(pirate=[])
    clock.sleep(1)
    assert active_run() is run
    assert run.now() > 0
    assert "value" in (tmp_path / "journal.jsonl").read_text()
