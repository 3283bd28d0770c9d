"""Building, closing, failing, and where an object came from."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dougong import BuildError, ConfigError, DougongError, Secret, load
from dougong.assemble import Assembly, origin
from dougong.config import from_python
from dougong.errors import Place
from dougong.registry import Registry

FAKES = Path(__file__).with_name("fakes.py")
Make = Callable[..., Any]


def closed() -> list[str]:
    return sys.modules["dougong_local_fakes"].CLOSED


@pytest.fixture
def registry() -> Registry:
    return Registry(files=[FAKES])


def made(registry: Registry, tree: dict[str, Any]) -> Assembly:
    return Assembly(from_python(tree, Place("test")), registry)


# ---------------------------------------------------------------- building and closing


def test_nothing_is_built_before_it_is_asked_for(assembly: Make) -> None:
    built = assembly("a: {use: chunker.fail}\nb: {use: chunker.cut}")
    assert built["b"].params.size == 8
    with pytest.raises(KeyError):
        built["c"]


def test_what_was_opened_is_closed_last_first(assembly: Make) -> None:
    with assembly("a: {use: retriever.joined, of: [{ref: f}, {use: llm-less}]}".replace(", {use: llm-less}", "")
                  + "\nf: {use: retriever.flat}\nm: {use: llm.echo}") as built:  # fmt: skip
        built["m"], built["a"]
        closed().clear()
    assert closed() == ["Fusion", "Flat", "Cut", "Echo"]
    closed().clear()
    built.close()
    assert closed() == []


def test_a_close_that_fails_keeps_no_other_open(assembly: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    built = assembly("a: {use: retriever.joined, of: [{use: flat}]}")

    def broken(self: Any) -> None:
        raise OSError("cannot")

    monkeypatch.setattr(type(built["a"]._inner), "close", broken)
    closed().clear()
    with pytest.raises(OSError, match="cannot"):
        built.close()
    assert closed() == ["Flat", "Cut"]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raise", "RuntimeError: no luck"),
        ("exit", "SystemExit: 3"),
        ("nothing", "is no Chunker: it lacks chunk"),
        ("import", "a_module_that_is_not_there"),
    ],
)
def test_a_factory_that_fails_is_named_with_its_place(assembly: Make, how: str, message: str) -> None:
    built = assembly(f"a: {{use: retriever.flat,\n  chunker: {{use: fail, how: {how}, part: {{use: cut}}}}}}")
    with pytest.raises(BuildError, match=message) as error:
        built["a"]
    assert error.value.path == "a.chunker"
    assert error.value.place is not None
    assert error.value.place.line == 2
    assert error.value.technique == "chunker.fail"
    assert error.value.hint
    closed().clear()
    built.close()
    assert closed() == ["Cut"]  # what was built before the failure


def test_a_factory_that_is_not_there_is_an_error_of_its_plugin(assembly: Make) -> None:
    with pytest.raises(BuildError, match="Lost") as error:
        assembly("a: {use: chunker.lost}")["a"]
    assert "fakes.py" in error.value.distribution


def test_an_error_does_not_show_a_secret(assembly: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "sk-123456")
    with pytest.raises(BuildError) as error:
        assembly("a: {use: chunker.fail, how: secret, key: '${env:KEY}'}")["a"]
    assert "bad key ***" in str(error.value)
    assert "sk-123456" not in str(error.value)


def test_an_assembly_is_shared_between_threads(assembly: Make) -> None:
    built = assembly("a: {use: retriever.joined, of: [{ref: f}, {ref: f}]}\nf: {use: retriever.flat}")
    got: list[Any] = []
    barrier = threading.Barrier(16)

    def take() -> None:
        barrier.wait()
        got.append(built["a"])

    threads = [threading.Thread(target=take) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 16
    assert len(set(map(id, got))) == 1


def test_objects_fill_slots_from_python_and_are_seen_by_runs(registry: Registry) -> None:
    class Mine:
        def search(self, query: str, k: int = 10, where: Any = None) -> list[Any]:
            return [query]

    mine = Mine()
    built = made(registry, {"a": {"use": "retriever.joined", "of": [mine, {"use": "flat"}]}})
    with built.start() as run:
        assert built["a"].search("x") == ["x"]
    assert [(r.call.path, r.call.name) for r in run.records] == [("0.0", "a.of[0]"), ("0.1", "a.of[1]"), ("0", "a")]


def test_an_object_that_does_not_fit_is_refused(registry: Registry) -> None:
    with pytest.raises(ConfigError, match="it lacks search"):
        made(registry, {"a": {"use": "retriever.joined", "of": [object()]}})


def test_main_must_be_a_pattern(assembly: Make) -> None:
    with pytest.raises(ConfigError, match="no 'main'"):
        assembly("a: {use: llm.echo}").run("x")
    with pytest.raises(ConfigError, match="is no pattern"):
        assembly("main: {use: llm.echo}").run("x")


def test_errors_say_where_what_and_how(assembly: Make) -> None:
    with pytest.raises(DougongError) as error:
        assembly("a: {use: chunker.cut, sise: 3}")
    text = str(error.value)
    assert text.endswith(f"config.yaml:1  a.sise: unknown parameter; did you mean 'size'?  (chunker.cut, {FAKES})")


# ---------------------------------------------------------------- build hooks

HOOKS = """
import attrs
from dougong import Technique, hookimpl
SEEN = []
@hookimpl
def dougong_before_build(path, technique, params):
    SEEN.append(("before", path, technique, type(params).__name__))
