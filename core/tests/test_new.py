"""``dougong new``: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import ast
import os
import pty
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from dougong import scaffold
from dougong.cli import cli
from dougong.hookspecs import DECLARING
from dougong.scaffold import KINDS, LICENSES, LONGEST, Package
from ruamel.yaml import YAML

Dougong = Callable[..., subprocess.CompletedProcess[str]]
LONG = "a-name-with-hyphens-and-as-long-as-can-be"[: LONGEST - 1] + "x"
ANN = """Ann "N." O'Neill \\ 安"""


def package(kind: str, name: str = "sample", language: str = "en", license: str = "MIT", author: str = ANN) -> Package:
    return Package(kind, name, author, license, language, 2031)


def written(folder: Path, *packages: Package) -> Path:
    for each in packages:
        scaffold.write(each.files(), folder / each.distribution)
    return folder


# ---------------------------------------------------------------- what is written


def test_there_is_a_start_for_every_kind_and_for_commands() -> None:
    assert set(KINDS) == {*DECLARING, "command"}


@pytest.mark.parametrize("name", ["x", "rate-limit2", LONG])
def test_code_is_as_ruff_wants_it_whatever_the_name(tmp_path: Path, name: str) -> None:
    """By the settings of the package itself: lint and format."""
    written(tmp_path, *(package(kind, name) for kind in KINDS))
    for command in (["check"], ["format", "--diff"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "."], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_package_is_whole(kind: str, language: str) -> None:
    made = package(kind, "rate-limit", language)
    files = made.files()
    assert set(files) >= {"README.md", "example.yaml", "pyproject.toml", "LICENSE", ".gitignore"}
    assert f"tests/test_{kind}.py" in files
    assert ("tests/test_conformance.py" in files) == (kind != "command")
    for name, text in files.items():
        assert text.endswith("\n"), name
        assert not text.endswith("\n\n"), name
        assert "TODO" not in text, name
        unfilled = re.findall(r"\$\w+", text.replace("${{", ""))
        assert not unfilled, (name, unfilled)
        assert [line for line in text.splitlines() if line != line.rstrip()] == [], name
        if name.endswith(".py"):
            ast.parse(text)


@pytest.mark.parametrize("kind", KINDS)
def test_the_project_file_says_who_what_and_under_which_licence(kind: str) -> None:
    made = package(kind)
    files = made.files()
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert project["name"] == f"dougong-{kind}-sample"
    assert project["authors"] == [{"name": ANN}]
    assert project["license"] == "MIT"
    assert "dougong>=0.1" in project["dependencies"]
    assert not [need for need in project["dependencies"] if need.startswith("dougong") and "<" in need]
    points = project["entry-points"]
    if kind == "command":
        assert points == {"dougong.commands.v1": {"sample": "dougong_command_sample:command"}}
    else:
        assert points == {"dougong.v1": {f"{kind}.sample": f"dougong_{kind}_sample"}}


@pytest.mark.parametrize("license", LICENSES)
def test_the_licence_is_whole_and_names_year_and_author(license: str) -> None:
    text = package("tool", license=license).files()["LICENSE"]
    assert re.search(rf"Copyright (\(c\) )?2031,? {re.escape(ANN)}\n", text)
    assert {"MIT": "WITHOUT WARRANTY OF ANY KIND", "BSD-3-Clause": "Neither the name of", "Apache-2.0": "Contribution"}[
        license
    ] in text


@pytest.mark.parametrize("kind", KINDS)
def test_the_workflow_tests_builds_and_releases(kind: str) -> None:
    workflow = YAML(typ="safe", pure=True).load(package(kind).files()[".github/workflows/ci.yml"])
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    steps = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    assert {'pip install -e ".[dev]"', "pytest", "dougong check example.yaml", "pipx run build"} <= set(steps)
    setup = next(step for step in workflow["jobs"]["test"]["steps"] if "setup-python" in step.get("uses", ""))
    assert setup["with"]["python-version"] == "${{ matrix.python }}"
    assert workflow["jobs"]["publish"]["if"] == "startsWith(github.ref, 'refs/tags/v')"
    assert ("env" in workflow) == ("torch" in package(kind).files()["pyproject.toml"] or kind in ("network", "cache"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_readme_shows_the_example_and_is_in_two_languages(kind: str) -> None:
    for language in ("en", "zh"):
        files = package(kind, language=language).files()
        assert f"```yaml\n{files['example.yaml']}```" in files["README.md"]
        assert bool(re.search("[一-鿿]{4}", files["README.md"].partition("```")[0])) == (language == "zh")
    english, chinese = (package(kind, language=language).files()["README.md"] for language in ("en", "zh"))
    for pattern in (r"^\| `.*?` \|", r"^#+", r"^```\w*", r"https://\S+?(?=\))"):
        assert len(re.findall(pattern, english, re.M)) == len(re.findall(pattern, chinese, re.M)), pattern


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """A file that stands where a folder must be, half-way through."""
    with pytest.raises(OSError, match="a"):
        scaffold.write({"a": "1", "a/b": "2"}, tmp_path / "made")
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_as_open_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "usual").mkdir()
    scaffold.write({"a": "1"}, tmp_path / "made")
    assert (tmp_path / "made").stat().st_mode == (tmp_path / "usual").stat().st_mode


# ---------------------------------------------------------------- the command


def test_it_writes_one_folder_and_says_what_to_do(dougong: Dougong, tmp_path: Path) -> None:
    done = dougong("new", "chunker", "paragraphs", "--author", "Ann", "--license", "mit", check=0)
    assert [path.name for path in tmp_path.iterdir()] == ["dougong-chunker-paragraphs"]
    folder = tmp_path / "dougong-chunker-paragraphs"
    first, *lines = done.stdout.splitlines()
    assert first == "made dougong-chunker-paragraphs/"
    told = [line.split()[0] for line in lines[: lines.index("")]]
    assert sorted(told) == sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert lines[-4:] == ["next:", "  cd dougong-chunker-paragraphs", '  pip install -e ".[dev]"', "  pytest"]
    assert (folder / "LICENSE").read_text().startswith("MIT License\n\nCopyright (c) ")
    assert (folder / "README.md").read_text().startswith("# dougong-chunker-paragraphs\n\nChunks of")


def test_it_speaks_and_writes_chinese(dougong: Dougong, tmp_path: Path) -> None:
    done = dougong("new", "tool", "count", "--author", "安", "--into", ".", check=0, DOUGONG_LANG="zh")
    assert done.stdout.startswith("已创建 dougong-tool-count/")
    assert "工具插件" in (tmp_path / "dougong-tool-count" / "README.md").read_text("utf-8")
    dougong("new", "tool", "sum", "--author", "安", "--lang", "en", check=0, DOUGONG_LANG="zh")
    assert "A tool for" in (tmp_path / "dougong-tool-sum" / "README.md").read_text("utf-8")


def test_the_author_is_gits_unless_said(dougong: Dougong, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("[user]\n\tname = 李诫\n", encoding="utf-8")
    dougong("new", "tool", "count", check=0, GIT_CONFIG_GLOBAL=str(config), GIT_CONFIG_NOSYSTEM="1")
    assert "李诫" in (tmp_path / "dougong-tool-count" / "LICENSE").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "missing argument KIND"),
        (["tool"], "missing argument NAME"),
        (["chunkers", "x"], "there is no kind 'chunkers'; did you mean 'chunker'?"),
        (["zebra", "x"], "there is no kind 'zebra'; there are block, network"),
        (["tool", "MyTool"], "'MyTool' cannot be a name"),
        (["tool", "MyTool"], "; did you mean 'my-tool'?"),
        (["tool", "my_tool"], "did you mean 'my-tool'?"),
        (["tool", "3d"], "did you mean 'd'?"),
        (["tool", "字数"], "'字数' cannot be a name"),
        (["tool", "a--b"], "did you mean 'a-b'?"),
        (["tool", "-a"], "No such option"),
        (["tool", "true"], "'true' cannot be a name"),
        (["tool", "a/../b"], "'a/../b' cannot be a name"),
        (["tool", ""], "'' cannot be a name"),
        (["tool", "x" * (LONGEST + 1)], f"up to {LONGEST} lower-case letters"),
        (["tool", "tool-x"], "'tool-x' says its kind, which the package's name says already; did you mean 'x'?"),
        (["tool", "dougong-tool-x"], "did you mean 'x'?"),
        (["command", "run"], "'run' is a command of dougong's own"),
        (["chunker", "fixed"], "declares chunker.fixed already; choose another name"),
        (
            ["tool", "x", "--license", "GPL-3.0"],
            "there is no licence 'GPL-3.0'; there are Apache-2.0, MIT, BSD-3-Clause",
        ),
        (["tool", "x", "--lang", "fr"], "there is no language 'fr'; there are en, zh"),
        (["tool", "x", "--author", "a\nb"], "the author must be a name on one line"),
        (["tool", "x", "--author", " "], "the author must be a name on one line"),
        (["tool", "x", "--into", "nowhere"], "there is no folder nowhere; make it first"),
        (["tool", "x", "--into", "file"], "there is no folder file; make it first"),
        (["tool", "taken"], "dougong-tool-taken is there already; choose another name, or move it away"),
        (["tool", "x", "y"], "unexpected extra argument"),
    ],
)
def test_a_mistake_is_explained_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "dougong-tool-taken").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    done = CliRunner().invoke(cli, ["new", *arguments, *([] if "--author" in arguments else ["--author", "Ann"])])
    assert message in done.output
    assert (done.exit_code, done.stdout) == (2, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_without_an_author_the_option_is_named(dougong: Dougong, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    done = dougong("new", "tool", "x", check=2, GIT_CONFIG_GLOBAL=str(tmp_path / "empty"), GIT_CONFIG_NOSYSTEM="1")
    assert "no author is known, and the licence needs one; give --author 'Your Name'" in done.stderr


def test_a_folder_that_cannot_be_written_is_named(dougong: Dougong, tmp_path: Path) -> None:
    if os.geteuid() == 0:  # who is above permissions meets what no one can write
        done = dougong("new", "tool", "x", "--author", "Ann", "--into", "/proc", check=1)
        assert done.stderr.startswith("error: /proc/dougong-tool-x: ")
        return
    (tmp_path / "closed").mkdir(mode=0o500)
    done = dougong("new", "tool", "x", "--author", "Ann", "--into", "closed", check=1)
    assert "closed/dougong-tool-x: Permission denied" in done.stderr


def test_on_a_terminal_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    """Kind, name, licence and author; an empty answer takes the default."""
    (tmp_path / "empty").write_text("")
    pid, terminal = pty.fork()
    if pid == 0:  # the child is the command
        os.chdir(tmp_path)
        env = {**os.environ, "DOUGONG_LANG": "en", "GIT_CONFIG_GLOBAL": "empty", "GIT_CONFIG_NOSYSTEM": "1"}
        os.execve(sys.executable, [sys.executable, "-m", "dougong", "new"], env)
    seen = ""
    for question, answer in (
        ("Kind (", "llm"),
        ("such as my-llm", "parrot"),
        ("Licence [Apache", ""),
        ("Author", "安"),
    ):
        while question not in seen:
            seen += os.read(terminal, 4096).decode()
        seen = ""
        os.write(terminal, f"{answer}\n".encode())
    try:
        while piece := os.read(terminal, 4096):
            seen += piece.decode()
    except OSError:  # how Linux says that the other end is closed
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, seen
    assert "made dougong-llm-parrot/" in seen
    assert "Apache License" in (tmp_path / "dougong-llm-parrot" / "LICENSE").read_text("utf-8")
