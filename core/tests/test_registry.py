"""Finding and loading plugins: lazily, once, transactionally; a broken one hurts nobody else."""

# ruff: noqa: E501 -- a case is a line

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from dougong import PluginError
from dougong.discovery import Entry, discover
from dougong.registry import Registry

PLUGIN = """
import attrs
from dougong import Technique, hookimpl
COUNT = globals().get("COUNT", 0) + 1
@attrs.frozen
class Params:
    "n: a number"
    n: int = 1
class Thing:
    def __init__(self, params): self.params = params
    def chunk(self, document): return iter(())
@hookimpl
def dougong_chunkers():
    return [Technique(name, Params, "MODULE:Thing", "s", "s") for name in "NAMES".split()]
"""


def plugin(module: str, *names: str) -> str:
    return PLUGIN.replace("MODULE", module).replace("NAMES", " ".join(names))


@pytest.fixture
def installed(distribution: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def install(name: str, points: dict[str, str], modules: dict[str, str] | None = None, **keywords: str) -> None:
        site = distribution(name, points, modules, **keywords)
        if str(site) not in sys.path:
            monkeypatch.syspath_prepend(str(site))
        for module in modules or {}:
            monkeypatch.delitem(sys.modules, module, raising=False)

    return install


def test_discovery_reads_names_and_imports_nothing(installed: Callable[..., None]) -> None:
    installed(
        "acme-one", {"chunker.acme_a": "acme_one", "chunker.acme_b": "acme_one"}, {"acme_one": "raise SystemExit"}
    )
    found = [entry for entry in discover() if entry.distribution == "acme-one"]
    assert found == [
        Entry("dougong.v1", "chunker.acme_a", "acme_one", "acme-one", "1.0"),
        Entry("dougong.v1", "chunker.acme_b", "acme_one", "acme-one", "1.0"),
    ]
    assert (found[0].kind, found[0].technique, found[0].origin) == ("chunker", "acme_a", "acme-one 1.0")
    assert "acme_one" not in sys.modules


def test_discovery_takes_the_first_of_a_distribution_found_twice(
    installed: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other" / "Acme_One-0.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: Acme-One\nVersion: 0.9\n")
    (other / "entry_points.txt").write_text("[dougong.v1]\nchunker.acme_a = old\n")
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    installed("acme-one", {"chunker.acme_a": "acme_one"})
    assert [e.version for e in discover() if e.technique == "acme_a"] == ["1.0"]


def test_discovery_passes_over_what_it_cannot_read(installed: Callable[..., None], tmp_path: Path) -> None:
    installed("acme-one", {"chunker.acme_a": "acme_one  # note"})
    broken = tmp_path / "site" / "broken-1.dist-info"
    broken.mkdir()
    (broken / "entry_points.txt").write_text("[dougong.v1]\nno equals sign\n= x\n[other\nchunker.x = y")
    assert "acme_a" in {entry.technique for entry in discover()}


def test_a_plugin_is_imported_when_first_used_and_once(installed: Callable[..., None]) -> None:
    installed("acme-one", {"chunker.acme_a": "acme_one", "chunker.acme_b": "acme_one"},
              {"acme_one": plugin("acme_one", "acme_a", "acme_b")})  # fmt: skip
    registry = Registry()
    assert "acme_a" in registry.names("chunker")
    assert "acme_one" not in sys.modules
    got: list[object] = []
    barrier = threading.Barrier(16)

    def find(name: str) -> None:
        barrier.wait()
        got.append(registry.find(name).technique.name)

    threads = [threading.Thread(target=find, args=(f"chunker.acme_{'ab'[i % 2]}",)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, got)) == ["acme_a"] * 8 + ["acme_b"] * 8
    assert registry.find("chunker.acme_a") is registry.find("acme_a", "chunker")
    assert sys.modules["acme_one"].COUNT == 1


def test_two_distributions_of_one_name_must_be_told_apart(installed: Callable[..., None]) -> None:
    for name in ("acme-one", "acme-two"):
        module = name.replace("-", "_")
        installed(name, {"chunker.acme_a": module}, {module: plugin(module, "acme_a")})
    registry = Registry()
    with pytest.raises(PluginError, match=r"acme-one 1.0, acme-two 1.0.*use: acme-one:acme_a") as error:
        registry.find("acme_a", "chunker")
    assert error.value.hint
    assert registry.find("acme-two:acme_a", "chunker").entry.distribution == "acme-two"
    assert registry.find("acme-two:chunker.acme_a").entry.distribution == "acme-two"


def test_another_api_version_is_named_and_not_loaded(installed: Callable[..., None]) -> None:
    installed("acme-new", {"chunker.acme_n": "acme_new"}, {"acme_new": "raise SystemExit"}, group="dougong.v2")
    with pytest.raises(PluginError, match=r"made for plugin API dougong\.v2; this dougong has dougong\.v1") as error:
        Registry().find("chunker.acme_n")
    assert "acme-new" in error.value.hint
    assert "acme_new" not in sys.modules


BROKEN = {
    "raises": ("1/0", "ZeroDivisionError"),
    "exits": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "missing import": ("import a_module_that_is_not_there", "No module named 'a_module_that_is_not_there'"),
    "syntax": ("def (", "SyntaxError"),
    "misspelt hook": (plugin("acme_bad", "acme_x").replace("dougong_chunkers", "dougong_chunker"),
                      "there is no hook 'dougong_chunker' (did you mean 'dougong_chunkers'?)"),
    "hook argument": (plugin("acme_bad", "acme_x").replace("chunkers()", "chunkers(registry)"), "registry"),
    "hook raises": (plugin("acme_bad", "acme_x").replace("return [", "return 1/0, ["), "ZeroDivisionError"),
    "hook exits": (plugin("acme_bad", "acme_x").replace("return [", "raise SystemExit(4)\n    return ["), "SystemExit: 4"),
    "hook returns a string": (plugin("acme_bad", "acme_x").replace("return [", "return 'x' and 'rubbish' or ["),
                              "returned str, not a list of Technique"),
    "hook returns other things": (plugin("acme_bad", "acme_x").replace("return [", "return ['rubbish'] or ["), "returned 'rubbish'"),
    "hook returns None": (plugin("acme_bad", "acme_x").replace("return [", "[").replace("s\") for", "s\") and None for"),
                          "declare nothing"),
    "other names": (plugin("acme_bad", "acme_y"), "entry points name chunker.acme_x but its hooks declare chunker.acme_y"),
    "more names": (plugin("acme_bad", "acme_x", "acme_y"), "declare chunker.acme_x, chunker.acme_y"),
    "nothing": ("x = 1", "declare nothing"),
    "params": (plugin("acme_bad", "acme_x").replace("@attrs.frozen", ""), "params of acme_x are not an attrs class"),
    "factory": (plugin("acme_bad", "acme_x").replace(":Thing", ".Thing"), "not written 'module:name'"),
    "protocol": (plugin("acme_bad", "acme_x").replace('"s", "s")', '"s", "s", int)'), "does not narrow kind chunker"),
    "unresolvable type": (plugin("acme_bad", "acme_x").replace("n: int = 1", "n: 'Nowhere' = 1"), "Nowhere"),
    "slot or value": (plugin("acme_bad", "acme_x").replace("n: int = 1", "n: 'dougong.Chunker | str' = 1")
                      .replace("import attrs", "import attrs, dougong"), "is a slot and something else"),
    "default of self": (plugin("acme_bad", "acme_x").replace("n: int = 1", "n: int = attrs.Factory(id, takes_self=True)"),
                        "cannot be set by a config"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_reported_and_the_next_loads_clean(installed: Callable[..., None], case: str) -> None:
    source, reason = BROKEN[case]
    installed("acme-bad", {"chunker.acme_x": "acme_bad"}, {"acme_bad": source})
    installed("acme-good", {"chunker.acme_g": "acme_good"}, {"acme_good": plugin("acme_good", "acme_g")})
    registry = Registry()
    for _ in range(2):
        with pytest.raises(PluginError) as error:
            registry.find("chunker.acme_x")
        assert reason in error.value.message
        assert error.value.distribution == "acme-bad 1.0"
        assert error.value.technique == "chunker.acme_x"
        assert error.value.hint
        assert registry.find("chunker.acme_g").name == "chunker.acme_g"
    registry.before_build("p", "t", None)  # no hook of the broken one is left


def test_a_module_that_is_gone_is_reported(installed: Callable[..., None]) -> None:
    installed("acme-gone", {"chunker.acme_x": "acme_gone"})
    with pytest.raises(PluginError, match="No module named 'acme_gone'"):
        Registry().find("chunker.acme_x")


def test_an_interrupt_while_a_plugin_loads_passes(installed: Callable[..., None]) -> None:
    installed("acme-int", {"chunker.acme_x": "acme_int"}, {"acme_int": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        Registry().find("chunker.acme_x")


# ---------------------------------------------------------------- local files


def test_a_local_file_stands_before_what_is_installed(installed: Callable[..., None], tmp_path: Path) -> None:
    installed("acme-one", {"chunker.acme_a": "acme_one"}, {"acme_one": plugin("acme_one", "acme_a")})
    file = tmp_path / "my plugin-1.py"
    file.write_text(plugin("dougong_local_my_plugin_1", "acme_a"))
    assert Registry(files=[file]).find("chunker.acme_a").entry.distribution == str(file)
    assert "acme_one" not in sys.modules


@pytest.mark.parametrize(
    ("name", "source"), [("a.py", "1/0"), ("b.txt", ""), ("c.py", None), ("d.py", "def dougong_chunkers(: 1")]
)
def test_a_local_file_that_cannot_be_loaded_is_named(tmp_path: Path, name: str, source: str | None) -> None:
    if source is not None:
        (tmp_path / name).write_text(source)
    with pytest.raises(PluginError) as error:
        Registry(files=[tmp_path / name])
    assert name in str(error.value)
