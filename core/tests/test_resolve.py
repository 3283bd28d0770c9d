"""Slots, refs, builders and copied values: what a config may connect, and what it may not."""

# ruff: noqa: E501 -- a case is a line

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dougong.errors import ConfigError

Make = Callable[..., Any]


# ---------------------------------------------------------------- slots


def test_a_slot_takes_a_short_or_a_full_name_and_knows_its_default(assembly: Make) -> None:
    built = assembly("a: {use: retriever.flat}\nb: {use: retriever.flat, chunker: {use: cut, size: 5}}\n"
                     "c: {use: retriever.flat, chunker: {use: chunker.cut, tokenizer: {use: letters}}}")  # fmt: skip
    assert built["a"].params.chunker.params.size == 100
    assert built["b"].params.chunker.params.size == 5
    assert built["b"].params.chunker.params.tokenizer is None
    assert built["c"].params.chunker.params.tokenizer.count("斗拱") == 2


def test_a_mapping_without_use_changes_the_slots_default(assembly: Make, problems: Make) -> None:
    """What ``--set a.chunker.size=5`` means where the config leaves the chunker out."""
    built = assembly("a: {use: retriever.flat, chunker: {size: 5}}\nb: {use: retriever.flat, chunker: {}}\n"
                     "c: {use: retriever.flat, chunker: {tokenizer: {use: letters}}}")  # fmt: skip
    assert built["a"].params.chunker.params.size == 5
    assert built["b"].params.chunker.params.size == 100
    assert built["c"].params.chunker.params.size == 100
    assert built["c"].params.chunker.params.tokenizer.count("斗拱") == 2
    (wrong,) = problems("a: {use: retriever.flat, chunker: {sise: 5}}")
    assert (wrong.path, wrong.hint) == ("a.chunker.sise", "did you mean 'size'?")


