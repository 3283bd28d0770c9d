"""Builds what a config describes: imports factories, fills slots, closes in reverse order."""

from __future__ import annotations

import importlib
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dougong.config import Node, from_python, read
from dougong.errors import BuildError, ConfigError, DougongError, Place
from dougong.kinds import KINDS, Pattern, kind_of, lacking
from dougong.messages import t
from dougong.origin import Origin as Origin
from dougong.origin import origin as origin
from dougong.origin import remember
from dougong.overrides import override, parse_set
from dougong.plan import Document, Fresh, Given, Plan, Ref, walk
from dougong.registry import Registry
from dougong.resolve import resolve
from dougong.secret import without
from dougong.types import Answer, Event

if TYPE_CHECKING:  # imported where something is built or run: `dougong check` does neither
    from dougong.journal import Journal
    from dougong.run import Run
    from dougong.stream import Stream


def load(
    path: str | Path,
    *,
    set: Mapping[str, Any] | Iterable[str] = (),
    plugins: Iterable[str | Path] = (),
) -> Assembly:
    """An assembly from a config file. Nothing is built yet.

    Args:
        path: YAML or JSON.
        set: values that replace the file's before validation, ``{"main.llm.model": "x"}`` or ``["main.k=5"]``.
        plugins: local plugin files.

    Raises ConfigError with every problem found.
    """
    return Assembly(read_tree(Path(path), set), Registry(files=map(Path, plugins)) if plugins else installed())


def read_tree(path: Path, set: Mapping[str, Any] | Iterable[str] = ()) -> Node:
    """A config file's tree with overrides applied, not yet checked."""
    tree = read(path)
    if isinstance(set, Mapping):
        changes = [(key, from_python(value, Place("set"))) for key, value in set.items()]
    else:
        changes = [parse_set(option) for option in set]
    for key, node in changes:
        tree = override(tree, key, node, node.place)
    return tree


def make(use: str | Mapping[str, Any], /, **params: Any) -> Any:
    """Build one technique: ``make("chunker.recursive", size=400, tokenizer={"use": "words"})``.

    Slots take built objects or mappings. Raises ConfigError and BuildError as `load` and its assembly do.
    """
    given = {"use": use, **params} if isinstance(use, str) else {**use, **params}
    name = str(given.get("use", "technique")).rpartition(".")[2]
    tree = Node({name: from_python(given, Place("make"))}, Place("make"), {name: Place("make")})
    assembly = Assembly(tree, installed())
    try:
        return assembly[name]
    except BaseException:
        assembly.close()  # what was built before the failure; what succeeds is its owner's to close
        raise


@cache
def installed() -> Registry:
    """What is installed in this environment, discovered once a process."""
    return Registry()


