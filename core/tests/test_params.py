"""Values to typed params: strict, every mistake reported, each with path, line and hint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dougong import ConfigError, Secret, make


def cut(assembly: Callable[..., Any], written: str, set: Any = ()) -> Any:
    return assembly(f"c: {{use: chunker.cut, {written}}}", set)["c"].params


@pytest.mark.parametrize(
    ("written", "field", "want"),
    [
        ("ratio: 2", "ratio", 2.0),
        ("ratio: .inf", "ratio", float("inf")),
        ("label: no", "label", "no"),
        ("title: null", "title", None),
        ("most: ~", "most", None),
        ("most: 3", "most", 3),
        ("width: wide", "width", "wide"),
        ("width: 3", "width", 3),
        ("separators: []", "separators", []),
        ("pair: [1, a]", "pair", (1, "a")),
        ("weights: {a: 1, 中: 0.5}", "weights", {"a": 1.0, "中": 0.5}),
        ("extra: {a: [1, null, {b: x}]}", "extra", {"a": [1, None, {"b": "x"}]}),
        ("unit: words", "unit", "words"),
        ("strip: false", "strip", False),
    ],
)
def test_values_are_taken_as_written(assembly: Callable[..., Any], written: str, field: str, want: object) -> None:
    got = getattr(cut(assembly, written), field)
    assert got == want
    assert type(got) is type(want)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("size: true", "a whole number, got the truth value true"),
        ("size: '3'", "a whole number, got the string '3'"),
        ("size: 3.0", "a whole number, got the number 3.0"),
        ("size: null", "a whole number, got nothing"),
        ("size: [3]", "a whole number, got a list"),
        ("ratio: true", "a number, got the truth value true"),
        ("ratio: '0.5'", "a number, got the string"),
        ("strip: 1", "true or false, got the number 1"),
        ("strip: 'true'", "true or false, got the string"),
        ("label: 3", "a string, got the number 3"),
        ("label: true", "a string, got the truth value true"),
        ("unit: word", "expected one of characters, words"),
        ("separators: a", "a list, got the string"),
        ("separators: [a, 1]", "a string, got the number 1"),
        ("pair: [1]", "expected 2 items"),
        ("pair: [1, 2]", "a string, got the number 2"),
        ("weights: [1]", "a mapping, got a list"),
        ("weights: {a: b}", "a number, got the string"),
        ("width: 1.5", "a whole number / a string, got the number 1.5"),
        ("folder: 3", "a path, got the number 3"),
        ("limits: 3", "Limits, got the number 3"),
        ("limits: {use: x}", "unknown parameter"),
        ("limits: {low: 5, high: 2}", "must be at least low"),
        ("size: 0", "must be >= 1"),
        ("size: 4, overlap: 4", "must be smaller than size"),
        ("sise: 4", "unknown parameter"),
    ],
)
def test_a_wrong_value_is_refused(problems: Callable[..., Any], written: str, message: str) -> None:
    block = written.replace(", overlap", "\n  overlap")
    (problem,) = problems(f"c:\n  use: chunker.cut\n  {block}")
    assert message in problem.message
    assert problem.path.startswith("c.")
    assert problem.place.line in (3, 4)
    assert problem.hint
    assert problem.technique == "chunker.cut"
    assert "fakes.py" in problem.distribution


def test_a_validator_does_not_speak_of_a_field_already_reported(problems: Callable[..., Any]) -> None:
    """overlap's validator reads size; size is wrong, so only size is reported."""
    (problem,) = problems("c: {use: chunker.cut, size: x, overlap: 3}")
    assert problem.path == "c.size"


def test_every_mistake_is_reported_in_the_order_of_the_file(problems: Callable[..., Any]) -> None:
    found = problems(
        "a: {use: chunker.cut, sise: 1}\nb:\n  use: chunker.cut\n  ratio: x\n  size: -1\nc: {use: chunker.nope}\n"
        "d: {use: retriever.joined, of: [{use: flat}, {use: cut}, {ref: nobody}]}"
    )
    assert [(p.place.line, p.path) for p in found] == [
        (1, "a.sise"), (4, "b.ratio"), (5, "b.size"), (6, "c"), (7, "d.of[1]"), (7, "d.of[2]"),
    ]  # fmt: skip


def test_a_path_starts_at_the_config_and_one_of_set_at_the_current_folder(
    assembly: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path.parent)
    assert cut(assembly, "folder: sub/x").folder == tmp_path / "sub/x"
    assert cut(assembly, "size: 9").folder == tmp_path / "cache"  # a default, too
    assert cut(assembly, "size: 9", ["c.folder=y"]).folder == Path("y")
    assert cut(assembly, f"folder: {tmp_path}/abs").folder == tmp_path / "abs"
    assert cut(assembly, "folder: ~/x").folder == Path.home() / "x"