def test_lists_and_mappings_of_slots(assembly: Make) -> None:
    built = assembly("a: {use: retriever.joined, of: [{use: flat, texts: [x]}, {use: flat, texts: [xy]}]}\n"
                     "b: {use: retriever.named, of: {l: {use: flat, texts: [x]}, 右: {ref: a}}}")  # fmt: skip
    assert [hit.chunk.text for hit in built["a"].search("x")] == ["x", "xy"]
    assert [hit.chunk.text for hit in built["b"].search("x")] == ["x", "x", "xy"]
    assert list(built["b"].params.of) == ["l", "右"]


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("a: {use: retriever.keeper, index: {use: flat}}", "a.index", "takes Index, and retriever.flat is only Retriever"),
        ("a: {use: retriever.keeper, index: {ref: b}}\nb: {use: retriever.flat}", "a.index", "takes Index"),
        ("a: {use: retriever.keeper, index: {use: chunker.cut}}", "a.index", "takes a retriever, and chunker.cut is a chunker"),
        ("a: {use: retriever.keeper}", "a.index", "empty slot"),
        ("a: {use: retriever.keeper, index: null}", "a.index", "no technique is named here, got nothing"),
        ("a: {use: retriever.keeper, index: held}", "a.index", "no technique is named here, got the string 'held'"),
        ("a: {use: retriever.keeper, index: {texts: []}}", "a.index", "no technique is named here, got a mapping"),
        ("a: {use: retriever.keeper, index: [{use: held}]}", "a.index", "got a list"),
        ("a: {use: retriever.joined, of: {use: flat}}", "a.of", "expected a list, got a mapping"),
        ("a: {use: retriever.joined, of: [{use: flat}, null]}", "a.of[1]", "got nothing"),
        ("a: {use: retriever.named, of: [{use: flat}]}", "a.of", "expected a mapping, got a list"),
        ("a: {use: retriever.named, of: {x: {use: cut}}}", "a.of.x", "no retriever 'cut' is installed"),
        ("a: {use: network.stack, layer: {use: layer}, router: {use: layer}}", "a.router", "takes Router"),
        ("a: {use: network.stack, layer: {use: flat}}", "a.layer", "no block 'flat' is installed"),
        ("a: {use: 3}", "a", "'use' names a technique, got the number 3"),
        ("a: {use: cut}", "a", "'cut' has no kind here"),
        ("a: {use: torch.nn.Linear}", "a", "no kind is called 'torch'"),
        ("a: {use: retriever.keeper, index: {use: os.system}}", "a.index", "no kind is called 'os'"),
        ("a: {use: retriever.flat, chunker: {use: ct}}", "a.chunker", "no chunker 'ct' is installed"),
        ("a: {use: retriever.nothing-like-it}", "a", "no retriever 'nothing-like-it' is installed"),
        ("a: {use: nobody:chunker.cut}", "a", "no chunker 'cut' is installed"),
        ("a: 3", "a", "no technique is named here, got the number 3"),
        ("a: {ref: b}\nb: {use: chunker.cut}", "a", "no technique is named here"),
        ("1a: {use: chunker.cut}", "1a", "is not a name"),
        ("a.b: {use: chunker.cut}", "a.b", "is not a name"),
        ("middleware: {use: mark}", "middleware", "expected a list"),
        ("middleware: [{use: adder}]", "middleware[0]", "no middleware 'adder'"),
        ("a: {use: retriever.joined, of: [{ref: b, k: 1}]}\nb: {use: retriever.flat}", "a.of[0]", "a ref is a name and nothing else"),
        ("a: {use: retriever.joined, of: [{ref: [b]}]}", "a.of[0]", "a ref is a name and nothing else"),
        ("a: {use: retriever.joined, of: [{ref: b}]}", "a.of[0]", "there is no 'b' to refer to"),
        ("a: {use: retriever.joined, of: [{ref: middleware}]}\nmiddleware: []", "a.of[0]", "there is no 'middleware'"),
        ("a: {use: retriever.joined, of: [{ref: b}]}\nb: {use: chunker.cut}", "a.of[0]", "takes a retriever"),
        ("a: {use: retriever.joined, of: [{ref: a}]}", "a.of[0]", "a cycle of refs: a -> a"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(problems: Make, text: str, path: str, message: str) -> None:
    (problem,) = problems(text)
    assert problem.path == path
    assert message in problem.message
    assert problem.hint
    assert problem.place.line == 1


def test_a_cycle_over_several_names_is_named_once(problems: Make) -> None:
    (problem,) = problems(
        "a: {use: retriever.joined, of: [{ref: b}]}\nb: {use: retriever.joined, of: [{use: flat}, {ref: c}]}\n"
        "c: {use: retriever.named, of: {x: {use: joined, of: [{ref: b}]}}}"
    )
    assert problem.message == "a cycle of refs: b -> c -> b"
    assert problem.path == "c.of.x.of[0]"


def test_many_paths_to_one_name_are_no_cycle(assembly: Make) -> None:
    lines = ["n0: {use: retriever.flat}"]
    lines += [f"n{i}: {{use: retriever.joined, of: [{{ref: n{i - 1}}}, {{ref: n{i - 1}}}]}}" for i in range(1, 40)]
    assert len(list(assembly("\n".join(lines)).plans())) == 40 + 1  # each once, and n0's chunker


# ---------------------------------------------------------------- refs and builders


def test_a_ref_is_the_same_object_and_use_a_fresh_one(assembly: Make) -> None:
    built = assembly("a: {use: retriever.joined, of: [{ref: b}, {ref: b}, {use: flat}, {use: flat}]}\n"
                     "b: {use: retriever.flat}")  # fmt: skip
    one, two, three, four = built["a"].params.of
    assert one is two is built["b"]
    assert len({id(one), id(three), id(four)}) == 3


def test_an_alias_is_another_object(assembly: Make) -> None:
    built = assembly("a: {use: retriever.joined, of: [&x {use: flat}, *x]}")
    one, two = built["a"].params.of
    assert one is not two


def test_a_builder_makes_a_fresh_object_at_each_call(assembly: Make) -> None:
    built = assembly("a: {use: network.stack, layer: {use: layer, mark: z}, router: {use: routed}}")
    layers = built["a"].build()
    assert [layer.layer_idx for layer in layers] == [0, 1, 2]
    assert len(set(map(id, layers))) == 3
    assert all(layer.config == "config" and layer.params.mark == "z" for layer in layers)


def test_a_builder_slot_takes_no_ref(assembly: Make) -> None:
    """Fresh parts and one shared part exclude each other; see docs/decisions/0008."""
    with pytest.raises(ConfigError, match="cannot take a ref"):
        assembly("a: {use: network.stack, layer: {ref: shared}}\nshared: {use: block.layer}")


# ---------------------------------------------------------------- ${...}

VALUES = """
a: {use: chunker.cut, size: 7, label: "x${b.label}", separators: [p, "$${q}"], weights: {w: 2}, limits: {low: 3}}
b: {use: chunker.cut, label: deep, title: "${a.size}/${a.ratio}/${a.strip}"}
r: {use: retriever.joined, of: [{ref: f}, {use: flat, chunker: {use: cut, tokenizer: {use: letters}, label: in}}]}
f: {use: retriever.flat, chunker: {use: cut, most: 4}}
"""


@pytest.mark.parametrize(
    ("written", "field", "want"),
    [
        ("size: ${a.size}", "size", 7),
        ("ratio: ${a.size}", "ratio", 7.0),
        ("ratio: ${a.ratio}", "ratio", 0.5),  # a default
        ("unit: ${a.unit}", "unit", "characters"),
        ("separators: '${a.separators}'", "separators", ["p", "${q}"]),
        ("separators: ['${b.label}', 'a${a.size}']", "separators", ["deep", "a7"]),
        ("weights: '${a.weights}'", "weights", {"w": 2.0}),
        ("extra: '${a.weights.w}'", "extra", 2.0),
        ("extra: '${a.separators[0]}'", "extra", "p"),
        ("extra: '${b.separators[1]}'", "extra", " "),  # an item of a default
        ("size: ${a.limits.low}", "size", 3),
        ("size: ${a.limits.high}", "size", 9),  # a default in a value that is written
        ("size: ${b.limits.high}", "size", 9),  # a default in a default
        ("most: ${a.most}", "most", None),
        ("pair: '${a.pair}'", "pair", None),
        ("label: ${a.label}", "label", "xdeep"),
        ("label: ${r.of[0].chunker.label}", "label", "cut"),  # through a ref
        ("most: ${r.of[0].chunker.most}", "most", 4),
        ("label: ${r.of[1].chunker.label}", "label", "in"),
        ("size: ${f.chunker.size}", "size", 8),
        ("label: '$${a.size}'", "label", "${a.size}"),
    ],
)
def test_a_copied_value_keeps_its_type(assembly: Make, written: str, field: str, want: object) -> None:
    got = getattr(assembly(f"{VALUES}\nc:\n  use: chunker.cut\n  {written}")["c"].params, field)
    assert got == want
    assert type(got) is type(want)


def test_values_stand_inside_strings(assembly: Make) -> None:
    built = assembly(VALUES)
    assert built["b"].params.title == "7/0.5/true"


def test_a_slots_default_has_values_too(assembly: Make) -> None:
    assert (
        assembly("r: {use: retriever.flat}\nc: {use: chunker.cut, size: '${r.chunker.size}'}")["c"].params.size == 100
    )


def test_a_path_keeps_its_meaning_inside_a_string(assembly: Make, tmp_path: Any) -> None:
    text = "a: {use: chunker.cut, folder: data}\nb: {use: chunker.cut, folder: '${a.folder}/x', label: '${a.folder}'}"
    with pytest.raises(Exception, match="expected a string"):
        assembly(text)
    built = assembly(text.replace(", label: '${a.folder}'", ""))
    assert built["b"].params.folder == tmp_path / "data" / "x"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("size: '${a.label}'", "expected a whole number, got the string 'cut'"),
        ("size: '${a.ratio}'", "expected a whole number, got the number 0.5"),
        ("size: '${a.sise}'", "there is no value 'a.sise'"),
        ("size: '${z.size}'", "there is no value 'z.size'"),
        ("size: '${a}'", "there is no value 'a'"),
        ("size: '${}'", "there is no value ''"),
        ("size: '${a.separators[7]}'", "there is no value"),
        ("label: '${a.size.x}'", "there is no value"),
        ("label: '${r.of}'", "'r.of' is a technique"),
        ("label: '${r.of[0]}'", "'r.of[0]' is a technique"),
        ("label: '${f.chunker}'", "'f.chunker' is a technique"),
        ("label: '${a.tokenizer}'", "'a.tokenizer' is a technique"),
        ("label: 'x ${a.separators}'", "cannot stand inside a string"),
        ("label: '${c.label}'", "a cycle of values: c.label -> c.label"),
        ("label: 'x', title: '${c.title}y'", "a cycle of values"),
    ],
)
def test_a_wrong_copy_is_refused(problems: Make, written: str, message: str) -> None:
    (problem,) = problems(f"a: {{use: chunker.cut}}\nr: {{use: retriever.joined, of: [{{use: flat}}]}}\n"
                          f"f: {{use: retriever.flat}}\nc: {{use: chunker.cut, {written}}}")  # fmt: skip
    assert message in problem.message
    assert problem.place.line == 4
    assert problem.hint


