"""What holds for a technique of any kind. Each kind's class adds what its protocol promises.

A failing check says what is wrong and how to mend it. Everything here needs pytest and hypothesis alone.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import pytest

from dougong.assemble import Assembly, installed
from dougong.errors import ConfigError
from dougong.registry import Loaded, Registry
from dougong.testing import declared
from dougong.testing.comparing import difference, in_another_process
from dougong.testing.techniques import assembly_of, registry_of

THREADS = 6


class Conformance:
    """Inherit from the class of your kind, not from this one. Set in your class:

    Attributes:
        name: full name of the technique, ``chunker.mine``.
        params: what a config would give it; slots take mappings (``{"use": "words"}``) or built objects.
        plugin: the file that declares the technique, where no installed distribution does.
        golden: what the technique itself promises, as ``(input, expected)`` or ``(input, expected, params)``: examples
            worked out by hand or by an independent reference. What the input is, each kind says (`answer`). Numbers
            are compared to `tolerance`.
        refused: params that a validator of the technique must refuse, ``{"size": 0}``: the first values out of range.
        accepted: params at the ends of their ranges, which must be taken.
        shared: False for what is made to be used once and by one thread (a list of scripted replies).
    """

    kind: ClassVar[str] = ""
    name: str = ""
    params: Mapping[str, Any] = {}
    plugin: str | Path | None = None
    golden: Sequence[tuple[Any, ...]] = ()
    tolerance: float = 1e-6
    refused: Sequence[Mapping[str, Any]] = ()
    accepted: Sequence[Mapping[str, Any]] = ()
    shared: bool = True

    across_processes: ClassVar[bool] = False
    """Whether another process must do the same: for what is stored and found again."""

    folder: Path
    """Empty, this test's own."""

    @pytest.fixture(autouse=True)
    def _around(self, tmp_path: Path) -> Iterator[None]:
        self.folder = tmp_path
        self._assemblies: list[Assembly] = []
        yield
        for assembly in reversed(self._assemblies):
            assembly.close()

    # ------------------------------------------------------------ what a kind's class says

    def parameters(self) -> Mapping[str, Any]:
        """`params`; override it where they need `folder`."""
        return self.params

    def prepare(self, built: Any) -> None:
        """Bring a fresh object to where it can be used: an index gets its chunks."""

    def observe(self, built: Any) -> Any:
        """What a prepared object does with some standard inputs, as data that compares; no check where it is None."""
        return None

    def answer(self, built: Any, given: Any) -> Any:
        """What `built` makes of the input of a golden case, in the form in which `golden` says it."""
        raise NotImplementedError

    # ------------------------------------------------------------ what checks use

    def registry(self) -> Registry:
        """Where techniques come from."""
        return _registry_of_file(Path(self.plugin)) if self.plugin else installed()

    def loaded(self) -> Loaded:
        """The technique, not built."""
        assert self.name, f"{type(self).__name__} has no name; write name = 'kind.technique' in it"
        return self.registry().find(self.name)

    def assembly(self, **overrides: Any) -> Assembly:
        """An assembly whose ``made`` is the technique with `params` and `overrides`. Raises ConfigError."""
        return assembly_of(self.name, {**self.parameters(), **overrides}, self.registry())

    def build(self, **overrides: Any) -> Any:
        """The technique, built as ``dougong.make(name, **params)`` builds it; closed after the test."""
        assembly = self.assembly(**overrides)
        getattr(self, "_assemblies", []).append(assembly)
        return assembly["made"]

    def ready(self, **overrides: Any) -> Any:
        """`build`, then `prepare`."""
        built = self.build(**overrides)
        self.prepare(built)
        return built

    # ------------------------------------------------------------ how it is declared

    def test_the_name_is_of_the_kind(self) -> None:
        """The class is that of the technique's kind."""
        assert not self.kind or self.loaded().kind == self.kind, (
            f"{self.name} is no {self.kind}; inherit from the class of its kind"
        )

    def test_loading_imports_nothing_heavy(self) -> None:
        """Finding the technique, its schema and a check of its params import no numerical library and no database."""
        declared.imports_nothing_heavy(self.loaded(), self.plugin)

    def test_the_distribution_is_described(self) -> None:
        """Entry point, a floor on dougong and no cap, licence, README: what an installer and a reader need."""
        declared.distribution_is_described(self.loaded(), self.plugin)

    def test_summary_and_source_are_said(self) -> None:
        """One sentence that says what it is, and where it comes from."""
        declared.summary_and_source(self.loaded())

    def test_every_parameter_is_documented(self) -> None:
        """The docstring of the params names each."""
        declared.parameters_are_documented(self.loaded())

    def test_the_schema_is_whole(self) -> None:
        """An editor can complete and check it."""
        declared.schema_is_whole(self.loaded())

    def test_the_params_are_right(self) -> None:
        """The suite's own params, and the defaults of the rest, pass their validators; required ones are told."""
        declared.defaults_are_right(self.loaded(), self.parameters(), self.registry())

    def test_an_unknown_parameter_is_told(self) -> None:
        """By its name and place."""
        problems = self.problems(siez_=1)
        assert any(problem.path == "made.siez_" for problem in problems), (
            f"{self.name} takes a parameter that it does not have; params must be a plain attrs class"
        )

    def test_a_wrong_type_is_told(self) -> None:
        """For every parameter, at its place."""
        declared.wrong_types_are_told(self.loaded(), self.problems)

    def test_numbers_out_of_range_are_told(self) -> None:
        """A validator accepts a number or raises ValueError with a cure; it does not crash, and lets no NaN pass."""
        declared.extremes_are_told(self.loaded(), self.problems)

    def test_its_ranges_end_where_it_says(self) -> None:
        """`refused` and `accepted`."""
        for params in self.refused:
            named = {f"made.{name}" for name in params}
            assert named & {problem.path for problem in self.problems(**params)}, f"{self.name} takes {dict(params)}"
        for params in self.accepted:
            told = [str(problem) for problem in self.problems(**params)]
            assert not told, f"{self.name} refuses {dict(params)}: {told}"

    def test_params_survive_being_shown(self) -> None:
        """`dougong show --resolved` writes a config that resolves to the same."""
        declared.params_survive_being_shown(self.assembly())

    def problems(self, **overrides: Any) -> Sequence[Any]:
        """What is wrong with `params` and `overrides`; empty where nothing is."""
        try:
            self.assembly(**overrides)
        except ConfigError as error:
            return error.problems
        return ()

    # ------------------------------------------------------------ how what it builds behaves

    def test_what_it_builds_meets_its_protocol(self) -> None:
        """All members, with the protocol's parameter names, order and defaults."""
        wrong = declared.signature_problems(self.loaded().protocol, inner(self.build()))
        assert not wrong, f"what {self.name} builds is no {self.loaded().protocol.__name__}: " + "; ".join(wrong)

    def test_closing_twice_is_harmless(self) -> None:
        """Where there is a `close`."""
        built = self.build()
        for _ in range(2):
            if callable(getattr(built, "close", None)):
                built.close()

    def test_two_that_are_built_alike_behave_alike(self) -> None:
        """Nothing but the params decides what it does; use a seed that is one of them."""
        self._same(self.observe(self.ready()), self.observe(self.ready()), "two objects of equal params differ")

    def test_calls_leave_nothing_behind(self) -> None:
        """The second time is like the first: techniques keep no state of a run."""
        if self.shared:
            built = self.ready()
            self._same(self.observe(built), self.observe(built), "the second call does something else than the first")

    def test_inside_a_run_it_does_the_same(self) -> None:
        """A run sees and counts; it changes nothing."""
        from dougong.run import Run

        plain = self.observe(self.ready())
        built = self.ready()
        with Run().active():
            self._same(plain, self.observe(built), "it does something else inside a run")

    def test_threads_may_share_it(self) -> None:
        """Concurrent runs, each on its own thread, see what one alone sees."""
        if not self.shared:
            return
        wanted = self.observe(self.ready())
        if wanted is None:
            return
        for found in together(self.ready(), self.observe):
            self._same(wanted, found, "used by threads at once it does something else; keep calls' state in locals")

    def test_another_process_does_the_same(self) -> None:
        """Nothing hangs on `hash`, the order of a set, or an address: what is stored is found again tomorrow."""
        if self.across_processes:
            wanted = self.observe(self.ready())
            wrong = in_another_process(type(self), wanted)
            assert not wrong, (
                f"{self.name} does something else in another process: {wrong}; use no hash() and no set order"
            )

    def test_it_keeps_its_own_promises(self) -> None:
        """`golden`: what this technique, and not its kind, is known to do."""
        wrong = []
        for number, (given, expected, *rest) in enumerate(self.golden):
            found = self.answer(self.ready(**(rest[0] if rest else {})), given)
            if told := difference(expected, found, self.tolerance):
                wrong.append(f"golden[{number}], {str(given)[:60]!r}: {told}")
        assert not wrong, "\n".join(wrong)

    def _same(self, wanted: Any, found: Any, what: str) -> None:
        told = difference(wanted, found, self.tolerance)
        assert not told, f"{self.name}: {what}: {told}"


