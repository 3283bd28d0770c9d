"""Checks of what a technique declares: its distribution, its params, its signatures."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import attrs

from dougong.assemble import Assembly
from dougong.config import compose
from dougong.errors import ConfigError, DougongError
from dougong.kinds import KINDS, Builder, protocol_members
from dougong.messages import t
from dougong.params import fields_of, holds_slot, unwrapped
from dougong.registry import Loaded, Registry
from dougong.testing.techniques import assembly_of
from dougong.types import Secret

HEAVY = (
    "torch transformers tokenizers peft numpy scipy pandas sklearn sqlite3 sentence_transformers faiss hnswlib ray "
    "openai httpx requests aiohttp urllib.request onnxruntime PIL"
)
"""What declaring a technique must not import: it would make every `dougong check` slow."""

Problems = Callable[..., Sequence[DougongError]]
"""Takes overrides of the params, gives what is wrong with them."""


# ---------------------------------------------------------------- the distribution


def imports_nothing_heavy(loaded: Loaded, plugin: str | Path | None) -> None:
    """In a fresh process, find the technique and make its schema."""
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from dougong.registry import Registry\nfrom dougong.schema import schema\n"
        f"files = [Path(file) for file in {[str(plugin)] if plugin else []!r}]\n"
        f"found = Registry(files=files).find({loaded.name!r})\n"
        "schema(found.technique.params, found.name)\n"
        f"print('==' + ' '.join(name for name in {HEAVY!r}.split() if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, f"{loaded.name} cannot be found in a fresh process: {done.stderr[-800:]}"
    heavy = done.stdout.rpartition("==")[2].strip()
    assert not heavy, (
        f"declaring {loaded.name} imports {heavy}; import it in the module that the factory names, not in __init__"
    )


def distribution_is_described(loaded: Loaded, plugin: str | Path | None) -> None:
    """Metadata of the distribution that declares the technique; a plugin file has none."""
    from packaging.requirements import Requirement

    name = loaded.entry.distribution
    if plugin is not None:
        return
    assert loaded.entry.name == loaded.name, f"the entry point is called {loaded.entry.name}; call it {loaded.name}"
    about: Any = metadata.metadata(name)
    needs = [Requirement(line) for line in metadata.requires(name) or ()]
    floors = {s.operator for need in needs if need.name == "dougong" and not need.marker for s in need.specifier}
    assert ">=" in floors, f"{name} does not ask for dougong; write dependencies = ['dougong>=0.1']"
    caps = floors & {"<", "<=", "==", "===", "~="}
    assert not caps, f"{name} caps dougong ({', '.join(sorted(caps))}); the plugin API's version is in the entry point"
    licensed = about.get("License-Expression") or about.get("License")
    licensed = licensed or any("License ::" in line for line in about.get_all("Classifier") or ())
    assert licensed, f"{name} names no licence; write license = 'Apache-2.0', or yours"
    assert (about.get("Summary") or "").strip(), f"{name} has no description; write description = '...'"
    readme = about.get("Description") or about.get_payload()
    assert isinstance(readme, str), f"{name} has no README; write readme = 'README.md'"
    assert readme.strip(), f"{name} has no README; write readme = 'README.md'"


def summary_and_source(loaded: Loaded) -> None:
    """What `dougong plugins` shows."""
    summary, source = loaded.technique.summary, loaded.technique.source
    assert summary.strip(), f"{loaded.name} has no summary; say in one sentence what it is"
    assert "\n" not in summary, f"the summary of {loaded.name} has several lines; it is one sentence"
    assert len(summary) <= 160, f"the summary of {loaded.name} has {len(summary)} characters; 160 are shown"
    assert summary.rstrip()[-1] in ".!?。！？", f"the summary of {loaded.name} is no sentence; end it with a full stop"
    assert source.strip(), f"{loaded.name} has no source; name the paper, the specification or the library it follows"


# ---------------------------------------------------------------- the params


def parameters_are_documented(loaded: Loaded) -> None:
    """Each by its name in the docstring."""
    params = loaded.technique.params
    said = set(re.findall(r"\w+", inspect.getdoc(params) or ""))
    missing = [name for name in fields_of(params) if name not in said]
    assert not missing, f"the docstring of {params.__qualname__} does not name {', '.join(missing)}; say what each is"


def schema_is_whole(loaded: Loaded) -> None:
    """It names every parameter, the required ones, and no kind that there is not."""
    from dougong.schema import schema

    known = fields_of(loaded.technique.params)
    made = schema(loaded.technique.params, loaded.name)
    text = json.dumps(made, allow_nan=False)  # a default that JSON cannot hold would stop `dougong schema`
    assert set(made["properties"]) == {"use", *known}
    assert set(made["required"]) == {"use", *(name for name, field in known.items() if field.default is attrs.NOTHING)}
    assert set(re.findall(r"#/\$defs/([\w-]+)", text)) <= set(KINDS)
    open_ended = [name for name, property in made["properties"].items() if not {*property} - {"default", "title"}]
    lax = [name for name in open_ended if known[name].type is not Any]
    assert not lax, f"the types of {', '.join(lax)} are not ones that a config can check; see docs/plugins.md"


def defaults_are_right(loaded: Loaded, params: Mapping[str, Any], registry: Registry) -> None:
    """`params` with defaults resolve; alone, what lacks is told at its place."""
    known = fields_of(loaded.technique.params)
    required = {f"made.{name}" for name, field in known.items() if field.default is attrs.NOTHING}
    try:
        assembly_of(loaded.name, params, registry)
    except ConfigError as error:
        raise AssertionError(f"params of the suite are wrong: {error}") from None
    try:
        assembly_of(loaded.name, {}, registry)
    except ConfigError as error:
        told, message = {problem.path for problem in error.problems}, str(error)
    else:
        told, message = set(), ""
    assert told <= required, f"a default of {loaded.name} is wrong: {message}"
    assert told == required, f"not told as missing: {', '.join(sorted(required - told))}"


_WRONG: dict[Any, list[Any]] = {
    bool: ["perhaps", 1],
    int: ["many", 1.5, True, [1]],
    float: ["much", True, [1.0]],
    str: [3, ["a"], {"a": 1}],
    Path: [3, ["a"]],
    Secret: ["written out", 3],
}


def wrong_types_are_told(loaded: Loaded, problems: Problems) -> None:
    """Values of another type, for each parameter."""
    for name, field in fields_of(loaded.technique.params).items():
        annotation, _ = unwrapped(field.type)
        assert annotation not in (None, Any, object), f"{name} of {loaded.name} may be anything; say what it is"
        for value in _wrong_for(annotation):
            told = problems(**{name: value})
            assert any(problem.path.startswith(f"made.{name}") for problem in told), (
                f"{loaded.name} takes {value!r} for {name}, which is {field.type}; narrow the type of the field"
            )


def _wrong_for(annotation: Any) -> Sequence[Any]:
    origin = get_origin(annotation) or annotation
    if origin is Literal:
        return [value for value in ("no such choice", 3.5) if value not in get_args(annotation)]
    if origin in (list, tuple):
        return [3.5, "a, b"]
    if origin in (dict, Mapping):
        return [3.5, "a: b"]
    if origin is Builder or holds_slot(annotation) or (isinstance(origin, type) and attrs.has(origin)):
        return [3.5, "words"]
    return _WRONG.get(origin, ())


_EXTREMES = [-(10**9), -1, 0, 1, 2, 10**9]


def extremes_are_told(loaded: Loaded, problems: Problems) -> None:
    """Numbers at and beyond the ends, for each parameter that is one."""
    for name, field in fields_of(loaded.technique.params).items():
        annotation, _ = unwrapped(field.type)
        if annotation not in (int, float):
            continue
        values: list[Any] = list(_EXTREMES)
        if annotation is float:
            values += [-0.5, 0.5, 1.5, float("inf"), float("-inf")]
        for value in values:
            _told_well(loaded, name, value, problems(**{name: value}))
        if annotation is float and field.validator is not None:
            told = problems(**{name: float("nan")})
            assert any(problem.path == f"made.{name}" for problem in told), (
                f"{loaded.name} takes not-a-number for {name}; write `if not value > 0`, not `if value <= 0`"
            )


def _told_well(loaded: Loaded, name: str, value: Any, told: Sequence[DougongError]) -> None:
    for problem in told:
        crashed = problem.message.startswith(t("its validator fails: {reason}", reason=""))
        assert not crashed, (
            f"{loaded.name}, {name}={value!r}: {problem.message}; raise ValueError where a value is wrong"
        )
        if problem.path == f"made.{name}":
            assert problem.message.strip(), f"{loaded.name}, {name}={value!r}: the validator says nothing"
            fallback = t("see 'dougong plugins {name}'", name=loaded.name)
            assert problem.hint not in ("", fallback) or re.search(r"\d", problem.message), (
                f"{loaded.name}, {name}={value!r}: '{problem.message}' names no cure; "
                "raise ValueError('must be ...; ...')"
            )


def params_survive_being_shown(assembly: Assembly) -> None:
    """To YAML and back; nothing that Python objects fill can be."""
    from io import StringIO

    from ruamel.yaml import YAML

    from dougong.cli.show import resolved

    shown = resolved(assembly)
    if any(_objects(shown)):
        return
    stream = StringIO()
    YAML().dump(shown, stream)
    tree = compose(stream.getvalue(), "conformance")
    assert tree is not None
    tree = attrs.evolve(tree, place=assembly.tree.place)
    again = resolved(Assembly(tree, assembly.registry))
    assert again == shown, (
        "what `dougong show --resolved` writes resolves to something else; params must be plain values"
    )


def _objects(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if set(value) == {"object"}:
            yield str(value["object"])
        for item in value.values():
            yield from _objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from _objects(item)


# ---------------------------------------------------------------- signatures


def signature_problems(protocol: type, built: Any) -> list[str]:
    """Where the methods of `built` cannot be called as those of `protocol` are."""
    problems = []
    for name in sorted(protocol_members(protocol)):
        promised = getattr(protocol, name, None)
        if not inspect.isfunction(promised):  # an attribute
            continue
        method = getattr(built, name, None)
        if not callable(method):
            problems.append(f"it has no method {name}")
            continue
        wanted = list(inspect.signature(promised).parameters.values())[1:]
        problems += [f"{name}: {problem}" for problem in _calls(wanted, inspect.signature(method))]
    return problems


def _calls(wanted: Sequence[inspect.Parameter], have: inspect.Signature) -> Iterator[str]:
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    mine = [p for p in have.parameters.values() if p.kind in by_position]
    rest = {p.kind for p in have.parameters.values()} & set(variable)
    place = 0
    for parameter in wanted:
        if parameter.kind in variable:
            if parameter.kind not in rest:
                yield f"it takes no {parameter}; other kinds of callers hand it more"
            continue
        own = have.parameters.get(parameter.name)
        if own is None or own.kind in variable:
            if rest != set(variable) and not (
                parameter.kind is inspect.Parameter.KEYWORD_ONLY and inspect.Parameter.VAR_KEYWORD in rest
            ):
                yield f"it takes no {parameter.name!r}; name its parameters as the protocol does"
            continue
        if parameter.kind in by_position:
            if place < len(mine) and mine[place].name != parameter.name:
                yield f"{parameter.name!r} is not number {place + 1}; keep the protocol's order"
            place += 1
        if parameter.default is not inspect.Parameter.empty and own.default != parameter.default:
            yield f"{parameter.name!r} has not the default {parameter.default!r}; callers leave it out"
    extra = [p for p in have.parameters.values() if p.name not in {w.name for w in wanted} and p.kind not in variable]
    for parameter in extra:
        if parameter.default is inspect.Parameter.empty:
            yield f"it asks for {parameter.name!r}, which no caller gives; give it a default, or make it a parameter"
