"""What ``dougong new`` makes: built, installed and used as a stranger would, kind by kind.

The fast part unpacks the wheels of the light kinds beside this environment. The slow one gives each kind an
environment of its own, with core, what the package declares and nothing else; third-party libraries are linked from
here, since torch alone would take minutes to install, and dougong's distributions are built and installed by pip.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from dougong import scaffold
from dougong.scaffold import KINDS, Package
from packaging.requirements import Requirement
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
MODEL = ("block", "network", "cache", "adapter", "objective")
LIGHT = tuple(kind for kind in KINDS if kind not in MODEL)
ANSWERS = {  # of `dougong run example.yaml` with the question in its first line
    "chunker": "characters that a chunk has at least",
    "loader": "interlocking brackets that carry the roof",
    "tokenizer": "characters that a token has at most",
    "retriever": "The score of a chunk is the share",
    "llm": "You said: Is there anybody here?",
    "tool": "It has 5 words.",
    "pattern": "Brackets carry the roof.",
    "middleware": "Brackets carry the roof.",
}
BUILD = """
import os, sys
from hatchling.build import build_wheel
out, *folders = sys.argv[1:]
for folder in folders:
    os.chdir(folder)
    build_wheel(out)
"""


def ran(*command: object, cwd: Path, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**clean, "DOUGONG_LANG": "en", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **env},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    assert done.returncode == code, done.stdout + done.stderr
    return done


def used(folder: Path, python: object, kind: str, **env: str) -> None:
    """Do what the README says: run the example, or its Python."""
    dougong = (python, "-m", "dougong")
    assert "right; techniques: " in ran(*dougong, "check", "example.yaml", cwd=folder, **env).stdout
    if kind in ANSWERS:
        first = (folder / "example.yaml").read_text(encoding="utf-8").partition("\n")[0]
        if "dougong index" in first:
            ran(*dougong, "index", "example.yaml", cwd=folder, **env)
        done = ran(*dougong, "run", "example.yaml", first.split('"')[1], cwd=folder, **env)
        assert ANSWERS[kind] in done.stdout, done.stdout + done.stderr
        assert kind != "middleware" or "llm main.llm: 0." in done.stderr
    elif kind == "command":
        assert (
            "main.llm  llm.scripted  dougong-llm-scripted"
            in ran(*dougong, "sample", "example.yaml", cwd=folder, **env).stdout
        )
    else:
        (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.S)
        ran(python, "-c", code, cwd=folder, **env)


# ---------------------------------------------------------------- beside this environment


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the light kinds' packages; ``site`` in it holds what their wheels hold."""
    root = tmp_path_factory.mktemp("scaffold")
    for kind in LIGHT:
        package = Package(kind, "sample", "Ann", "MIT", "zh" if kind == "embedder" else "en", 2031)
        scaffold.write(package.files(), root / kind)
    (root / "wheels").mkdir()
    ran(sys.executable, "-c", BUILD, root / "wheels", *(root / kind for kind in LIGHT), cwd=root)
    for wheel in (root / "wheels").iterdir():
        with zipfile.ZipFile(wheel) as file:
            file.extractall(root / "site")
    return root


def test_the_light_kinds_pass_the_kit_and_their_own_tests(beside: Path) -> None:
    done = ran(
        sys.executable, "-m", "pytest", "-q", "-p", "dougong.testing", "-p", "no:cacheprovider",
        "--import-mode=importlib", *(f"{kind}/tests" for kind in LIGHT), cwd=beside, PYTHONPATH=str(beside / "site"),
    )  # fmt: skip
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 300


def test_they_are_listed_and_nothing_is_wrong_with_them(beside: Path) -> None:
    env = {"PYTHONPATH": str(beside / "site")}
    rows = json.loads(ran(sys.executable, "-m", "dougong", "plugins", "--json", cwd=beside, **env).stdout)
    listed = {(row["name"], row["state"]) for row in rows if row["distribution"].endswith("-sample")}
    assert listed == {("sample" if kind == "command" else f"{kind}.sample", "ok") for kind in LIGHT}


@pytest.mark.parametrize("kind", LIGHT)
def test_the_example_does_what_it_says(beside: Path, kind: str) -> None:
    used(beside / kind, sys.executable, kind, PYTHONPATH=str(beside / "site"))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "command"])
