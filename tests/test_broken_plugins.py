"""Broken plugins hurt nobody but the config that names them: seen through the real command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

GOOD = """
import attrs
from dougong import Technique, hookimpl
@attrs.frozen
class Params:
    "n: a number"
    n: int = 1
class Thing:
    def __init__(self, params): pass
    def chunk(self, document): return iter(())
@hookimpl
def dougong_chunkers():
    return [Technique("NAME", Params, "MODULE:Thing", "A thing.", "none")]
"""


def good(name: str) -> str:
    return GOOD.replace("NAME", name).replace("MODULE", f"acme_{name}")


# name of the technique: (source of its module, None for no module; reason that doctor gives)
BROKEN = {
    "raises": ("raise RuntimeError('not today')", "RuntimeError: not today"),
    "exits": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "needs": ("import a_module_that_is_not_there", "No module named 'a_module_that_is_not_there'"),
    "typo": (good("typo").replace("dougong_chunkers", "dougong_chunkrs"), "did you mean 'dougong_chunkers'?"),
    "other": (good("another").replace("acme_another", "acme_other"), "declare chunker.another"),
    "rubbish": (good("rubbish").replace("return [", "return 7 #["), "returned int, not a list of Technique"),
    "gone": (None, "No module named 'acme_gone'"),
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of fake distributions: every broken one, a good one, a slow one, two that clash, one of another API."""
    site = tmp_path / "site"
    site.mkdir()
    for name, (source, _) in BROKEN.items():
        distribution(site, f"acme-{name}", name, source)
    distribution(site, "acme-good", "good", good("good"))
    distribution(site, "acme-slow", "slow", "import time\ntime.sleep(3)\n" + good("slow"))
    distribution(site, "acme-twin", "twin", good("twin"))
    distribution(site, "acme-twin2", "twin", None)
    distribution(site, "acme-future", "future", "raise SystemExit", group="dougong.v2")
    distribution(site, "acme-factory", "factory", good("factory").replace("def __init__(self, params): pass",
                 "def __init__(self, params): raise SystemExit(5)"))  # fmt: skip
    distribution(site, "acme-nofactory", "nofactory", good("nofactory").replace(":Thing", ":Nothing"))
    broken = site / "nonsense-1.0.dist-info"
    broken.mkdir()
    (broken / "entry_points.txt").write_text("[dougong.v1]\nchunker.nonsense = x\n")  # no METADATA
    return site


def distribution(site: Path, name: str, technique: str, source: str | None, group: str = "dougong.v1") -> None:
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\nchunker.{technique} = acme_{technique}\n")
    if source is not None:
        (site / f"acme_{technique}.py").write_text(source)


def dougong(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "dougong", *arguments],
        cwd=site.parent,
        env={**os.environ, "PYTHONPATH": str(site), "DOUGONG_LANG": "en", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


def config(site: Path, name: str) -> str:
    (site.parent / "c.yaml").write_text(f"a: {{use: chunker.{name}}}\nb: {{use: chunker.good}}\n")
    return "c.yaml"


def test_listing_imports_none_and_marks_what_it_can_know(site: Path) -> None:
    done = dougong(site, "plugins", "chunker", "--json")
    assert done.returncode == 0
    rows = {
        (row["name"].removeprefix("chunker."), row["distribution"]): row["state"] for row in json.loads(done.stdout)
    }
    assert {name for name, _ in rows} >= {*BROKEN, "good", "slow", "twin", "future"}
    assert rows["future", "acme-future"] == "incompatible"
    assert rows["twin", "acme-twin"] == rows["twin", "acme-twin2"] == "ambiguous"
    text = dougong(site, "plugins", "chunker").stdout
    assert "incompatible: made for dougong.v2" in text
    assert "declared by 2 distributions" in text
    assert rows["raises", "acme-raises"] == "ok"  # only importing it would tell; doctor does


def test_doctor_names_each_with_its_reason(site: Path) -> None:
    done = dougong(site, "doctor", "--json")
    assert done.returncode == 1
    data = json.loads(done.stdout)
    told = {problem["what"].split()[0].rstrip(":"): problem for problem in data["problems"]}
    for name, (_, reason) in BROKEN.items():
        problem = told[f"chunker.{name}"]
        assert reason in problem["what"]
        assert f"acme-{name} 1.0" in problem["what"]
        assert problem["cure"]
    assert "two distributions declare chunker.twin" in told["chunker.twin"]["what"]
    assert "made for plugin API dougong.v2" in told["chunker.future"]["what"]
    assert "s to import" in told["chunker.slow"]["what"]
    assert "chunker.good" not in told
    assert data["plugins"] >= 4


@pytest.mark.parametrize("name", [*BROKEN, "future", "twin"])
def test_only_a_config_that_names_it_fails(site: Path, name: str) -> None:
    done = dougong(site, "check", config(site, name))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("c.yaml:1  a: ")
    assert BROKEN.get(name, ("", "acme-"))[1] in line


@pytest.mark.parametrize("name", ["good", "factory", "nofactory"])
def test_others_are_checked_without_importing_a_factory(site: Path, name: str) -> None:
    done = dougong(site, "check", config(site, name))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("name", "reason"), [("factory", "SystemExit: 5"), ("nofactory", "'Nothing'")])
