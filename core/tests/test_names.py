"""The public names, and what importing them costs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dougong
import pytest

HEAVY = ("torch", "transformers", "numpy", "sqlite3")
FAKES = Path(__file__).with_name("fakes.py")


def test_every_public_name_is_there() -> None:
    for name in dougong.__all__:
        assert getattr(dougong, name) is not None
    assert dir(dougong) == dougong.__all__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        dougong.nothing  # noqa: B018


def test_the_names_for_type_checkers_are_the_public_ones() -> None:
    import ast

    tree = ast.parse(Path(dougong.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    names = {alias.asname for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert names == set(dougong.__all__)


def test_the_fourteen_kinds_are_closed() -> None:
    from dougong.hookspecs import DECLARING
    from dougong.kinds import KINDS, kind_of

    assert set(KINDS) == set(DECLARING)
    assert len(KINDS) == 14
    assert kind_of(dougong.Index) == kind_of(dougong.Library) == "retriever"
    assert kind_of(int) is None


IMPORTED = """
import sys
sys.argv = ["dougong", *{arguments!r}]
try:
    {statement}
except SystemExit as end:
    assert not end.code, end.code
print("HEAVY", *[name for name in {heavy!r} if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("statement", "arguments"),
    [
        ("import dougong", []),
        ("from dougong import *", []),
        ("from dougong.cli import main; main()", ["--help"]),
        ("from dougong.cli import main; main()", ["plugins"]),
        ("from dougong.cli import main; main()", ["check", "c.yaml", "--plugin", str(FAKES)]),
        ("from dougong.cli import main; main()", ["show", "c.yaml", "--plugin", str(FAKES)]),
        ("from dougong.cli import main; main()", ["lock", "c.yaml", "--plugin", str(FAKES)]),
    ],
)
def test_nothing_heavy_is_imported(tmp_path: Path, statement: str, arguments: list[str]) -> None:
    (tmp_path / "c.yaml").write_text("a: {use: retriever.joined, of: [{use: flat}]}")
    code = IMPORTED.format(statement=statement, arguments=arguments, heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env={**os.environ}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("HEAVY")


def test_importing_dougong_imports_no_library(tmp_path: Path) -> None:
    code = (
        "import sys, dougong; print(*[n for n in ('click', 'attrs', 'pluggy', 'ruamel', 'rich') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