def test_the_readme_has_every_parameter_with_its_default(kind: str, tmp_path: Path) -> None:
    """In both languages; read from the package's own params."""
    package = Package(kind, "sample", "Ann", "MIT", "en", 2031)
    scaffold.write(package.files(), tmp_path / "package")
    code = f"import {package.module} as m, attrs; print(*[f.name for f in attrs.fields(m.Params)])"
    done = ran(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(tmp_path / "package" / "src"))
    for language in ("en", "zh"):
        readme = Package(kind, "sample", "Ann", "MIT", language, 2031).files()["README.md"]
        rows = re.findall(r"^\| (`.*?`) \|", readme, re.M)
        assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == done.stdout.split()
        example = YAML(typ="safe", pure=True).load(re.search(r"```yaml\n(.*?)```", readme, re.S)[1])
        assert example


# ---------------------------------------------------------------- in an environment of its own


def sources() -> dict[str, Path]:
    """Folders of this repository's distributions, by name."""
    files = [ROOT / "core/pyproject.toml", ROOT / "analyzer/pyproject.toml", *ROOT.glob("plugins/*/*/pyproject.toml")]
    return {tomllib.loads(file.read_text(encoding="utf-8"))["project"]["name"]: file.parent for file in files}


def needs(requirements: list[str], extra: str = "") -> list[Requirement]:
    found = map(Requirement, requirements)
    return [need for need in found if need.marker is None or need.marker.evaluate({"extra": extra})]


def closure(project: dict, ours: dict[str, Path]) -> tuple[set[str], set[str]]:
    """What `project` declares, to run and to be developed, with what that declares: ours, and third-party."""
    mine: set[str] = set()
    theirs: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = needs([*project["dependencies"], *project["optional-dependencies"]["dev"]])
    while waiting:
        need = waiting.pop()
        for extra in ("", *need.extras):
            if (need.name, extra) in seen:
                continue
            seen.add((need.name, extra))
            if need.name in ours:
                mine.add(need.name)
                declared = tomllib.loads((ours[need.name] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
                more = declared["optional-dependencies"][extra] if extra else declared["dependencies"]
                waiting += needs(more)
            else:
                theirs.add(need.name)
                waiting += needs(metadata.requires(need.name) or [], extra)
    return mine, theirs


def link(site: Path, names: set[str]) -> None:
    """Make the third-party distributions of this environment those of another, too."""
    for name in names:
        found = metadata.distribution(name)
        for top in {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (site / top).exists():
                (site / top).symlink_to(found.locate_file(top))


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    house = tmp_path_factory.mktemp("wheelhouse")
    ran(sys.executable, "-c", BUILD, house, *sources().values(), cwd=house)
    return house


@pytest.fixture(scope="module")
def report(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Lines that are printed when all kinds are done."""
    lines = ["", f"{'kind':<12}{'seconds to green':>18}{'tests':>8}{'distributions':>16}"]
    yield lines
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n".join(lines))


@pytest.mark.slow
def test_cores_wheel_holds_the_templates(wheelhouse: Path) -> None:
    (wheel,) = wheelhouse.glob("dougong-*.whl")
    folder = Path(scaffold.__file__).parent
    there = {f"dougong/scaffold/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*") if path.is_file()}
    with zipfile.ZipFile(wheel) as file:
        assert {name for name in there if "__pycache__" not in name} <= set(file.namelist())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_package_lives_alone(kind: str, tmp_path: Path, wheelhouse: Path, report: list[str]) -> None:
    """From the command to green: made, built, installed, listed, checked, tested, used."""
    start = time.perf_counter()
    ran(sys.executable, "-m", "dougong", "new", kind, "sample", "--author", "Ann", cwd=tmp_path)
    folder = tmp_path / f"dougong-{kind}-sample"
    dist = tmp_path / "dist"
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    ran(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", dist, ".", cwd=folder)

    venv.create(tmp_path / "env", symlinks=True)
    python = tmp_path / "env" / "bin" / "python"
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    mine, theirs = closure(project, sources())
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    link(site, theirs)
    index = ("--no-index", "--find-links", wheelhouse, "--find-links", dist)
    ran(*pip, "--python", python, "install", *index, f"dougong-{kind}-sample[dev]", cwd=tmp_path, PIP_NO_CACHE_DIR="1")

    rows = json.loads(ran(python, "-m", "dougong", "plugins", "--json", cwd=folder).stdout)
    assert {row["distribution"] for row in rows} <= {*mine, f"dougong-{kind}-sample"}
    assert ("sample" if kind == "command" else f"{kind}.sample") in {row["name"] for row in rows}
    used(folder, python, kind)
    done = ran(python, "-m", "pytest", cwd=folder)
    seconds = time.perf_counter() - start
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    report.append(f"{kind:<12}{seconds:>18.1f}{passed[1]:>8}{len(mine) + len(theirs) + 1:>16}")