def test_a_cycle_of_values_is_reported(problems: Make) -> None:
    found = problems("a: {use: chunker.cut, label: '${b.label}'}\nb: {use: chunker.cut, label: '${a.label}'}")
    assert any("a cycle of values: b.label -> a.label -> b.label" in p.message for p in found)


@pytest.mark.parametrize("turn", [1, -1])
def test_a_long_chain_of_values_is_copied_or_refused(assembly: Make, problems: Make, turn: int) -> None:
    lines = ["c0: {use: chunker.cut, label: x}"]
    lines += [f"c{i}: {{use: chunker.cut, label: '${{c{i - 1}.label}}'}}" for i in range(1, 300)]
    text = "\n".join(lines[::turn])
    if turn == 1:
        assert assembly(text)["c299"].params.label == "x"
    else:
        assert any("nested deeper" in problem.message for problem in problems(text))


def test_a_string_that_grows_without_end_is_refused(problems: Make) -> None:
    lines = ["c0: {use: chunker.cut, label: xxxxxxxxxx}"]
    for i in range(1, 9):
        lines.append(f"c{i}: {{use: chunker.cut, label: '" + f"${{c{i - 1}.label}}" * 10 + "'}")
    assert any("longer than" in problem.message for problem in problems("\n".join(lines)))


def test_a_mistake_in_a_copied_value_is_reported_once_where_it_stands(problems: Make) -> None:
    (problem,) = problems("b: {use: chunker.cut, label: '${a.label}'}\na: {use: chunker.cut, label: '${env:NOT_SET}'}")
    assert (problem.path, problem.place.line, problem.technique) == ("a.label", 2, "chunker.cut")


def test_use_may_come_from_the_environment(assembly: Make, problems: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: {use: 'chunker.${env:WHICH}', size: 5}\nb: {use: chunker.cut, size: '${a.size}'}"
    (problem,) = problems(text)
    assert (problem.path, problem.place.line) == ("a.use", 1)
    monkeypatch.setenv("WHICH", "cut")
    assert assembly(text)["b"].params.size == 5


def test_names_may_be_chinese(assembly: Make) -> None:
    built = assembly("切分: {use: chunker.cut, size: 5}\nb: {use: chunker.cut, size: '${切分.size}'}")
    assert built["b"].params.size == 5
    assert "切分" in built
