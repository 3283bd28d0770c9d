"""Small mistakes put into our own plugins, one at a time: does the conformance kit see them?

``python tests/mutants/harness.py chunkers/fixed --sample 40`` prints what survives. Each mutant is judged three times:
by its kind's suite alone, by the suite with what the plugin itself promises (`golden`, `refused`, `accepted`), and, if
it survives both, by the plugin's own tests: one that survives these too changes nothing that anybody looks at, and is
set aside as equivalent. Linux only: each mutant runs in a fork of a process that has imported the libraries.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType

import attrs

ROOT = Path(__file__).parent.parent.parent
OWN = "keeps_its_own_promises or ranges_end_where_it_says or what_it_cannot_read_is_told"
SEEN_ELSEWHERE = "another_process or nothing_heavy or distribution_is_described"  # processes of their own, unmutated
_warm: list[bool] = []
LIMIT = 120  # seconds that a plugin's tests may take as it is; a mutant, three times what they take

_COMPARE = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip


@attrs.frozen
class Mutant:
    """One mistake.

    Attributes:
        module: where it is, and `source` that module with it.
        change: what was changed, as a person reads it.
    """

    module: str
    file: Path
    line: int
    change: str
    source: str


# ---------------------------------------------------------------- making them


def mutants(folder: Path) -> list[Mutant]:
    """Every mutant of a plugin's modules."""
    found = []
    package = next((folder / "src").glob("dougong_*"))
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(folder / "src").with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        tree = ast.parse(file.read_text("utf-8"))
        for number, node in enumerate(_sites(tree)):
            for which in range(len(_changes(node))):
                changed = copy.deepcopy(tree)
                place = list(_sites(changed))[number]
                before = _said(place)
                _changes(place)[which]()
                source = ast.unparse(ast.fix_missing_locations(changed))
                found.append(Mutant(module, file, node.lineno, f"{before}  ->  {_said(place)}", source))
    return found


def _sites(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that may be changed, in a fixed order. By rule left out is what only people read or only types are made
    of: docstrings, messages of errors, annotations, decorators, what is for type checkers, asserts."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list", "type_comment"):
            continue
        for node in value if isinstance(value, list) else [value]:
            if not isinstance(node, ast.AST) or isinstance(
                node, (ast.JoinedStr, ast.Assert, ast.Import, ast.ImportFrom)
            ):
                continue
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                continue
            if isinstance(node, ast.keyword) and node.arg in ("hint", "summary", "source"):
                continue
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                continue
            if hasattr(node, "lineno"):
                yield node
            if not isinstance(node, ast.Raise):
                yield from _sites(node)


def _changes(node: ast.AST) -> list:
    """What may be done to a node, each a function that does it in place."""

    def put(**fields: object):
        return lambda: [setattr(node, name, value) for name, value in fields.items()]

    found = []
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARE:
        found.append(put(ops=[_COMPARE[type(node.ops[0])](), *node.ops[1:]]))
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _ARITHMETIC:
        if not (isinstance(node, ast.BinOp) and _textual(node)):
            found.append(put(op=_ARITHMETIC[type(node.op)]()))
    elif isinstance(node, ast.BoolOp):
        found.append(put(op=ast.Or() if isinstance(node.op, ast.And) else ast.And()))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        found.append(put(op=ast.UAdd(), operand=ast.Call(ast.Name("bool", ast.Load()), [node.operand], [])))
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            found.append(put(value=not node.value))
        elif isinstance(node.value, (int, float)) and abs(node.value) < 1000:  # capacities of buffers are larger
            found.append(put(value=node.value + 1))
            found.append(put(value=node.value - 1))
    elif isinstance(node, (ast.If, ast.While, ast.IfExp)):
        found.append(put(test=ast.UnaryOp(ast.Not(), node.test)))
    elif (
        isinstance(node, ast.Return) and node.value is not None and ast.unparse(node.value) not in ("None", "[]", "()")
    ):
        found.append(put(value=ast.Constant(None)))
    elif isinstance(node, ast.Slice):
        found += [put(**{edge: None}) for edge in ("lower", "upper") if getattr(node, edge) is not None]
    if isinstance(node, (ast.Expr, ast.AugAssign, ast.Continue, ast.Break, ast.Raise)):

        def delete() -> None:
            node.__class__ = ast.Pass  # type: ignore[assignment]
            node._fields = ()  # type: ignore[misc]

        found.append(delete)
    return found


