"""Every distribution of this repository, built as a wheel and installed alone with what it declares and nothing else.

Each in an environment of its own: its techniques load with their factories, its conformance tests pass, and the configs
of its README check, build and, where that needs no network, run. No network here either: third-party wheels are packed
again from what is installed; torch and transformers, where they are declared, are linked instead. Prints a table.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from dougong.distributions import canonical, closure

ROOT = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("wheelhouse", ROOT / "core" / "tests" / "wheelhouse.py")
wheelhouse = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wheelhouse)

FOLDERS = sorted(path.parent for name in ("plugins/*/*", "contrib/*") for path in ROOT.glob(f"{name}/pyproject.toml"))
LINKED = ("torch", "transformers", "accelerate", "peft")
TOOLS = re.findall(r"^[\w-]+", (ROOT / "requirements-dev.txt").read_text(encoding="utf-8"), re.MULTILINE)
"""For conformance tests alone, which run after everything was imported without them."""
LOAD = """
import importlib, sys
from dougong.discovery import discover
from dougong.registry import Registry
registry, names = Registry(), sys.argv[1:]
for entry in discover():
    if entry.name in names and entry.group == "dougong.v1":
        importlib.import_module(registry.find(entry.name).technique.factory.partition(":")[0])
    elif entry.name in names:
        importlib.import_module(entry.module.partition(":")[0])
missing = set(names) - {entry.name for entry in discover()}
assert not missing, missing
"""
BUILD = "import dougong\nwith dougong.load('c.yaml') as a: [a[name] for name in a.document.plans]"

pytestmark = pytest.mark.slow


def project(folder: Path) -> dict:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheels of every distribution of ours, and of what they require."""
    house = tmp_path_factory.mktemp("house")
    own = [ROOT / "core", ROOT / "analyzer", *FOLDERS]
    command = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation", "-w", house]
    if subprocess.run([*command, *own]).returncode:  # then one by one, so that what is broken fails alone
        for folder in own:
            subprocess.run([*command, folder])
    ours = [project(folder) for folder in own]
    wanted = {re.match(r"[\w.-]+", need)[0] for meta in ours for need in meta["dependencies"]}
    theirs = closure(wanted - {meta["name"] for meta in ours})[0]
    for name in set(theirs) - set(LINKED) - {canonical(meta["name"]) for meta in ours}:
        wheelhouse.pack(house, name)
    return house


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tools = tmp_path_factory.mktemp("tools")
    wheelhouse.link(tools, [name for name in closure([*TOOLS, "transformers"])[0] if not name.startswith("dougong")])
    return tools


@pytest.fixture(scope="session")
def table(request: pytest.FixtureRequest) -> Iterator[dict[str, list[str]]]:
    rows: dict[str, list[str]] = {}
    yield rows
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        print()
        for name, cells in sorted(rows.items()):
            print(f"{name:36} {'; '.join(cells)}")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: project(folder)["name"])
def test_it_works_alone(folder: Path, house: Path, tools: Path, table: dict[str, list[str]], tmp_path: Path) -> None:
    meta = project(folder)
    row = table.setdefault(meta["name"], [])
    python = wheelhouse.environment(tmp_path / "env", ["pip"])
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    heavy = [name for name in LINKED if name in closure([meta["name"]])[0]]
    wheelhouse.link(site, closure(heavy)[0])
    offline = ["--no-compile", "--no-index", "--find-links", str(house)]
    bare = {"PATH": os.environ["PATH"], "DOUGONG_LANG": "en", "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}

    def run(*command: object, more: str = "", cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        env = {**bare, "PYTHONPATH": more} if more else bare
        return subprocess.run([python, *map(str, command)], cwd=cwd, env=env, capture_output=True, text=True)

    def with_torch(*command: object) -> subprocess.CompletedProcess[str]:
        """Once what is tested has loaded without: pip, for others that need torch, which is linked then."""
        done = run(*command)
        if re.search(rf"No matching distribution found for ({'|'.join(LINKED)})\b", done.stdout + done.stderr):
            wheelhouse.link(site, closure(LINKED)[0])
            done = run(*command)
        return done

    done = run("-m", "pip", "install", "-q", *offline, meta["name"])
    assert done.returncode == 0, done.stderr
    row.append(f"{len(list(site.glob('*.dist-info'))) - 1} distributions" + " (torch linked)" * bool(heavy))

    points = meta["entry-points"]
    done = run("-c", LOAD, *points.get("dougong.v1", {}), *points.get("dougong.commands.v1", {}))
    assert done.returncode == 0, done.stderr
    row.append("loads")

    configs = re.findall(r"^```yaml\n(.*?)^```", (folder / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    shutil.copytree(ROOT / "examples" / "corpus", tmp_path / "docs")
    told = [self_contained(text, tmp_path, with_torch, offline) for text in configs]
    row.append(f"README: {', '.join(told) or 'no config'}")

    suite = folder / "tests" / "test_conformance.py"
    if not suite.exists():
        row.append("no conformance tests")
    else:
        helped: list[str] = []  # other distributions that its tests use, installed when a hint asks for them
        while True:
            arguments = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", suite]
            done = run(*arguments, more=str(tools), cwd=ROOT)
            asked = re.search(r"pip install (dougong-[\w-]+)", done.stdout)
            if done.returncode == 0 or not asked or asked[1] in helped:
                break
            helped.append(asked[1])
            with_torch("-m", "pip", "install", "-q", *offline, asked[1])
        row.append(("conforms" if done.returncode == 0 else "DOES NOT CONFORM") + "".join(f" +{x}" for x in helped))
        assert done.returncode == 0, done.stdout[-4000:]
    assert not [text for text in told if text.isupper()], told


def self_contained(text: str, place: Path, run, offline: list[str]) -> str:
    """How far a README's config goes: ``runs``, ``builds``, ``checks``; in capitals where it fails."""
    (place / "c.yaml").write_text(text, encoding="utf-8")
    done = run("-m", "dougong", "sync", "c.yaml", "--yes", "--", *offline)
    if done.returncode:
        print(text, done.stdout, done.stderr)
        fragment = ("no technique is named here", "written twice", "has no kind here")
        return "a fragment" if any(sign in done.stderr for sign in fragment) else "WRONG"
    if "to be set before it runs" in done.stderr:
        return "checks"
    done = run("-c", BUILD)
    if done.returncode:
        print(text, done.stdout, done.stderr)
        return "checks"
    done = run("-m", "dougong", "run", "c.yaml", "What is a dougong?")
    if "there is nothing to run" in done.stderr:
        return "builds"
    if done.returncode:
        print(text, done.stdout, done.stderr)
    return "runs" if done.returncode == 0 else "builds"