def test_a_factory_that_cannot_be_called_is_reported_when_it_is_built(site: Path, name: str, reason: str) -> None:
    code = f"import dougong\ntry: dougong.make('chunker.{name}')\nexcept dougong.BuildError as e: print(e)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True
    )
    assert reason in done.stdout
    assert f"chunker.{name}, acme-{name} 1.0" in done.stdout


@pytest.mark.parametrize(
    "arguments", [["--help"], ["plugins"], ["plugins", "chunker"], ["plugins", "chunker.good"], ["--version"]]
)
def test_every_other_command_works_and_says_nothing_of_them(site: Path, arguments: list[str]) -> None:
    done = dougong(site, *arguments)
    assert done.returncode == 0
    assert done.stderr == ""


def test_no_command_waits_for_a_slow_plugin_that_it_does_not_need(site: Path) -> None:
    """The slow module writes a file when it is imported; no file, so nobody imported it."""
    (site / "acme_slow.py").write_text(f"open({str(site / 'imported')!r}, 'w').close()\n" + good("slow"))
    for arguments in (["plugins"], ["--help"], ["check", config(site, "good")], ["show", "c.yaml"], ["lock", "c.yaml"]):
        assert dougong(site, *arguments).returncode == 0
        assert not (site / "imported").exists()


def test_the_schema_leaves_out_the_broken_and_names_them(site: Path) -> None:
    done = dougong(site, "schema")
    assert done.returncode == 0
    names = {
        option["properties"]["use"]["enum"][0] for option in json.loads(done.stdout)["$defs"]["chunker"]["anyOf"][1:]
    }
    assert "good" in names
    assert not names & set(BROKEN)
    for name in BROKEN:
        assert f"chunker.{name}" in done.stderr


def test_a_description_of_a_broken_plugin_gives_its_reason(site: Path) -> None:
    done = dougong(site, "plugins", "chunker.raises")
    assert done.returncode == 2
    assert "RuntimeError: not today" in done.stderr
    assert "acme-raises 1.0" in done.stderr


# ---------------------------------------------------------------- plugins that add a command


def command(site: Path, name: str, source: str) -> None:
    info = site / f"acme_{name}_command-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: acme-{name}-command\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[dougong.commands.v1]\n{name} = acme_{name}_command:command\n")
    (site / f"acme_{name}_command.py").write_text(source)


def test_a_command_of_a_plugin_runs_and_a_broken_one_breaks_nothing(site: Path) -> None:
    command(site, "greet", "import click\n@click.command()\ndef command():\n    'Greet.'\n    click.echo('hello')\n")
    command(site, "sulk", "raise SystemExit(7)")
    command(site, "check", "raise SystemExit(7)")  # ours stays ours
    helped = dougong(site, "--help")
    assert helped.returncode == 0
    assert "acme-greet-command 1.0" in helped.stdout
    assert dougong(site, "greet").stdout == "hello\n"
    assert dougong(site, "check", config(site, "good")).returncode == 0
    done = dougong(site, "sulk")
    assert done.returncode == 2
    assert "SystemExit: 7" in done.stderr
    assert "acme-sulk-command 1.0" in done.stderr
    assert "acme-sulk-command" in dougong(site, "doctor").stdout
