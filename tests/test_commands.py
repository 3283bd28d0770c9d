"""The command line: help in two languages, JSON, exit codes, and no traceback whatever the user does."""

# ruff: noqa: E501 -- a case is a line

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

FAKES = str(Path(__file__).parents[1] / "core" / "tests" / "fakes.py")
COMMANDS = ("ask", "index", "run", "check", "show", "plugins", "new", "sync", "bundle", "lock", "schema", "doctor")
TEXT = """\
main: {use: pattern.ask, llm: {use: echo, key: "${env:KEY}", reply: 好的}, retriever: {ref: lib}, tools: [{use: adder}]}
lib: {use: retriever.joined, of: [{use: flat, texts: [斗拱, "a ${b}"]}, {ref: end}]}
end: {use: retriever.named, of: {one: {use: flat}, 二: {use: held, chunker: {use: cut, folder: data, most: "${net.depth}"}}}}
net: {use: network.stack, layer: {use: layer, mark: "x${lib.k}"}, router: {use: routed}}
middleware: [{use: mark, mark: m}]
""".replace('"a ${b}"', '"a $${b}"')
SECRET = "sk-not-to-be-seen"

Dougong = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def dougong(tmp_path: Path) -> Dougong:
    (tmp_path / "c.yaml").write_text(TEXT, encoding="utf-8")

    def run(*arguments: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "dougong", *arguments],
            cwd=tmp_path,
            env={**os.environ, "DOUGONG_LANG": "en", "KEY": SECRET, "COLUMNS": "100", **env},
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        assert SECRET not in done.stdout + done.stderr
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


# ---------------------------------------------------------------- help


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_help_lists_every_command(dougong: Dougong, arguments: list[str]) -> None:
    out = dougong(*arguments).stdout
    for name in COMMANDS:
        assert re.search(rf"^  {name} +\w", out, re.MULTILINE)


@pytest.mark.parametrize(
    "env", [{"DOUGONG_LANG": "zh"}, {"DOUGONG_LANG": "", "LC_ALL": "", "LC_MESSAGES": "", "LANG": "zh_CN.UTF-8"}]
)
def test_help_is_chinese_where_the_user_is(dougong: Dougong, env: dict[str, str]) -> None:
    for arguments in [["--help"], *([name, "--help"] for name in COMMANDS)]:
        out = dougong(*arguments, **env).stdout
        assert out.startswith("用法：dougong")
        assert "选项" in out
        assert "显示本帮助并退出。" in out
        no_words = rf"--?[\w-]+|'[^']*'|[A-Z]+(=[A-Z]+)?|\b(dougong|{'|'.join(COMMANDS)})\b"
        for line in re.sub(no_words, "", out).splitlines()[1:]:
            assert not re.search(r"[a-z]{4,} [a-z]{3,}", line), line


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(dougong: Dougong, name: str) -> None:
    out = dougong(name, "--help").stdout
    assert out.startswith(f"Usage: dougong {name} ")
    assert "Options:" in out


def test_version(dougong: Dougong) -> None:
    assert re.fullmatch(r"dougong \d+\.\d+\.\d+\S*\n", dougong("--version").stdout)


# ---------------------------------------------------------------- the user's mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chek", "c.yaml"], "there is no command 'chek'; did you mean 'check'?"),
        (["nothing-like-it"], "there is no command 'nothing-like-it'"),
        (["--nope"], "there is no option --nope"),
        (["check"], "missing argument CONFIG"),
        (["ask", "."], "missing argument QUESTION"),
        (["check", "c.yaml", "d.yaml"], "extra argument"),
        (["check", "c.yaml", "--nope"], "there is no option --nope"),
        (["check", "c.yaml", "--jsno"], "did you mean '--json'?"),
        (["check", "c.yaml", "--set"], "--set"),
        (["check", "c.yaml", "--locked=3"], "--locked"),
        (["check", "no.yaml"], "no.yaml: cannot read the config"),
        (["check", ""], "cannot read the config"),
        (["check", "c.yaml", "--plugin", "no.py"], "there is no such Python file"),
        (["check", "c.yaml", "--plugin", "."], "there is no such Python file"),
        (["check", "c.yaml"], "no pattern 'ask' is installed"),
        (["show", "c.yaml", "--locked", "--plugin", FAKES], "cannot read the lock file"),
        (["run", "c.yaml", " ", "--plugin", FAKES], "the task is empty"),
        (["index", "c.yaml", "--plugin", FAKES], "there is no library to index"),
        (["plugins", "chunker.nope"], "no chunker 'nope' is installed"),
        (["plugins", "nope.nope"], "no kind is called 'nope'"),
    ],
)
def test_a_mistake_is_explained(dougong: Dougong, arguments: list[str], message: str) -> None:
    done = dougong(*arguments, code=2)
    assert message in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ask", "nowhere", "why?"], "there is no such file or folder"),
        (["schema", "-o", "nowhere/x.json"], "No such file or directory"),
        (["schema", "-o", "."], "Is a directory"),
    ],
)
def test_what_fails_for_want_of_a_file_says_which(dougong: Dougong, arguments: list[str], message: str) -> None:
    done = dougong(*arguments, code=1)
    assert message in done.stderr
    assert arguments[-1 if arguments[0] == "schema" else 1] in done.stderr
    assert "internal error" not in done.stderr