@hookimpl
def dougong_after_build(path, instance):
    SEEN.append(("after", path, type(instance).__name__))
"""


def test_build_hooks_see_every_technique(tmp_path: Path) -> None:
    hooks = tmp_path / "my-hooks.py"
    hooks.write_text(HOOKS)
    config = tmp_path / "c.yaml"
    config.write_text("a: {use: retriever.flat}")
    built = load(config, plugins=[FAKES, hooks])
    built["a"]
    assert sys.modules["dougong_local_my_hooks"].SEEN == [
        ("before", "a.chunker", "chunker.cut", "CutParams"),
        ("after", "a.chunker", "Cut"),
        ("before", "a", "retriever.flat", "FlatParams"),
        ("after", "a", "Flat"),
    ]


# ---------------------------------------------------------------- origin


def fingerprint(registry: Registry, **params: Any) -> str:
    found = origin(made(registry, {"a": {"use": "retriever.joined", **params}})["a"])
    assert found is not None
    return found.fingerprint


def test_the_fingerprint_is_of_all_that_matters(registry: Registry) -> None:
    flat = {"use": "flat", "texts": ["x"]}
    base = fingerprint(registry, of=[flat])
    assert base == fingerprint(registry, of=[{**flat, "use": "retriever.flat"}], k=10)  # a default written out
    others = [
        fingerprint(registry, of=[flat], k=11),
        fingerprint(registry, of=[flat, flat]),
        fingerprint(registry, of=[{**flat, "chunker": {"use": "cut", "size": 9}}]),
        fingerprint(registry, of=[{"use": "held", "texts": ["x"]}]),
    ]
    assert len({base, *others}) == 5


def test_the_fingerprint_changes_with_a_version_of_a_nested_plugin(registry: Registry) -> None:
    tree = {"use": "retriever.joined", "of": [{"use": "flat"}]}
    before = origin(made(registry, {"a": tree})["a"])
    key = next(key for key in registry._loaded if key[1] == "chunker.cut")
    import attrs

    registry._loaded[key] = attrs.evolve(registry._loaded[key], entry=registry._loaded[key].entry._replace(version="9"))
    after = origin(made(registry, {"a": tree})["a"])
    assert before is not None
    assert after is not None
    assert before.fingerprint != after.fingerprint
    assert before.params == after.params


def test_origin_follows_refs_and_can_be_built_again(registry: Registry) -> None:
    built = made(
        registry,
        {"a": {"use": "retriever.joined", "of": [{"ref": "f"}]}, "f": {"use": "retriever.flat", "texts": ["é斗"]}},
    )
    found = origin(built["a"])
    assert found is not None
    assert found.params["of"][0]["texts"] == ["é斗"]
    again = made(registry, {"a": json.loads(json.dumps(found.params))})
    assert origin(again["a"]) == found
    assert origin(object()) is None


def test_a_builder_has_the_origin_of_what_it_makes(registry: Registry) -> None:
    built = made(registry, {"a": {"use": "network.stack", "layer": {"use": "layer", "mark": "z"}}})
    seen: list[Any] = []
    plan = built.document.plans["a"]
    assert plan.values["layer"].part.loaded.name == "block.layer"
    seen.append(origin(built._fill(plan.values["layer"])))
    assert seen[0].params == {"use": "block.layer", "mark": "z"}


def test_a_secret_is_not_in_the_origin(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "sk-123456")
    found = origin(made(registry, {"a": {"use": "llm.echo", "key": "${env:KEY}"}})["a"])
    assert found is not None
    assert found.params["key"] == "***"
    assert "sk-123456" not in repr(found)
    assert origin(made(registry, {"a": {"use": "llm.echo", "key": Secret("sk-2")}})["a"]) == found


def test_the_fingerprint_is_the_same_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("a: {use: retriever.joined, of: [{use: flat, texts: [x, 斗]}, {use: held}]}")
    code = (
        "import sys; from dougong import load; from dougong.assemble import origin; "
        "print(origin(load('c.yaml', plugins=[sys.argv[1]])['a']).fingerprint)"
    )
    prints = {
        subprocess.run(
            [sys.executable, "-c", code, str(FAKES)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(prints) == 1


def test_a_part_is_named_by_its_path(assembly: Make) -> None:
    """A ref gives the named object, anything else a fresh one; a path that leads nowhere is named."""
    built = assembly("a: {use: retriever.joined, of: [{ref: b}, {use: flat, texts: [x]}]}\nb: {use: retriever.flat}\n")
    assert built.part("a.of[0]") is built["b"]
    assert built.part("a.of[0].chunker").params.size == 100
    assert built.part("a.of[1]") is not built.part("a.of[1]")
    for path in ("a.of[2]", "a.of.x", "c", "b.chunker.size.x"):
        with pytest.raises(KeyError, match=re.escape(path)):
            built.part(path)