def inner(built: Any) -> Any:
    """A technique itself, not the proxy before it."""
    from dougong.proxies import Proxy

    return built._inner if isinstance(built, Proxy) else built


def together(built: Any, observe: Any, threads: int = THREADS) -> list[Any]:
    """What `observe` sees of `built` on each of `threads` that work at once, each in a run of its own.

    Raises the first error that one of them met.
    """
    from dougong.run import Run

    found: list[Any] = [None] * threads
    errors: list[BaseException] = []
    start = threading.Barrier(threads)
    folder = str(Path(getattr(sys.modules.get(type(inner(built)).__module__), "__file__", None) or __file__).parent)

    def work(number: int) -> None:
        try:
            start.wait(30)
            with Run().active():
                sys.settrace(_yielding(folder, number))
                found[number] = observe(built)
        except BaseException as error:
            errors.append(error)
        finally:
            sys.settrace(None)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads that meet rarely would meet in production
    try:
        workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(interval)
    if errors:
        raise errors[0]
    return found


def _yielding(folder: str, seed: int) -> Callable[..., Any]:
    """A trace function that lets other threads go on between two lines of the code in `folder`, now and then: what
    would happen once a month happens here."""
    chance = random.Random(seed).random
    steps = 0

    def line(frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        nonlocal steps
        steps += 1
        if chance() < (0.5 if steps < 400 else 0.02):
            time.sleep(0)
        return line

    def call(frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        return line if frame.f_code.co_filename.startswith(folder) else None

    return call


@cache
def _registry_of_file(file: Path) -> Registry:
    return registry_of([file])
