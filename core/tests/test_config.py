"""YAML and JSON to a tree: what is read, what is refused, and where."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from dougong import ConfigError, Place
from dougong.config import MAX_NODES, Node, from_python, parse, read
from dougong.overrides import override, parse_set
from hypothesis import given
from hypothesis import strategies as st


def plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: plain(item) for key, item in node.value.items()}
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    return node.value


def value(text: str) -> Any:
    return plain(parse(f"a: {text}", "f"))["a"]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("1", 1), ("-7", -7), ("+7", 7), ("0x1F", 31), ("0o17", 15), ("017", 17), ("1e-3", 0.001), (".5", 0.5),
        ("1.", 1.0), ("no", "no"), ("yes", "yes"), ("on", "on"), ("true", True), ("False", False), ("~", None),
        ("null", None), ("", None), ("'1'", "1"), ('"true"', "true"), ("1_000", "1_000"), ("2001-01-01", "2001-01-01"),
        ("12:30", "12:30"), (".inf", math.inf), ("-.Inf", -math.inf), ("斗拱", "斗拱"), ("|\n  x\n", "x\n"),
        ('"\\ud83d\\ude00"', "\U0001f600"), ('"\\ud83d"', "\ufffd"),
    ],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text: str, want: object) -> None:
    got = value(text)
    assert got == want
    assert type(got) is type(want)


def test_nan_is_a_number() -> None:
    assert math.isnan(value(".nan"))


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**30), 10**30)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1), inner, max_size=4),
        max_leaves=20,
    )
)
def test_any_json_reads_as_json_does(data: Any) -> None:
    text = json.dumps({"a": data})
    if "<<" in text:
        return
    assert plain(parse(text, "f.json")) == json.loads(text)


def test_nodes_know_line_and_column() -> None:
    root = parse("# c\na:\n  b: 1\n  c: [x,\n      y]\n", "f")
    inner = root.value["a"]
    assert inner.value["b"].place == Place("f", 3, 6)
    assert inner.value["c"].value[1].place == Place("f", 5, 7)
    assert inner.keys["c"] == Place("f", 4, 3)


def test_an_alias_is_a_copy() -> None:
    assert plain(parse("a: &x [1, {b: 2}]\nc: *x\n", "f")) == {"a": [1, {"b": 2}], "c": [1, {"b": 2}]}


def test_aliases_count_as_what_they_expand_to() -> None:
    text = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{c}: &{c} [{','.join(['*' + p] * 10)}]\n" for p, c in zip("abc", "bcd")
    )
    with pytest.raises(ConfigError, match=f"more than {MAX_NODES} values"):
        parse(text, "f")


def test_bom_crlf_and_comments_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("\ufeff# 注释\r\na: 1\r\nb: |\r\n  x\r\n".encode())
    root = read(path)
    assert plain(root) == {"a": 1, "b": "x\n"}
    assert root.value["b"].place.line == 3


def test_json_may_be_indented_by_tabs(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{\n\t"a": {\n\t\t"b": [1,\t2]\n\t}\n}')
    assert plain(read(path)) == {"a": {"b": [1, 2]}}


@pytest.mark.parametrize("digits", [101, 5000])
def test_a_huge_integer_is_refused_where_it_stands(digits: int) -> None:
    with pytest.raises(ConfigError) as error:
        parse("a: 1\nb: [" + "9" * digits + "]", "f")
    assert str(error.value.place) == "f:2"
    assert error.value.hint


@pytest.mark.parametrize("escape", ["\\UFFFFFFFF", "\\U00110000"])
def test_an_impossible_escape_is_refused_near_where_it_stands(escape: str) -> None:
    with pytest.raises(ConfigError, match="names no character"):
        parse(f'a: "{escape}"', "f")


def refusal(text: str) -> ConfigError | None:
    try:
        parse(text, "f")
    except ConfigError as error:
        return error
    return None


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_line(text: str) -> None:
    error = refusal(text)
    assert error is None or (error.place and error.place.line >= 1 and error.hint)


@given(st.text(alphabet=list("{}[]:,-&*!|>'\"#%@ \n\tab1<?\\$."), max_size=40))
def test_any_punctuation_is_read_or_refused_with_a_line(text: str) -> None:
    error = refusal(text)
    assert error is None or (error.place and error.place.line >= 1 and error.hint)


def test_python_values_become_nodes_and_objects_leaves() -> None:
    thing = object()
    node = from_python({"a": [1, (2, thing)]}, Place("make"))
    assert plain(node) == {"a": [1, [2, thing]]}
    assert node.value["a"].value[1].value[1].value is thing


# ---------------------------------------------------------------- --set


def overridden(text: str, option: str) -> Any:
    path, node = parse_set(option)
    return plain(override(parse(text, "f"), path, node, node.place))


@pytest.mark.parametrize(
    ("option", "want"),
    [
        ("a.b=2", {"a": {"b": 2, "l": [1, {"x": 1}]}}),
        ("a.b='2'", {"a": {"b": "2", "l": [1, {"x": 1}]}}),
        ("a.b=", {"a": {"b": None, "l": [1, {"x": 1}]}}),
        ("a.b={c: [1]}", {"a": {"b": {"c": [1]}, "l": [1, {"x": 1}]}}),
        ("a.b=x=y", {"a": {"b": "x=y", "l": [1, {"x": 1}]}}),
        ("a.l[1].x=9", {"a": {"b": 1, "l": [1, {"x": 9}]}}),
        ("a.new.deep=1", {"a": {"b": 1, "l": [1, {"x": 1}], "new": {"deep": 1}}}),
        ("z=1", {"a": {"b": 1, "l": [1, {"x": 1}]}, "z": 1}),
    ],
)
def test_set_replaces_one_value(option: str, want: object) -> None:
    assert overridden("a: {b: 1, l: [1, {x: 1}]}", option) == want


@pytest.mark.parametrize(
    "option",
    ["novalue", "=1", "a..b=1", "a.[0]=1", "a.=1", "a[x]=1", "a.b.c=1", "a.l[9]=1", "a[0]=1", "a.b=[", "a.b=!x y"],
)
def test_a_bad_set_says_so_without_a_line(option: str) -> None:
    with pytest.raises(ConfigError) as error:
        overridden("a: {b: 1, l: [1]}", option)
    assert str(error.value.place).startswith("--set ")
    assert error.value.hint


def test_a_path_of_thousands_of_steps_is_refused() -> None:
    with pytest.raises(ConfigError, match="not a path"):
        overridden("a: 1", ".".join("a" * 5000) + "=1")


def test_overriding_leaves_the_tree_as_it_was() -> None:
    root = parse("a: {b: 1}", "f")
    override(root, "a.b", 2, Place("set"))
    assert plain(root) == {"a": {"b": 1}}
