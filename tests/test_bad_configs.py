"""Bad configs, through the real command: each gives place, path, reason and cure, exit code 2, never a traceback."""

# ruff: noqa: E501 -- a case is a line

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
from dougong import messages
from dougong.cli import main

FAKES = Path(__file__).parents[1] / "core" / "tests" / "fakes.py"
SECRET = "sk-literal-secret"


@attrs.frozen
class Bad:
    """text: the config; want: for each problem ``(line, path, part of the message)``; no line for ``--set``."""

    text: str | bytes
    want: list[tuple[int, str, str]]
    set: tuple[str, ...] = ()
    env: dict[str, str] = attrs.field(factory=dict)
    name: str = "bad.yaml"


CUT = "a:\n  use: chunker.cut\n"
FUSION = "a:\n  use: retriever.joined\n"

CASES: dict[str, Bad] = {
    # the file
    "empty": Bad("", [(1, "", "the config is empty")]),
    "comments only": Bad("# nothing\n\n", [(1, "", "the config is empty")]),
    "null": Bad("~", [(1, "", "the config is empty")]),
    "a list at the top": Bad("- use: chunker.cut\n", [(1, "", "the config is a list")]),
    "a string at the top": Bad("hello", [(1, "", "the config is the string 'hello'")]),
    "not UTF-8": Bad("a: 1\nb: é\n".encode("latin-1"), [(2, "", "not UTF-8")]),
    "UTF-16": Bad("a: 1".encode("utf-16"), [(1, "", "not UTF-8")]),
    "binary": Bad(bytes(range(256)), [(2, "", "not UTF-8")]),
    "10 MB": Bad("a: " + "x" * 10_000_000, [(0, "", "larger than 256 KB")]),
    "too many values": Bad("a: [" + "1," * 3000 + "1]", [(1, "", "more than 2000 values")]),
    "alias bomb": Bad(
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{n}: &{n} [*{m},*{m},*{m},*{m},*{m},*{m},*{m},*{m},*{m}]\n" for m, n in zip("abcdefgh", "bcdefghi")),
        [(4, "", "more than 2000 values")],
    ),
    "alias of itself": Bad("a: &a [*a]", [(1, "", "alias '*a' has no anchor")]),
    "alias of nothing": Bad("a: 1\nb: *x", [(2, "", "alias '*x' has no anchor")]),
    "deep nesting": Bad("a: " + "[" * 5000 + "]" * 5000, [(1, "", "nested deeper than 64")]),
    "deep mappings": Bad("a: " + "{b: " * 900 + "1" + "}" * 900, [(1, "", "nested deeper than 64")]),
    "deep by indentation": Bad("".join(" " * i + "a:\n" for i in range(200)), [(65, "", "nested deeper than 64")]),
    # YAML
    "two documents": Bad("a: 1\n---\nb: 2\n", [(2, "", "a second document begins")]),
    "a duplicate key": Bad("a:\n  use: x\n  use: y\n", [(3, "", "'use' is written twice; first in line 2")]),
    "a duplicate name": Bad("a: 1\nb: 2\na: 3\n", [(3, "", "'a' is written twice; first in line 1")]),
    "a merge key": Bad("a: &a {use: x}\nb:\n  <<: *a\n", [(3, "", "merge keys")]),
    "a tag": Bad("a: !!python/object:os.system x", [(1, "", "tags such as")]),
    "a local tag": Bad("a: 1\nb: !secret x", [(2, "", "tags such as '!secret'")]),
    "a tab": Bad("a:\n\tuse: chunker.cut\n", [(2, "", "not valid YAML")]),
    "a control character": Bad("a: 1\nb: x\x07y\n", [(2, "", "a control character")]),
    "NUL": Bad("a: 1\n\0", [(2, "", "a control character")]),
    "an open bracket": Bad("a: [1, 2\nb: 3\n", [(2, "", "not valid YAML")]),
    "an open quote": Bad('a: "x\n', [(2, "", "not valid YAML")]),
    "bad indentation": Bad("a:\n  b: 1\n c: 2\n", [(3, "", "not valid YAML")]),
    "a bad escape": Bad('a: "\\q"', [(1, "", "not valid YAML")]),
    "an impossible character": Bad('a: "\\UFFFFFFFF"', [(1, "", "names no character")]),
    "a number as key": Bad("1: {use: chunker.cut}", [(1, "", "a key is not a name")]),
    "true as key": Bad("a: 1\ntrue: {use: chunker.cut}", [(2, "", "a key is not a name")]),
    "a list as key": Bad("? [a]\n: 1", [(1, "", "a key is not a name")]),
    "no key": Bad(": 1", [(1, "", "a key is not a name")]),
    "a huge integer": Bad(CUT + "  size: " + "9" * 5000, [(3, "", "a number of 5000 digits")]),
    "JSON with a comma too many": Bad('{\n\t"a": {"use": "chunker.cut",, }\n}', [(2, "", "not valid YAML")], name="bad.json"),
    "JSON with a wrong value": Bad('{\n\t"a": {\n\t\t"use": "chunker.cut",\n\t\t"size": "3"\n\t}\n}', [(4, "a.size", "a whole number")], name="bad.json"),
    # names and uses
    "a name with a dot": Bad("a.b: {use: chunker.cut}", [(1, "a.b", "is not a name")]),
    "no use": Bad("a:\n  size: 3\n", [(2, "a", "no technique is named here")]),
    "a scalar for a technique": Bad("a: chunker.cut", [(1, "a", "no technique is named here, got the string")]),
    "an import path": Bad("a: {use: os.system}", [(1, "a", "no kind is called 'os'")]),
    "an import path in a slot": Bad("a: {use: retriever.flat, chunker: {use: subprocess.Popen}}", [(1, "a.chunker", "no kind is called 'subprocess'")]),
    "a colon path": Bad("a: {use: 'os:system'}", [(1, "a", "'system' has no kind here")]),
    "a number for use": Bad("a: {use: 42}", [(1, "a", "'use' names a technique, got the number 42")]),
    "a list for use": Bad("a: {use: [chunker.cut]}", [(1, "a", "'use' names a technique, got a list")]),
    "nothing for use": Bad("a: {use: }", [(1, "a", "'use' names a technique, got nothing")]),
    "an empty use": Bad("a: {use: ''}", [(1, "a", "'' has no kind here")]),
    "a short name at the top": Bad("a: {use: cut}", [(1, "a", "'cut' has no kind here")]),
    "an unknown kind": Bad("a: {use: chuncker.cut}", [(1, "a", "no kind is called 'chuncker'")]),
    "a missing plugin": Bad("a: {use: retriever.does-not-exist}", [(1, "a", "no retriever 'does-not-exist' is installed")]),
    "a misspelt technique": Bad("a: {use: retriever.joind, of: []}", [(1, "a", "no retriever 'joind' is installed; did you mean 'joined'?")]),
    # params
    "an unknown key": Bad(CUT + "  sise: 3", [(3, "a.sise", "unknown parameter; did you mean 'size'?")]),
    "an unknown key in a value": Bad(CUT + "  limits:\n    lo: 3", [(4, "a.limits.lo", "unknown parameter")]),
    "a string for a number": Bad(CUT + "  size: '3'", [(3, "a.size", "a whole number, got the string '3'")]),
    "a bool for a number": Bad(CUT + "  size: true", [(3, "a.size", "got the truth value true")]),
    "a bool for a float": Bad(CUT + "  ratio: false", [(3, "a.ratio", "got the truth value false")]),
    "a float for an int": Bad(CUT + "  size: 3.5", [(3, "a.size", "got the number 3.5")]),
    "a number for a string": Bad(CUT + "  label: 3", [(3, "a.label", "a string, got the number 3")]),
    "a number for a bool": Bad(CUT + "  strip: 0", [(3, "a.strip", "true or false, got the number 0")]),
    "yes for a bool": Bad(CUT + "  strip: yes", [(3, "a.strip", "true or false, got the string 'yes'")]),
    "nothing for a number": Bad(CUT + "  size:", [(3, "a.size", "got nothing")]),
    "not one of the choices": Bad(CUT + "  unit: wrds", [(3, "a.unit", "expected one of characters, words")]),
    "a scalar for a list": Bad(CUT + "  separators: x", [(3, "a.separators", "a list, got the string")]),
    "a wrong item": Bad(CUT + "  separators:\n    - x\n    - 3", [(5, "a.separators[1]", "a string, got the number 3")]),
    "a wrong value in a mapping": Bad(CUT + "  weights: {x: y}", [(3, "a.weights.x", "a number, got the string 'y'")]),
    "a tuple too short": Bad(CUT + "  pair: [1]", [(3, "a.pair", "expected 2 items")]),
    "out of range": Bad(CUT + "  size: 0", [(3, "a.size", "must be >= 1")]),
    "two fields that contradict": Bad(CUT + "  size: 4\n  overlap: 4", [(4, "a.overlap", "must be smaller than size")]),
    "a path that is none": Bad(CUT + '  folder: "a\\0b"', [(3, "a.folder", "expected a path")]),
    # slots and refs
    "a missing slot": Bad("a: {use: pattern.ask}", [(1, "a.llm", "empty slot")]),
    "a missing list of slots": Bad("a: {use: retriever.joined}", [(1, "a.of", "missing parameter")]),
    "a wrong kind": Bad("a: {use: retriever.flat, chunker: {use: llm.echo}}", [(1, "a.chunker", "takes a chunker, and llm.echo is a llm")]),
    "a kind too wide": Bad("a: {use: retriever.keeper, index: {use: flat}}", [(1, "a.index", "takes Index")]),
    "one for a list": Bad(FUSION + "  of: {use: flat}", [(3, "a.of", "expected a list, got a mapping")]),
    "a scalar in a slot": Bad(FUSION + "  of:\n    - flat", [(4, "a.of[0]", "no technique is named here")]),
    "a ref to nothing": Bad(FUSION + "  of: [{ref: nobody}]", [(3, "a.of[0]", "there is no 'nobody' to refer to")]),
    "a ref to a wrong kind": Bad(FUSION + "  of: [{ref: b}]\nb: {use: chunker.cut}", [(3, "a.of[0]", "takes a retriever, and chunker.cut")]),
    "a ref with more": Bad(FUSION + "  of: [{ref: b, k: 3}]\nb: {use: retriever.flat}", [(3, "a.of[0]", "a ref is a name and nothing else")]),
    "a ref to a number": Bad(FUSION + "  of: [{ref: 3}]", [(3, "a.of[0]", "a ref is a name and nothing else")]),
    "a ref to itself": Bad(FUSION + "  of: [{ref: a}]", [(3, "a.of[0]", "a cycle of refs: a -> a")]),
    "a cycle of refs": Bad(FUSION + "  of: [{ref: b}]\nb: {use: retriever.joined, of: [{ref: a}]}", [(3, "a.of[0]", "a cycle of refs: b -> a -> b")]),
    "middleware that is none": Bad("middleware:\n  - use: chunker.cut", [(2, "middleware[0]", "takes a middleware")]),
    "middleware as a mapping": Bad("middleware: {use: mark}", [(1, "middleware", "expected a list")]),
    # ${...}
    "a missing variable": Bad(CUT + "  label: ${env:DOUGONG_NOT_SET}", [(3, "a.label", "DOUGONG_NOT_SET is not set")]),
    "a variable of a wrong type": Bad(CUT + "  size: ${env:DOUGONG_N}", [(3, "a.size", "a whole number, got the string 'x'")], env={"DOUGONG_N": "x"}),
    "a value that is not there": Bad(CUT + "  label: ${a.nothing}", [(3, "a.label", "there is no value 'a.nothing'")]),
    "a value of nobody": Bad(CUT + "  label: ${b.label}", [(3, "a.label", "there is no value 'b.label'")]),
    "a technique as value": Bad("a: {use: retriever.flat}\nb: {use: chunker.cut, label: '${a.chunker}'}", [(2, "b.label", "'a.chunker' is a technique")]),
    "a list in a string": Bad(CUT + "  label: x${a.separators}", [(3, "a.label", "cannot stand inside a string")]),
    "a value of itself": Bad(CUT + "  label: ${a.label}", [(3, "a.label", "a cycle of values")]),
    "a cycle of values": Bad(
        "a: {use: chunker.cut, label: '${b.label}'}\nb: {use: chunker.cut, label: '${a.label}'}",
        [(1, "a.label", "a cycle of values: b.label -> a.label -> b.label")],
    ),
    "a reference below a broken ref": Bad(
        FUSION + "  of: [{ref: [x]}]\nb: {use: chunker.cut, size: '${a.of[0].k}'}",
        [(3, "a.of[0]", "a ref is a name and nothing else"), (4, "b.size", "there is no value")],
    ),
    # secrets
    "a secret written down": Bad(f"a: {{use: llm.echo, key: {SECRET}}}", [(1, "a.key", "read from the environment")]),
    "a secret with a default": Bad(f"a: {{use: llm.echo, key: '${{env:X:-{SECRET}}}'}}", [(1, "a.key", "read from the environment")]),
    "a secret in a string": Bad(f"a: {{use: llm.echo, key: 'x${{env:K}}{SECRET}'}}", [(1, "a.key", "read from the environment")], env={"K": "k"}),
    "a secret copied elsewhere": Bad(
        "a: {use: llm.echo, key: '${env:K}'}\nb: {use: llm.echo, reply: '${a.key}'}",
        [(2, "b.reply", "a secret may only go into a secret parameter")],
        env={"K": SECRET},
    ),
    "a secret put into a string": Bad(
        "a: {use: llm.echo, key: '${env:K}'}\nb: {use: llm.echo, reply: 'key ${a.key}'}",
        [(2, "b.reply", "cannot stand inside a string")],
        env={"K": SECRET},
    ),
    # --set
    "set without a value": Bad(CUT, [(0, "", "'a.size' is not path=value")], set=("a.size",)),
    "set without a path": Bad(CUT, [(0, "", "is not path=value")], set=("=3",)),
    "set of a path that is none": Bad(CUT, [(0, "", "'a..size' is not a path")], set=("a..size=3",)),
    "set of a wrong type": Bad(CUT, [(0, "a.size", "a whole number, got the string")], set=("a.size='3'",)),
    "set of an unknown key": Bad(CUT, [(0, "a.sise", "unknown parameter")], set=("a.sise=3",)),
    "set through a scalar": Bad(CUT + "  size: 3", [(0, "a.size.x", "cannot be set inside the number 3")], set=("a.size.x=3",)),
    "set of an item that is not there": Bad(CUT + "  separators: [x]", [(0, "a.separators[4]", "there is no item [4]")], set=("a.separators[4]=y",)),
    "set of what is not YAML": Bad(CUT, [(0, "a.size", "not valid YAML")], set=("a.size=[1,",)),
    "set of a secret": Bad("a: {use: llm.echo}", [(0, "a.key", "read from the environment")], set=(f"a.key={SECRET}",)),
    "set of a nest of thousands": Bad(CUT, [(0, "", "is not a path")], set=(".".join("a" * 3000) + "=1",)),
    "set takes a technique away": Bad(CUT, [(0, "a", "no technique is named here, got nothing")], set=("a=",)),
    # several at once
    "mistakes in file and set": Bad(
        CUT + "  ratio: x\n", [(0, "a.size", "a whole number"), (3, "a.ratio", "a number, got the string 'x'")], set=("a.size=x",)
    ),
    "many mistakes": Bad(
        "a: {use: chunker.cut, sise: 1, size: true}\nb:\n  use: retriever.joined\n  of:\n    - use: nope\n    - ref: nobody\n"
        "  k: many\nc: {use: llm.echo, key: abc}\nd: 3\n",
        [
            (1, "a.sise", "unknown parameter"),
            (1, "a.size", "a whole number"),
            (5, "b.of[0]", "no retriever 'nope'"),
            (6, "b.of[1]", "there is no 'nobody'"),
            (7, "b.k", "a whole number"),
            (8, "c.key", "read from the environment"),
            (9, "d", "no technique is named here"),
        ],
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOUGONG_LANG", "en")
    messages.language.cache_clear()


def arguments(case: Bad, folder: Path) -> list[str]:
    path = folder / case.name
    path.write_bytes(case.text if isinstance(case.text, bytes) else case.text.encode())
    sets = [part for option in case.set for part in ("--set", option)]
    return ["check", str(path), "--plugin", str(FAKES), *sets]


def checked(case: Bad, code: int, output: str, folder: Path) -> None:
    lines = output.splitlines()
    assert code == 2, output
    assert len(lines) == len(case.want), output
    assert "Traceback" not in output
    assert SECRET not in output
    for line, (number, path, message) in zip(lines, case.want, strict=True):
        file = str(folder / case.name)
        place, _, rest = line.partition(": ") if not path else line.partition(f"  {path}: ")
        assert place == (f"{file}:{number}" if number else file) or (not number and place.startswith("--set ")), line
        assert message in rest, line
        _, _, hint = rest.partition("; ")
        assert hint.strip(), line


@pytest.mark.parametrize("name", CASES)
def test_a_bad_config_is_reported(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    for key, value in case.env.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(sys, "argv", ["dougong", *arguments(case, tmp_path)])
    with pytest.raises(SystemExit) as end:
        main()
    captured = capsys.readouterr()
    assert captured.out == ""
    checked(case, end.value.code, captured.err, tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["alias bomb", "deep nesting", "many mistakes", "binary", "set of a secret"])
def test_the_same_in_a_process_of_its_own(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    done = run(arguments(case, tmp_path), tmp_path, case.env)
    checked(case, done.returncode, done.stderr, tmp_path)


def run(arguments: list[str], folder: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dougong", *arguments],
        cwd=folder,
        env={**os.environ, "DOUGONG_LANG": "en", **(env or {})},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )


# ---------------------------------------------------------------- what cannot be read at all


@pytest.mark.parametrize("what", ["absent", "a folder", "unreadable", "a name too long"])
def test_a_file_that_cannot_be_read_is_named(what: str, tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300 if what == "a name too long" else "c.yaml")
    if what == "a folder":
        path.mkdir()
    if what == "unreadable":
        path.write_text("a: 1")
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("root reads everything")
    done = run(["check", str(path)], tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{path}: cannot read the config: ")
    assert "; check the path" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [["check"], ["show"], ["show", "--resolved"], ["lock"], ["index"], ["run"]])
def test_every_command_reports_a_bad_config_alike(command: list[str], tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("main: {use: chunker.nope}\n")
    done = run([*command, str(path), *(["task"] if command == ["run"] else [])], tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{path}:1  main: no chunker 'nope' is installed; ")


def test_json_output_lists_the_problems(tmp_path: Path) -> None:
    import json

    done = run([*arguments(CASES["many mistakes"], tmp_path), "--json"], tmp_path)
    assert done.returncode == 2
    data: dict[str, Any] = json.loads(done.stdout)
    assert not data["ok"]
    assert [(p["line"], p["path"]) for p in data["problems"]] == [w[:2] for w in CASES["many mistakes"].want]
    assert all(p["hint"] and p["message"] and p["file"] for p in data["problems"])


# ---------------------------------------------------------------- what looks bad and is not

GOOD = {
    "BOM": "\ufeff" + CUT,
    "CRLF": CUT.replace("\n", "\r\n"),
    "old Mac": CUT.replace("\n", "\r"),
    "document start and end": f"---\n{CUT}...\n",
    "anchors": "a: {use: retriever.joined, of: [&x {use: flat, texts: [a]}, *x]}",
    "Chinese": "切分:\n  use: chunker.cut\n  label: 段落\n",
    "quoted keys": "'a': {\"use\": 'chunker.cut'}",
    "a hash in a string": CUT + "  label: 'a # b'",
    "tabs in JSON": '{\n\t"a": {"use": "chunker.cut",\t"size": 3}\n}',
    "emoji": CUT + '  label: "\\ud83d\\ude00 😀"',
    "a null option": CUT + "  title: null\n  tokenizer: ~\n",
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_config_is_right(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Bad(GOOD[name].encode(), [], name="good.json" if "JSON" in name else "good.yaml")
    monkeypatch.setattr(sys, "argv", ["dougong", *arguments(case, tmp_path)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0, capsys.readouterr().err