class Assembly:
    """A config, checked; its techniques are built when first asked for, and closed in reverse order.

    A context manager. Safe to share between threads and concurrent runs.
    """

    def __init__(self, tree: Node, registry: Registry) -> None:
        self.tree, self.registry = tree, registry
        self.document: Document = resolve(tree, registry)
        self._lock = threading.RLock()
        self._named: dict[str, Any] = {}
        self._middleware: list[Any] | None = None
        self._opened: list[Any] = []

    def __getitem__(self, name: str) -> Any:
        """The technique that the document calls `name`, built. Raises KeyError, BuildError."""
        with self._lock:
            if name not in self._named:
                self._named[name] = self._build(self.document.plans[name], True)
            return self._named[name]

    def __contains__(self, name: object) -> bool:
        return name in self.document.plans

    def part(self, path: str) -> Any:
        """What fills the slot at `path` (``library.chunker``, ``main.of[1]``): a named technique, or a fresh one.

        Raises KeyError where there is nothing, BuildError.
        """
        with self._lock:
            return self._fill(self.document.at(path))

    def plans(self) -> Iterator[Plan]:
        """Every technique of the document, nested ones included."""
        for plan in self.document.plans.values():
            yield from walk(plan)
        for part in self.document.middleware:
            if isinstance(part, Plan):
                yield from walk(part)

    def run(self, task: str, **options: Any) -> Answer:
        """Give `task` to the pattern called ``main``; `options` are those of `start`.

        Raises ConfigError if there is no such pattern; CallError where a call fails; StoreError where the journal does.
        """
        pattern = self.main()
        with self.start(**options) as run:
            return run.work(pattern, task)

    def stream(self, task: str, **options: Any) -> Stream:
        """The events of a `run` as they happen, on a thread of its own; the last is ``finished`` with the ``answer``.

        Closing it cancels the run: ``with closing(assembly.stream(task)) as events``. Raises what `run` raises.
        """
        from dougong.stream import Stream

        return Stream(self.main(), task, lambda listener: self.start(listener=listener, **options))

    async def arun(self, task: str, **options: Any) -> Answer:
        """`run` for a program with an event loop. Cancelling it cancels the run."""
        from dougong.stream import last

        return await last(self.stream(task, **options))

    def astream(self, task: str, **options: Any) -> AsyncGenerator[Event, None]:
        """`stream` for a program with an event loop. Cancelling or closing it cancels the run."""
        from dougong.stream import awaited

        return awaited(self.stream(task, **options))

    def main(self) -> Any:
        """The pattern called ``main``, built. Raises ConfigError if there is none."""
        plan = self.document.plans.get("main")
        if plan is None or Pattern not in plan.loaded.protocol.__mro__:
            raise ConfigError(
                t("there is nothing to run: 'main' is no pattern") if plan else t("there is nothing to run: no 'main'"),
                place=plan.node.place if plan else self.tree.place,
                hint=t("write main: {{use: pattern.rag, ...}}"),
            )
        return self["main"]

    @contextmanager
    def start(
        self,
        *,
        session: str = "",
        listener: Callable[[Event], None] | None = None,
        journal: Journal | None = None,
        replay: bool = False,
        ask: Callable[[str, Sequence[str]], str] | None = None,
    ) -> Iterator[Run]:
        """An active `Run` with this document's middleware, also for work that is no pattern's: indexing, a search."""
        from dougong.run import Run

        with self._lock:
            if self._middleware is None:
                self._middleware = [self._fill(part) for part in self.document.middleware]
        run = Run(self._middleware, listener, session, journal=journal, replay=replay, ask=ask)
        with run.active():
            yield run

    def close(self) -> None:
        """Close what was built, last first. A failure does not keep the others open; the first is raised at the end."""
        first: BaseException | None = None
        with self._lock:
            while self._opened:
                try:
                    self._opened.pop().close()
                except Exception as error:
                    first = first or error
            self._named.clear()
            self._middleware = None
        if first is not None:
            raise first

    def __enter__(self) -> Assembly:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # ------------------------------------------------------------ building

    def _fill(self, part: Any, tracked: bool = True) -> Any:
        """The value for a param: slots built, everything else as it is."""
        if isinstance(part, Plan):
            return self._build(part, tracked)
        if isinstance(part, Ref):
            return self[part.name]
        if isinstance(part, Given):
            from dougong.proxies import Proxy, proxied

            if isinstance(part.value, Proxy):  # from `make`: a proxy stands before it already
                return part.value
            return proxied(KINDS[str(kind_of(part.protocol))], part.value, part.path)
        if isinstance(part, Fresh):
            return _Builder(self, part.part)
        if isinstance(part, dict):
            return {key: self._fill(item, tracked) for key, item in part.items()}
        if isinstance(part, (list, tuple)):
            return type(part)(self._fill(item, tracked) for item in part)
        return part

    def _build(self, plan: Plan, tracked: bool, *arguments: Any, **keywords: Any) -> Any:
        from dougong.proxies import proxied

        values = {name: self._fill(value, tracked) for name, value in plan.values.items()}
        technique = plan.loaded.technique
        try:
            params = technique.params(**values)
            self.registry.before_build(plan.path, plan.loaded.name, params)
            module, _, attribute = technique.factory.partition(":")
            instance = getattr(importlib.import_module(module), attribute)(params, *arguments, **keywords)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except DougongError as error:
            error.message = without(error.message, values)
            error.path, error.place = error.path or plan.path, error.place or plan.node.place
            error.technique = error.technique or plan.loaded.name
            error.distribution = error.distribution or plan.loaded.entry.origin
            raise
        except BaseException as error:
            raise self._failure(plan, error, values) from error
        if tracked and callable(getattr(instance, "close", None)):
            self._opened.append(instance)
        protocol = plan.loaded.protocol
        if names := lacking(instance, protocol):
            wrong = t(
                "what it built is no {protocol}: it lacks {names}", protocol=protocol.__name__, names=", ".join(names)
            )
            raise self._failure(plan, wrong, values)
        remember(instance, plan, self.document)
        self.registry.after_build(plan.path, plan.loaded.name, instance)
        return proxied(KINDS[plan.loaded.kind], instance, plan.path)

    def _failure(self, plan: Plan, reason: BaseException | str, values: Mapping[str, Any]) -> BuildError:
        hint = t("tell its author")
        if isinstance(reason, ModuleNotFoundError):
            hint = f"pip install {str(reason.name).partition('.')[0]}"
        elif isinstance(reason, (ValueError, TypeError)):
            hint = t("check its parameters")
        what = reason if isinstance(reason, str) else f"{type(reason).__name__}: {reason}"
        return BuildError(
            t("cannot be built: {reason}", reason=without(what, values)),
            hint=hint,
            path=plan.path,
            place=plan.node.place,
            technique=plan.loaded.name,
            distribution=plan.loaded.entry.origin,
        )


class _Builder:
    """What a ``Builder`` slot holds."""

    def __init__(self, assembly: Assembly, part: Plan | Given) -> None:
        self._assembly, self._part = assembly, part

    @property
    def plan(self) -> Plan | None:
        return self._part if isinstance(self._part, Plan) else None

    @property
    def document(self) -> Document:
        return self._assembly.document

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        if isinstance(self._part, Given):
            return self._part.value(*arguments, **keywords)
        return self._assembly._build(self._part, False, *arguments, **keywords)