def _textual(node: ast.BinOp) -> bool:
    return any(isinstance(side, (ast.JoinedStr, ast.List)) or isinstance(getattr(side, "value", 0), str)
               for side in (node.left, node.right))  # fmt: skip


def _said(node: ast.AST) -> str:
    if isinstance(node, ast.Pass):
        return "(deleted)"
    head = ast.unparse(node).strip().splitlines()[0] if hasattr(node, "lineno") else ""
    return head if len(head) < 90 else f"{head[:87]}..."


# ---------------------------------------------------------------- judging them


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module another source."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if name != self.mutant.module:
            return None
        file = self.mutant.file
        folders = [str(file.parent)] if file.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(name, file, loader=self, submodule_search_locations=folders)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.mutant.source, str(self.mutant.file), "exec"), module.__dict__)

    def create_module(self, spec: object) -> None:
        return None


def fails(
    mutant: Mutant | None, tests: Sequence[Path], chosen: str = "", used: Path | None = None, limit: float = LIMIT
) -> bool:
    """Whether pytest fails, or takes more than `limit` seconds of a processor, with the mutant in place, in a fork of
    this process; `used` gets its modules' names."""
    child = os.fork()
    if child == 0:
        try:
            _be_quiet()
            signal.setitimer(signal.ITIMER_PROF, limit)  # ends the process
            signal.alarm(5 * LIMIT)  # where it waits for ever
            resource.setrlimit(resource.RLIMIT_DATA, (6 << 30, 6 << 30))
            if mutant is not None:
                sys.meta_path.insert(0, _Finder(mutant))
            import pytest

            options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "dougong.testing.runner", "--rootdir", str(ROOT)]
            options += ["-c", str(ROOT / "pyproject.toml"), *(["-k", chosen] if chosen else [])]
            code = int(pytest.main([*map(str, tests), *options]))
            if used is not None:
                used.write_text("\n".join(sys.modules), encoding="utf-8")
            os._exit(0 if code in (0, 5) else 1)  # 5: no test was chosen
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return status != 0


def _be_quiet() -> None:
    os.setpgrp()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)


@attrs.define
class Verdict:
    """A plugin's mutants, and who saw them."""

    plugin: str
    made: int
    suite: int = 0
    promises: int = 0
    missed: list[Mutant] = attrs.field(factory=list)
    equivalent: list[Mutant] = attrs.field(factory=list)
    seconds: float = 0.0

    @property
    def changing(self) -> int:
        """Mutants that change what somebody looks at."""
        return self.made - len(self.equivalent)

    @property
    def share(self) -> float:
        return (self.suite + self.promises) / self.changing if self.changing else 1.0

    def row(self) -> str:
        alone = self.suite / self.changing if self.changing else 1.0
        return (f"{self.plugin:28} {self.made:5} {self.changing:9} {self.suite:6} {alone:6.0%} {self.promises:9} "
                f"{self.share:6.0%} {len(self.missed):7} {len(self.equivalent):11} {self.seconds:6.0f} s")  # fmt: skip


HEAD = f"{'plugin':28} mutants changing  suite  share +promises  share  missed  equivalent   time"