def test_make_takes_python_values() -> None:
    with pytest.raises(ConfigError, match="no chunker 'cut' is installed"):
        make("chunker.cut", size=3)  # the fakes are a local plugin, not installed


# ---------------------------------------------------------------- environment and secrets


def test_an_environment_value_is_parsed_where_a_number_is_wanted_and_stays_text_elsewhere(
    assembly: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("N", "7")
    params = cut(
        assembly,
        'size: "${env:N}", label: "${env:N}", title: "${env:N}", width: "${env:N}", folder: "${env:N}", '
        'most: "${env:NOT_SET:-}", ratio: "${env:NOT_SET:-1e-3}", extra: "n${env:N}"',
    )
    assert (params.size, params.label, params.title, params.width) == (7, "7", "7", 7)
    assert params.folder == tmp_path / "7"
    assert (params.most, params.ratio, params.extra) == (None, 0.001, "n7")


def test_an_environment_value_is_not_looked_into_again(
    assembly: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INNER", "secret")
    monkeypatch.setenv("OUTER", "${env:INNER}")
    params = cut(assembly, 'label: "${env:OUTER}", width: "${env:OUTER}", separators: ["${env:OUTER}"], title: "$${x}"')
    assert params.label == params.width == params.separators[0] == "${env:INNER}"
    assert params.title == "${x}"


@pytest.mark.parametrize("name", ["NOT_SET_ANYWHERE", ""])
def test_a_missing_variable_is_named(problems: Callable[..., Any], name: str) -> None:
    (problem,) = problems(f'c:\n  use: chunker.cut\n  label: "a${{env:{name}}}"')
    assert problem.path == "c.label"
    assert f"variable {name} is not set" in problem.message
    assert problem.place.line == 3


def test_a_bad_environment_value_names_the_param(problems: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("N", "many")
    (problem,) = problems('c: {use: chunker.cut, size: "${env:N}"}')
    assert problem.message == "expected a whole number, got the string 'many'"
    monkeypatch.setenv("N", "9" * 5000)
    (problem,) = problems('c: {use: chunker.cut, size: "${env:N}"}')
    assert "expected a whole number" in problem.message


SECRET = "sk-very-secret"


@pytest.mark.parametrize(
    "written",
    [
        f"key: {SECRET}",
        f"key: 'a ${{env:KEY}}{SECRET}'",
        f"key: '${{env:KEY:-{SECRET}}}'",
        f"key: [{SECRET}]",
        f"key: {{a: {SECRET}}}",
    ],
)
def test_a_secret_that_is_written_down_is_refused_and_not_repeated(
    problems: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.setenv("KEY", SECRET)
    (problem,) = problems(f"m:\n  use: llm.echo\n  {written}")
    assert "read from the environment" in problem.message
    assert SECRET not in str(problem)


def test_a_secret_in_set_is_refused_and_not_repeated(problems: Callable[..., Any]) -> None:
    (problem,) = problems("m: {use: llm.echo}", [f"m.key={SECRET}"])
    assert SECRET not in str(problem)
    assert str(problem.place) == "--set m.key"


def test_a_secret_comes_from_the_environment_and_does_not_print(
    assembly: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", SECRET)
    built = assembly('m: {use: llm.echo, key: "${env:KEY}"}\nn: {use: llm.echo, key: "${m.key}"}')
    for name in "mn":
        key = built[name].params.key
        assert isinstance(key, Secret)
        assert key.reveal() == SECRET
        assert SECRET not in repr(built[name].params)
    assert SECRET not in repr(list(built.plans()))


@pytest.mark.parametrize("into", ['"${m.key}"', '"a ${m.key} b"'])
def test_a_secret_goes_into_no_other_param(
    problems: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, into: str
) -> None:
    monkeypatch.setenv("KEY", SECRET)
    for target in ("reply", "url"):
        (problem,) = problems(f'm: {{use: llm.echo, key: "${{env:KEY}}"}}\nn: {{use: llm.echo, {target}: {into}}}')
        assert problem.path == f"n.{target}"
        assert SECRET not in str(problem)
    (problem,) = problems(f'm: {{use: llm.echo, key: "${{env:KEY}}"}}\nn: {{use: chunker.cut, extra: {{a: {into}}}}}')
    assert problem.path == "n.extra.a"


def test_a_secret_neither_copies_to_disk_nor_compares_to_text() -> None:
    import pickle

    with pytest.raises(TypeError):
        pickle.dumps(Secret("x"))
    assert Secret("x") != "x"
    assert Secret("x") == Secret("x")
    assert f"{Secret('x')} {Secret('x')!r}" == "*** ***"