def test_a_technique_that_fails_to_build_is_exit_code_1(dougong: Dougong, tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(
        "main: {use: pattern.ask, llm: {use: echo}, retriever: {use: flat, chunker: {use: fail}}}"
    )
    done = dougong("run", "f.yaml", "x", "--plugin", FAKES, code=1)
    assert "f.yaml:1  main.retriever.chunker: cannot be built: RuntimeError: no luck" in done.stderr


# ---------------------------------------------------------------- run, check


def test_run_prints_the_answer_and_json(dougong: Dougong) -> None:
    assert dougong("run", "c.yaml", "拱", "--plugin", FAKES).stdout == "<m好的m> (1)\n"
    data = json.loads(dougong("run", "c.yaml", "拱", "--plugin", FAKES, "--json").stdout)
    assert data["text"] == "<m好的m> (1)"
    assert data["status"] == "answered"
    assert data["usage"]["model_calls"] == 1
    assert data["usage"]["tool_calls"] == 1
    assert data["citations"] == []


def test_check_counts_techniques(dougong: Dougong) -> None:
    assert "right; techniques: 15" in dougong("check", "c.yaml", "--plugin", FAKES).stdout
    data = json.loads(dougong("check", "c.yaml", "--plugin", FAKES, "--json").stdout)
    assert data == {"ok": True, "techniques": 15, "problems": []}


# ---------------------------------------------------------------- show


def test_show_draws_a_tree(dougong: Dougong) -> None:
    lines = dougong("show", "c.yaml", "--plugin", FAKES).stdout.splitlines()
    assert lines[0] == f"main: pattern.ask  ({FAKES})"
    assert "  retriever -> lib" in lines
    assert "  of.one: retriever.flat" in " ".join(lines)
    assert "      most = 3" in lines
    assert f"middleware[0]: middleware.mark  ({FAKES})" in lines


def test_what_show_resolves_is_a_config_that_resolves_to_itself(dougong: Dougong, tmp_path: Path) -> None:
    first = dougong("show", "c.yaml", "--resolved", "--plugin", FAKES).stdout
    assert "${env:KEY}" in first
    assert "folder: data" in first
    (tmp_path / "again.yaml").write_text(first, encoding="utf-8")
    assert dougong("show", "again.yaml", "--resolved", "--plugin", FAKES).stdout == first
    assert dougong("run", "again.yaml", "拱", "--plugin", FAKES).stdout == "<m好的m> (1)\n"
    as_json = json.loads(dougong("show", "c.yaml", "--json", "--plugin", FAKES).stdout)
    assert as_json["lib"]["of"][0]["texts"] == ["斗拱", "a $${b}"]
    (tmp_path / "again.json").write_text(json.dumps(as_json))
    assert dougong("show", "again.json", "--resolved", "--plugin", FAKES).stdout == first


def test_what_show_resolves_means_the_same_from_another_folder(dougong: Dougong, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.yaml").write_text(
        "a: {use: chunker.cut, folder: data}\nb: {use: chunker.cut, folder: '${a.folder}/x'}"
    )
    out = dougong("show", "sub/c.yaml", "--json", "--plugin", FAKES, "--set", "a.label=z").stdout
    data = json.loads(out)
    assert (data["a"]["folder"], data["b"]["folder"]) == ("data", "data/x")


def test_show_draws_a_graph_that_mermaid_takes(dougong: Dougong) -> None:
    """Node and edge lines only, ids that are no reserved words, every end of an edge declared, every technique drawn."""
    first, *lines = dougong("show", "c.yaml", "--graph", "--plugin", FAKES).stdout.splitlines()
    assert first == "graph TD"
    nodes: dict[str, str] = {}
    edges: list[tuple[str, ...]] = []
    for line in lines:
        node = re.fullmatch(r'  (n\d+)\["([^"\]]+)"\]', line)
        edge = re.fullmatch(r'  (n\d+) -->\|"([^"|]+)"\| (n\d+)', line)
        assert node or edge, line
        if node:
            assert node[1] not in nodes
            nodes[node[1]] = node[2]
        elif edge:
            edges.append(edge.groups())
    assert {end for one, _, two in edges for end in (one, two)} <= set(nodes)
    named = [(nodes[one], label, nodes[two]) for one, label, two in edges]
    assert ("main: pattern.ask", "retriever", "lib: retriever.joined") in named
    assert ("lib: retriever.joined", "of[1]", "end: retriever.named") in named
    assert ("end: retriever.named", "of.二", "retriever.held") in named
    assert ("middleware", "middleware[0]", "middleware.mark") in named
    assert len(nodes) == 15 + 1  # and the list of middleware


# ---------------------------------------------------------------- lock


def test_lock_writes_and_locked_verifies(dougong: Dougong, tmp_path: Path) -> None:
    done = dougong("lock", "c.yaml", "--plugin", FAKES)
    assert done.stdout.startswith("c.yaml.lock: ")
    text = (tmp_path / "c.yaml.lock").read_text()
    assert SECRET not in text
    for command in (["check"], ["show"], ["lock"], ["run"]):
        dougong(*command, "c.yaml", *(["拱"] if command == ["run"] else []), "--locked", "--plugin", FAKES, KEY="other")
    assert (tmp_path / "c.yaml.lock").read_text() == text
    done = dougong("check", "c.yaml", "--locked", "--plugin", FAKES, "--set", "lib.k=3", code=2)
    assert "the config has changed since it was locked; dougong lock c.yaml" in done.stderr


# ---------------------------------------------------------------- schema


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The schema with the fakes installed as a distribution."""
    site = tmp_path_factory.mktemp("site")
    info = site / "fakes-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fakes\nVersion: 1.0\n")
    names = "tokenizer.letters chunker.cut chunker.fail chunker.lost embedder.unit retriever.flat retriever.held retriever.joined "
    names += "retriever.named retriever.keeper retriever.rewrite retriever.endless llm.echo tool.adder pattern.ask block.layer "
    names += "block.routed network.stack middleware.mark"
    points = "\n".join(f"{name} = dougong_fakes" for name in names.split())
    (info / "entry_points.txt").write_text(f"[dougong.v1]\n{points}\n")
    (site / "dougong_fakes.py").write_text(Path(FAKES).read_text(encoding="utf-8"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "dougong", "schema"],
        env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, encoding="utf-8", timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def plain(text: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)


GOOD = [
    TEXT,
    "a: {use: chunker.cut, ratio: 2, width: wide, pair: [1, x], limits: {low: 2}, tokenizer: null, size: '${b.size}'}",
    "a: {use: retriever.keeper, index: {use: retriever.held}}",
    "a: {use: llm.echo, key: '${env:KEY}'}",
]
WRONG = [
    "a: {use: chunker.nope}",
    "a: {use: chunker.cut, sise: 3}",
    "a: {use: chunker.cut, size: true}",
    "a: {use: chunker.cut, size: '3'}",
    "a: {use: chunker.cut, unit: pages}",
    "a: {use: chunker.cut, limits: {lo: 2}}",
    "a: {use: retriever.joined}",
    "a: {use: retriever.joined, of: {use: flat}}",
    "a: {use: retriever.flat, chunker: {use: echo}}",
    "a: {use: retriever.flat, chunker: cut}",
    "a: {size: 3}",
    "middleware: [{use: adder}]",
    "a: 3",
]


def test_the_schema_is_a_schema(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("text", GOOD)
def test_the_schema_takes_what_check_takes(schema: dict[str, Any], text: str) -> None:
    jsonschema.Draft202012Validator(schema).validate(plain(text))


@pytest.mark.parametrize("text", WRONG)
def test_the_schema_refuses_what_check_refuses(schema: dict[str, Any], text: str) -> None:
    assert not jsonschema.Draft202012Validator(schema).is_valid(plain(text))


def test_schema_writes_a_file(dougong: Dougong, tmp_path: Path) -> None:
    assert dougong("schema", "-o", "s.json").stdout == ""
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["title"]


# ---------------------------------------------------------------- plugins, doctor


def test_plugins_as_json(dougong: Dougong) -> None:
    for row in json.loads(dougong("plugins", "--json").stdout):
        assert set(row) == {"group", "name", "module", "distribution", "version", "state"}
    assert json.loads(dougong("plugins", "objective", "--json").stdout) == [
        row for row in json.loads(dougong("plugins", "--json").stdout) if row["name"].startswith("objective.")
    ]


def test_doctor_gives_facts(dougong: Dougong) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dougong", "doctor", "--json"], capture_output=True, encoding="utf-8", timeout=60
    )
    assert done.returncode in (0, 1)
    data = json.loads(done.stdout)
    assert {"dougong", "python", "platform", "sqlite", "encoding", "terminal", "plugins", "problems"} == set(data)
    assert (done.returncode == 0) == (not data["problems"])


# ---------------------------------------------------------------- terminals, pipes, Ctrl-C


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gbk", "utf-8"])
def test_a_terminal_without_utf_8_gets_what_it_can_show(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "c.yaml").write_text("main: {use: pattern.ask, llm: {use: echo, reply: 斗拱😀é}}", encoding="utf-8")
    env = {**os.environ, "DOUGONG_LANG": "zh", "PYTHONIOENCODING": encoding}
    for arguments in (["--help"], ["check", "nö.yaml"], ["run", "c.yaml", "x", "--plugin", FAKES], ["doctor"]):
        done = subprocess.run(
            [sys.executable, "-m", "dougong", *arguments], cwd=tmp_path, env=env, capture_output=True, timeout=60
        )
        assert b"Traceback" not in done.stderr
        assert done.stdout + done.stderr
        assert done.returncode in ((2,) if "nö.yaml" in arguments else (0, 1) if "doctor" in arguments else (0,))
    done = subprocess.run(
        [sys.executable, "-m", "dougong", "run", "c.yaml", "x", "--plugin", FAKES, "--json"],
        cwd=tmp_path, env=env, capture_output=True, timeout=60,
    )  # fmt: skip
    assert json.loads(done.stdout.decode(encoding))["text"] == "斗拱😀é (0)"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["plugins"], ["schema"], ["show", "c.yaml", "--resolved", "--plugin", FAKES]]
)
def test_a_reader_that_has_gone_is_no_error(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "c.yaml").write_text(TEXT, encoding="utf-8")
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dougong", *arguments],
            cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, encoding="utf-8", timeout=60, env={**os.environ, "KEY": "k"},
        )  # fmt: skip
    finally:
        os.close(write)
    assert done.stderr == ""
    assert done.returncode in (0, 1)


@pytest.mark.parametrize("terminal", [False, True])
def test_ctrl_c_ends_a_long_index_with_130(tmp_path: Path, terminal: bool) -> None:
    (tmp_path / "c.yaml").write_text("lib: {use: retriever.endless}")
    main, side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "dougong", "index", "c.yaml", "--plugin", FAKES],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=side if terminal else subprocess.PIPE, env={**os.environ, "DOUGONG_LANG": "en"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a job in the background ignores it
    )  # fmt: skip
    os.close(side)
    try:
        stream = main if terminal else process.stderr.fileno()  # type: ignore[union-attr]
        seen = b""
        while b"reading" not in seen:  # it is at work
            seen += os.read(stream, 1000)
        process.send_signal(signal.SIGINT)
        rest = b""
        try:
            while piece := os.read(stream, 1000):
                rest += piece
        except OSError:  # a terminal whose other side is closed
            pass
        assert process.wait(timeout=20) == 130
    finally:
        process.kill()
        os.close(main)
    assert b"interrupted" in rest
    assert b"Traceback" not in rest
