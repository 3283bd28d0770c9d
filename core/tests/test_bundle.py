"""``dougong bundle``: one archive, with what a config needs and nothing else, from which a bare machine answers."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dougong
import pytest
from dougong.cli import bundle, bundle_run

_spec = importlib.util.spec_from_file_location("wheelhouse", Path(__file__).with_name("wheelhouse.py"))
wheelhouse = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wheelhouse)

PLUGIN = '''
import attrs
from pathlib import Path
from dougong import Answer, Pattern, Retriever, Secret, Technique, hookimpl

@attrs.frozen
class Params:
    """words: a file; folders: sources; store: made by a first run; key: a secret."""
    words: Path
    folders: list[Path] = attrs.field(factory=list)
    store: Path = Path(".dougong/store")
    key: Secret | None = None
    of: list[Pattern] = attrs.field(factory=list)

class Shout:
    def __init__(self, params): self.params = params
    def run(self, task, run): return Answer(f"{task} {self.params.words.read_text(encoding='utf-8')}")

@hookimpl
def dougong_patterns():
    return [Technique("shout", Params, "MODULE:Shout", "Shouts.", "none")]
'''
CONFIG = "main: {use: pattern.shout, words: data/words.txt, folders: [data, ../outside], key: '${env:SHOUT_KEY}'}\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a config, a local plugin, a file and folders that it names, and things that it does not."""
    place = tmp_path / "place"
    (place / "data" / ".git").mkdir(parents=True)
    (place / "data" / "words.txt").write_text("斗拱\n", encoding="utf-8")
    (place / "data" / "more.md").write_text("# more\n")
    (place / "data" / ".git" / "config").write_text("hidden")
    (place / "data" / "link.txt").symlink_to(place / "c.yaml")
    (place / "secrets.txt").write_text("not named")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "far.txt").write_text("far")
    (place / "plugin.py").write_text(PLUGIN.replace("MODULE", "dougong_local_plugin"))
    (place / "c.yaml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(place)
    monkeypatch.setenv("SHOUT_KEY", "sk-never-to-be-seen")
    return place


def files(place: Path, library: bool, config: str = CONFIG) -> tuple[list[str], list[tuple[str, str]]]:
    (place / "c.yaml").write_text(config, encoding="utf-8")
    document = dougong.load("c.yaml", plugins=["plugin.py"]).document
    found, left_out = bundle._files(Path("c.yaml"), document, library)
    return [path.as_posix() for path in found], left_out


# ---------------------------------------------------------------- what goes in


def test_files_go_in_and_folders_where_asked(place: Path) -> None:
    found, left_out = files(place, False)
    assert found == ["data/words.txt"]
    assert left_out == [
        (f"main.folders: {name}", "a folder; --library takes it along") for name in ("../outside", "data")
    ]
    found, left_out = files(place, True)
    assert found == ["../outside/far.txt", "data/more.md", "data/words.txt"]
    assert left_out == []


def test_an_absolute_path_stays_behind_and_is_told_of(place: Path) -> None:
    found, left_out = files(place, True, CONFIG.replace("data/words.txt", str(place / "secrets.txt")))
    assert "secrets.txt" not in found
    message = "an absolute path; write it relative to the config"
    assert left_out == [(f"main.words: {place / 'secrets.txt'}", message)]


def test_a_technique_that_takes_whatever_is_installed_is_told_of(place: Path) -> None:
    told = list(bundle._open(dougong.load("c.yaml", plugins=["plugin.py"])))
    assert told == [("main.of", "it is empty; name in the config what belongs there")]


def test_the_same_members_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    first, second = tmp_path / "one" / "x.zip", tmp_path / "two" / "x.zip"
    for output, members in ((first, ["b", "a.txt"]), (second, ["a.txt", "b"])):
        output.parent.mkdir()
        bundle._write(output, {name: tmp_path / "a.txt" if name == "a.txt" else "text" for name in members})
        os.utime(tmp_path / "a.txt", (1, 1))
    assert first.read_bytes() == second.read_bytes()
    assert zipfile.ZipFile(first).namelist() == ["x/a.txt", "x/b"]


def test_a_failure_leaves_the_archive_of_last_time(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_text("last time")
    with pytest.raises(FileNotFoundError):
        bundle._write(tmp_path / "x.zip", {"a": tmp_path / "gone"})
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]
    assert (tmp_path / "x.zip").read_text() == "last time"


@pytest.mark.parametrize(
    ("tags", "exact", "bound"),
    [
        (["py3-none-any"], False, False),
        (["py3-none-any", "cp39-abi3-manylinux_2_17_x86_64"], False, True),
        (["py3-none-any", "cp311-cp311-manylinux_2_28_x86_64"], True, True),
        (["py2.py3-none-any", "py3-none-manylinux1_x86_64"], False, True),
    ],
)
def test_the_wheels_say_which_machines_it_is_for(tags: list[str], exact: bool, bound: bool) -> None:
    facts = bundle._platform([Path(f"a_b-1.0-{tag}.whl") for tag in tags])
    assert facts["exact"] is exact
    assert facts["platform"] == (sysconfig.get_platform() if bound else "")


# ---------------------------------------------------------------- its run.py


GOOD: dict[str, Any] = {"python": "3.8", "exact": False, "platform": "", "environment": [], "for": ""}


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"python": "3.99"}, "this archive needs Python 3.99 or newer, this is 3."),
        ({"python": "3.8", "exact": True}, "this archive needs Python 3.8, this is 3."),
        ({"platform": "plan9-vax"}, "this archive was made for plan9-vax, this machine is "),
        ({"environment": ["NOT_THERE_1"]}, "environment variables are not set: NOT_THERE_1; set them"),
    ],
)
def test_a_machine_that_does_not_fit_is_told_why(
    facts: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle_run.check(GOOD)
    with pytest.raises(SystemExit) as end:
        bundle_run.check({**GOOD, **facts})
    assert end.value.code == 1
    assert f"error: {message}" in capsys.readouterr().err
    monkeypatch.setenv("DOUGONG_LANG", "zh")
    with pytest.raises(SystemExit):
        bundle_run.check({**GOOD, **facts})
    assert "错误：" in capsys.readouterr().err


def test_a_python_without_venv_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements.txt").write_text("")
    monkeypatch.setattr(bundle_run, "HERE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SystemExit):
        bundle_run.install()
    assert "apt install python3-venv" in capsys.readouterr().err


# ---------------------------------------------------------------- the command


def test_what_is_not_installed_is_named_with_the_cure(dougong: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("main: {use: pattern.nowhere}")
    assert "no pattern 'nowhere' is installed" in dougong("bundle", "c.yaml", check=2).stderr
    assert not (tmp_path / "c.zip").exists()


def test_a_stale_lock_stops_it(dougong: Callable[..., Any], place: Path) -> None:
    (place / "c.yaml.lock").write_text('{"config": "0", "distributions": {}}')
    done = subprocess.run([sys.executable, "-m", "dougong", "bundle", "c.yaml", "--plugin", "plugin.py"],
                          capture_output=True, text=True, env={**os.environ, "DOUGONG_LANG": "en"})  # fmt: skip
    assert done.returncode == 2
    assert "has changed since it was locked" in done.stderr


@pytest.mark.slow
def test_a_bare_machine_without_network_answers_with_one_command(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A config with a local plugin and an installed one; the other side has nothing of this environment.

    There it runs in a network namespace of its own, with no interface but an unconfigured loopback; where the system
    forbids making one, with proxies that nothing listens on.
    """
    house = tmp_path / "house"
    for name in (
        "pluggy",
        "attrs",
        "click",
        "ruamel.yaml",
        "rich",
        "markdown-it-py",
        "mdurl",
        "Pygments",
        "platformdirs",
    ):
        wheelhouse.pack(house, name)
    wheelhouse.build(house, "acme-lines", "1.0", "chunker.lines")
    wheelhouse.build(house, "acme-unneeded", "1.0", "chunker.unneeded")
    python = wheelhouse.environment(tmp_path / "env", ["dougong", "pip", "hatchling", "rank-bm25"])
    offline = ["--no-index", "--find-links", str(house)]
    subprocess.run([python, "-m", "pip", "install", "-q", *offline, "acme-lines", "acme-unneeded"], check=True)
    (place / "c.yaml").write_text(CONFIG + "cut: {use: chunker.lines}\n", encoding="utf-8")

    def pack(folder: str) -> Path:
        output = tmp_path / folder / "c.zip"
        output.parent.mkdir()
        command = [python, "-m", "dougong", "bundle", "c.yaml", "--library", "--plugin", "plugin.py", "-o", output]
        done = subprocess.run([*command, "--", *offline], capture_output=True, text=True,
                              env={"PATH": os.environ["PATH"], "DOUGONG_LANG": "en"})  # fmt: skip
        assert done.returncode == 0, done.stderr
        return output

    first, second = pack("one"), pack("two")
    assert first.read_bytes() == second.read_bytes()

    other = tmp_path / "other"
    with zipfile.ZipFile(first) as archive:
        names = archive.namelist()
        assert not any(b"sk-never-to-be-seen" in archive.read(name) for name in names)
        archive.extractall(other)
    wheels = {name.rpartition("/")[2].split("-")[0] for name in names if name.endswith(".whl")}
    core = {"pluggy", "attrs", "click", "ruamel_yaml", "rich", "markdown_it_py", "mdurl", "pygments", "platformdirs"}
    assert {name.lower().replace(".", "_") for name in wheels} == {"dougong", "acme_lines", *core}
    assert "c/config/place/c.yaml" in names
    assert "c/config/outside/far.txt" in names
    assert not [name for name in names if "secrets" in name or ".git" in name or "link" in name]

    unshare = ["unshare", "-rn"] if shutil.which("unshare") else []
    if unshare and subprocess.run([*unshare, "true"], capture_output=True).returncode:
        unshare = []
    nobody = "http://127.0.0.1:9"
    env = {"PATH": "/usr/bin:/bin", "SHOUT_KEY": "k", "LANG": "C.UTF-8", "http_proxy": nobody, "https_proxy": nobody}
    for _ in range(2):
        bare = Path(sys.base_prefix, "bin", "python3")
        done = subprocess.run([*unshare, bare, other / "c" / "run.py", "你好"], env=env, capture_output=True,
                              encoding="utf-8", cwd=tmp_path)  # fmt: skip
        assert done.stdout == "你好 斗拱\n\n", done.stderr
    del env["SHOUT_KEY"]
    done = subprocess.run([bare, other / "c" / "run.py", "x"], env=env, capture_output=True, text=True)
    assert "environment variables are not set: SHOUT_KEY" in done.stderr

    lock = json.loads((other / "c" / "config" / "place" / "c.yaml.lock").read_text())
    site = next((other / "c" / ".venv").glob("lib/python*/site-packages"))
    there = {path.name.split("-")[0].lower().replace(".", "-").replace("_", "-") for path in site.glob("*.dist-info")}
    assert there - {"pip", "setuptools", "wheel"} == set(lock["distributions"])
    wheel = next((other / "c" / "wheels").glob("acme_lines*"))
    wheel.write_bytes(wheel.read_bytes()[:-1] + b"x")
    shutil.rmtree(other / "c" / ".venv")
    done = subprocess.run(
        [bare, other / "c" / "run.py", "x"], env={**env, "SHOUT_KEY": "k"}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "the archive is damaged" in done.stderr
