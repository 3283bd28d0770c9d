"""``dougong doctor``: what is missing on this machine, and how to get it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dougong.cli import doctor

_spec = importlib.util.spec_from_file_location("wheelhouse", Path(__file__).with_name("wheelhouse.py"))
wheelhouse = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wheelhouse)

Dougong = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def report(dougong: Dougong, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """``report(config)``: what doctor says of it, as JSON."""

    def run(config: str, **env: str) -> dict[str, Any]:
        (tmp_path / "c.yaml").write_text(config, encoding="utf-8")
        done = dougong("doctor", "c.yaml", "--json", **env)
        data = json.loads(done.stdout)
        assert done.returncode == (1 if data["problems"] else 0)
        return data

    return run


def install(site: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)


def told(items: list[dict[str, str]], word: str) -> list[str]:
    return [f"{item['what']}; {item['cure']}" for item in items if word in item["what"]]


def test_a_requirement_that_is_absent_or_wrong_is_named_with_its_cure(dougong: Dougong, tmp_path: Path) -> None:
    site, house = tmp_path / "site", tmp_path / "house"
    requires = ["acme-absent>=2", "acme-old>=2,<3"]
    install(site, wheelhouse.build(house, "acme-lines", "1.0", "chunker.lines", requires=requires))
    install(site, wheelhouse.build(house, "acme-old", "1.0", "chunker.old"))
    problems = json.loads(dougong("doctor", "--json", check=1).stdout)["problems"]
    assert told(problems, "acme-absent") == [
        'acme-lines 1.0 requires acme-absent, which is not installed; pip install "acme-absent"'
    ]
    (line,) = told(problems, "acme-old")
    assert line.startswith("acme-lines 1.0 has requirement acme-old<3,>=2, but you have acme-old 1.0")
    assert line.endswith('; pip install "acme-old<3,>=2"')


def test_what_others_lack_is_not_ours_to_report(dougong: Dougong, tmp_path: Path) -> None:
    info = tmp_path / "site" / "stranger-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\nRequires-Dist: nowhere\n")
    assert "nowhere" not in dougong("doctor").stdout


def test_a_config_lacks_variables_distributions_and_files(report: Callable[..., Any], tmp_path: Path) -> None:
    fields = "folder: Any = None\nfile: pathlib.Path = pathlib.Path('x')\nkey: Secret | None = None"
    install(tmp_path / "site", wheelhouse.build(tmp_path / "house", "acme-own", "1.0", "chunker.own", fields))
    module = tmp_path / "site" / "acme_own.py"
    module.write_text("import pathlib\nfrom dougong import Secret\n" + module.read_text())
    config = "a: {use: chunker.own, file: gone.txt, key: '${env:KEY_1}'}\nb: {use: chunker.qqqqq}\n"
    data = report(config, KEY_1="")
    assert told(data["problems"], "KEY_1") == ["environment variable KEY_1 is not set; set it"]
    assert told(data["problems"], "not installed:") == ["not installed: dougong-chunker-qqqqq; dougong sync c.yaml"]
    assert "c.yaml:2  b: no chunker 'qqqqq' is installed" in told(data["problems"], "c.yaml:2")[0]
    data = report(config.splitlines()[0], KEY_1="k")
    assert told(data["problems"], "c.yaml") == []
    assert told(data["notes"], "a.file") == ["a.file: gone.txt; is not there; the first run makes it, or it is missing"]


def test_what_stands_in_for_unset_variables_pleases_validators(report: Callable[..., Any], tmp_path: Path) -> None:
    """An address, a number, a switch and a text: all else of the config is checked."""
    fields = (
        "url: str = attrs.field(default='http://x', validator=attrs.validators.matches_re('https?://.+'))\n"
        "count: int = 3\nswitch: bool = False\ntext: str = ''"
    )
    install(tmp_path / "site", wheelhouse.build(tmp_path / "house", "acme-own", "1.0", "chunker.own", fields))
    unset = "url: '${env:V_URL}', count: '${env:V_COUNT}', switch: '${env:V_SWITCH}', text: 'x ${env:V_TEXT}'"
    problems = report(f"a: {{use: chunker.own, {unset}, taxt: 3}}")["problems"]
    assert len(told(problems, "is not set")) == 4
    (line,) = told(problems, "c.yaml")
    assert "a.taxt: unknown parameter; did you mean 'text'?" in line


def test_a_config_that_cannot_be_read_is_a_problem(report: Callable[..., Any]) -> None:
    assert told(report("a: [")["problems"], "not valid YAML")


def test_a_disk_that_is_full_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "ROOM", 1e30)
    assert all("GB free" in problem["what"] and problem["cure"] for problem in doctor._disk(tmp_path))
    assert len(doctor._disk(tmp_path)) == 2
    monkeypatch.setattr(doctor, "ROOM", 0.0)
    assert doctor._disk(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor.os, "access", lambda *arguments: False)
    first, _ = doctor._disk(tmp_path)
    assert first["what"] == f"{tmp_path / '.dougong'} cannot be written"


@pytest.mark.parametrize(
    ("version", "gpu", "told"),
    [
        ("cuda: Optional[str] = None", True, "torch is a build without CUDA, and there is a GPU"),
        ("cuda: Optional[str] = '12.8'", True, ""),
        ("cuda: Optional[str] = '12.8'", False, "no NVIDIA GPU; torch computes on the CPU"),
        ("cuda: Optional[str] = None", False, "no NVIDIA GPU; torch computes on the CPU"),
    ],
)
def test_what_torch_can_use_is_told_without_importing_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, gpu: bool, told: str
) -> None:
    (tmp_path / "version.py").write_text(f"debug = False\n{version}\n")
    monkeypatch.setattr(doctor, "find_spec", lambda name: type("Spec", (), {"origin": str(tmp_path / "__init__.py")}))
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "there" if gpu or name == "cc" else None)
    assert "".join(note["what"] for note in doctor._devices()) == told