def judge(folder: Path, sample: int, seed: int = 0) -> Verdict:
    """Judge `sample` mutants of a plugin, drawn the same way every time. Raises RuntimeError if it fails unmutated."""
    started = time.monotonic()
    _import_libraries(folder)
    package = next((folder / "src").glob("dougong_*")).name
    if package in sys.modules:
        raise RuntimeError(f"{package} was imported before it could be mutated; judge it in a process of its own")
    suite = [folder / "tests" / "test_conformance.py"]
    own = [file for file in sorted((folder / "tests").glob("test_*.py")) if file != suite[0]]
    with tempfile.TemporaryDirectory() as place:
        used, before = Path(place) / "used", _spent()
        failing = fails(None, suite, f"not ({SEEN_ELSEWHERE})", used)
        between = _spent()
        if failing or (own and fails(None, own)):
            raise RuntimeError(f"{folder} fails its own tests as it is, or takes more than {LIMIT} s")
        limit, patience = 5 + 3 * (between - before), 5 + 3 * (_spent() - between)
        modules = set(used.read_text("utf-8").splitlines())
    # A module that only other plugins use is theirs to test.
    every = [mutant for mutant in mutants(folder) if mutant.module in modules]
    chosen = random.Random(seed).sample(every, min(sample, len(every)))
    verdict = Verdict(folder.relative_to(ROOT / "plugins").as_posix(), len(chosen))
    for mutant in sorted(chosen, key=lambda mutant: (mutant.file, mutant.line)):
        if fails(mutant, suite, f"not ({OWN}) and not ({SEEN_ELSEWHERE})", limit=limit):
            verdict.suite += 1
        elif fails(mutant, suite, OWN, limit=limit):
            verdict.promises += 1
        elif own and fails(mutant, own, limit=patience):
            verdict.missed.append(mutant)
        else:
            verdict.equivalent.append(mutant)
    verdict.seconds = time.monotonic() - started
    return verdict


def _spent() -> float:
    """Seconds of a processor that the forks so far took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _import_libraries(folder: Path) -> None:
    """Once here, and so not in every fork: what the plugin uses, but not itself."""
    import dougong.testing.runner
    import numpy  # noqa: F401
    import pytest

    if folder.parent.name in ("loaders", "tokenizers", "chunkers", "embedders", "retrievers", "patterns", "llms"):
        import dougong

        for name in ("words", "characters"):
            if folder.name != name:
                dougong.make(f"tokenizer.{name}").count("斗拱连接柱与梁")  # loads the dictionary
    if not _warm:
        _warm.append(True)
        file = ROOT / "tests" / "mutants" / "harness.py"  # holds no test: pytest and its plugins are imported, no more
        with redirect_stdout(StringIO()):
            pytest.main([str(file), "-q", "-p", "dougong.testing.runner", "-p", "no:cacheprovider"])
    if folder.parent.name in ("blocks", "networks", "caches", "adapters", "objectives"):
        import torch
        import transformers  # noqa: F401

        torch.set_num_threads(1)


def judged(plugin: str, sample: int, seed: int = 0) -> Verdict:
    """`judge` in a process of its own: `plugin` is ``chunkers/fixed``."""
    command = [sys.executable, __file__, plugin, "--sample", str(sample), "--seed", str(seed), "--json"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"{plugin} could not be judged: {done.stderr[-2000:]}")
    data = json.loads(done.stdout.splitlines()[-1])
    for survivors in ("missed", "equivalent"):
        data[survivors] = [Mutant(**{**mutant, "file": Path(mutant["file"])}) for mutant in data[survivors]]
    return Verdict(**data)


def listed(verdicts: Sequence[Verdict]) -> str:
    """Everything that survived, by plugin."""
    lines = []
    for verdict in verdicts:
        for what, survivors in (("missed", verdict.missed), ("equivalent", verdict.equivalent)):
            for mutant in survivors:
                place = f"{mutant.file.relative_to(ROOT).as_posix()}:{mutant.line}"
                lines.append(f"{what:10}  {place}  {mutant.change}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plugin", nargs="+", help="kinds/name, as the folder below plugins/ is called")
    parser.add_argument("--sample", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one plugin's verdict, for programs")
    options = parser.parse_args()
    if options.json:
        verdict = judge(ROOT / "plugins" / options.plugin[0], options.sample, options.seed)
        print(json.dumps(attrs.asdict(verdict), default=str))
        return
    print(HEAD)
    verdicts = []
    for name in options.plugin:
        verdicts.append(judged(name, options.sample, options.seed))
        print(verdicts[-1].row(), flush=True)
    print(listed(verdicts))


if __name__ == "__main__":
    main()
