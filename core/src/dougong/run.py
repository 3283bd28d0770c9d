"""A run: every model, tool and retriever call of one task, seen, counted and written down in one place.

A technique does not know of runs. Its ``llm``, ``tool`` and ``retriever`` slots hold proxies (`dougong.proxies`); a
proxy asks which run is active (a context variable) and sends the call through that run: cancellation, then
middleware, outermost first, then the journal, then the technique. Outside a run a call goes straight through.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from contextvars import copy_context
from typing import Any, TypeVar

import attrs

from dougong.call import Call as Call
from dougong.call import Record as Record
from dougong.call import outside_of
from dougong.errors import CallError, Cancelled, Diverged, Exhausted
from dougong.frame import Frame, current, within
from dougong.journal import Journal, JournalError
from dougong.kinds import Middleware, Pattern
from dougong.messages import t
from dougong.recall import Recall
from dougong.types import Answer, Delta, Event, Result, Secret, Usage

T = TypeVar("T")
Items = Iterator[Delta | Result]
_PUNCTUATION = re.compile(r"[.\[\]/~^!\s]")
"""What paths are punctuated with; a child's name has none of it."""


@attrs.define(eq=False)
class _Shared:
    """What a run and all its children have in common."""

    middleware: tuple[Middleware, ...]
    listener: Callable[[Event], None] | None
    recall: Recall
    ask: Callable[[str, Sequence[str]], str] | None
    cancelled: threading.Event = attrs.field(factory=threading.Event)
    lock: threading.RLock = attrs.field(factory=threading.RLock)
    records: list[Record] = attrs.field(factory=list)
    memory: dict[int, Any] = attrs.field(factory=dict)


class Run:
    """One task being worked on. `cancel` may come from any thread; all else from code that the run is active in.

    Args:
        middleware: outermost first.
        listener: called with every `Event`, on the thread where it happens; must return quickly.
        session: name of the memory that this run belongs to.
        journal: where the run is written down. What it already holds is read back instead of being done again.
        replay: everything comes from the journal; a call that it does not hold is `Diverged`.
        ask: puts a question to a person, ``(question, choices) -> answer``.
    """

    def __init__(
        self,
        middleware: Sequence[Middleware] = (),
        listener: Callable[[Event], None] | None = None,
        session: str = "",
        *,
        journal: Journal | None = None,
        replay: bool = False,
        ask: Callable[[str, Sequence[str]], str] | None = None,
    ) -> None:
        self.session, self.name = session, ""
        self._shared = _Shared(tuple(middleware), listener, Recall(journal, replay), ask)
        self._root = Frame(self, "")

    @contextmanager
    def active(self) -> Iterator[Run]:
        """Make this the run that proxies see. Left by an error, it is cancelled, so that its branches end too."""
        token = current.set(self._root)
        try:
            yield self
        except BaseException:
            if not self._root.path:
                self.cancel()
            raise
        finally:
            current.reset(token)

    def work(self, pattern: Pattern, task: str) -> Answer:
        """What `pattern` answers, with what it cost. How the run ended is written down; a failed one can be resumed."""
        try:
            answer = pattern.run(task, self)
        except BaseException as error:
            self._shared.recall.fail(error)
            self.emit("failed", error=error)
            raise
        return self.end(attrs.evolve(answer, usage=self.usage))

    # ------------------------------------------------------------ what patterns use

    def say(self, text: str) -> None:
        """A piece of the answer, as soon as it is known: what a person watching should read."""
        self.emit("say", text=text)

    def emit(self, kind: str, **data: Any) -> None:
        """Tell the listener that something happened."""
        if self._shared.listener is not None:
            self._shared.listener(Event(kind, self._here().path, data))

    def parallel(self, branches: Sequence[Callable[[], T]], limit: int = 16) -> list[T]:
        """The results of `branches`, in order; at most `limit` at once, each on a thread with a copy of the context.

        All are awaited; then the first error, by position, is raised. The only fan-out in a run: what another thread
        does without it goes unseen.
        """
        here = self._here().next_path()

        def work(index: int) -> T:
            current.set(Frame(self, f"{here}[{index}]"))
            return branches[index]()

        with ThreadPoolExecutor(min(limit, len(branches)) or 1, thread_name_prefix="dougong") as pool:
            waiting = [pool.submit(copy_context().run, work, index) for index in range(len(branches))]
        return [future.result() for future in waiting]

    @contextmanager
    def child(self, name: str) -> Iterator[Run]:
        """A named run inside this one: same journal, middleware, budget and cancellation, a memory of its own."""
        child = object.__new__(Run)
        child.session, child.name, child._shared = f"{self.session}/{name}", name, self._shared
        child._root = Frame(child, f"{self._here().next_path()}/{_PUNCTUATION.sub('-', Secret.scrub(name))}")
        with child.active():
            self.emit("started", name=name)
            yield child

    def outside(self, what: str, function: Callable[[], T]) -> T:
        """A value from outside the run (a clock, a file, a person): taken once, and the same again on replay.

        It is plain data or dougong's types: what has no JSON form cannot be replayed. Raises Cancelled.
        """
        self.check()
        value: T = self._shared.recall.value(self._here().next_path(), what, function)
        return value

    def end(self, answer: Answer) -> Answer:
        """Write down that the run came to its end, and with what; give it as a replay would."""
        answer = self._shared.recall.end(answer)
        self.emit("finished", answer=answer)
        return answer

    def now(self) -> float:
        """Seconds since 1970."""
        return self.outside("now", time.time)

    def random(self) -> random.Random:
        """A generator whose seed is the run's."""
        return random.Random(self.outside("seed", lambda: random.getrandbits(63)))

    def ask(self, question: str, choices: Sequence[str] = ()) -> str:
        """A person's answer. Raises CallError where nobody can be asked."""

        return self.outside("answer", lambda: self.put(question, choices))

    def put(self, question: str, choices: Sequence[str] = ()) -> str:
        """Ask now, whatever the journal holds. Patterns use `ask`."""
        if self._shared.ask is None:
            raise CallError(t("nobody can be asked: {question}", question=question), hint=t("run it on a terminal"))
        return self._shared.ask(question, choices)

    def sleep(self, seconds: float) -> None:
        """Wait, unless cancelled; on replay, not at all. Raises Cancelled."""
        if not self._shared.recall.replaying:
            self._shared.cancelled.wait(seconds)
        self.check()

    def cancel(self) -> None:
        """Ask the run and its children to stop; the next call, delta or `check` raises `Cancelled`."""
        self._shared.cancelled.set()

    def check(self) -> None:
        """Raise `Cancelled` if the run was cancelled. Long loops of a technique call this."""
        if self._shared.cancelled.is_set():
            raise Cancelled(t("the run was cancelled"))

    # ------------------------------------------------------------ what middleware uses

    def memory(self, owner: object, make: Callable[[], T]) -> T:
        """What `owner` keeps for this run and its children, made on first use: techniques themselves keep no state."""
        with self._shared.lock:
            return self._shared.memory.setdefault(id(owner), (owner, make()))[1]  # type: ignore[no-any-return]

    @property
    def records(self) -> list[Record]:
        """Calls that are finished, in the order in which they ended."""
        return self._shared.records

    @property
    def usage(self) -> Usage:
        """What the calls so far cost. A model made of others counts as those; a call that a budget refused, not."""
        made = [record for record in self.records if not (isinstance(record.error, Exhausted) and not record.items)]
        wrappers = {outer for record in made if record.call.kind == "llm" for outer in outside_of(record.call.path)}
        total = Usage()
        for record in sorted(made, key=_path):  # in one order: a sum of floats depends on it
            if record.call.kind == "llm" and record.call.path in wrappers:
                continue
            total += Usage(model_calls=record.call.kind == "llm", tool_calls=record.call.kind == "tool")
            for item in record.items:
                if isinstance(item, Delta) and item.usage is not None:
                    total += item.usage
        return total

    # ------------------------------------------------------------ calls

    def invoke(
        self, kind: str, name: str, arguments: Mapping[str, Any], inner: Callable[[Call], Items], effect: str = "read"
    ) -> Items:
        """Send a call through cancellation, middleware and journal to `inner`, and yield what comes back."""
        self.check()
        call = Call(self._here().next_path(), kind, name, arguments, effect)
        yield from self._carry_out(call, inner)

    def _carry_out(self, call: Call, inner: Callable[[Call], Items]) -> Generator[Delta | Result, None, None]:
        recall = self._shared.recall

        def innermost(call: Call) -> Items:
            key = recall.key(call)
            for past in recall.inside(key):
                self._count_again(past)
            yield from within(Frame(self, key), recall.items(call, key, inner, self))

        proceed: Callable[[Call], Items] = innermost
        for layer in reversed(self._shared.middleware):
            proceed = _around(layer, proceed)
        self.emit("call", call=call)
        items: list[Delta | Result] = []
        error: BaseException | None = None
        start = time.perf_counter()
        source = within(Frame(self, f"{call.path}^"), proceed(call))
        try:
            for item in source:
                items.append(item)
                if isinstance(item, Delta):
                    self.emit("delta", call=call, delta=item)
                yield item
                self.check()
        except BaseException as problem:
            error = problem
            raise
        finally:
            try:
                source.close()
            finally:
                self.records.append(Record(call, tuple(items), error, time.perf_counter() - start))
                self.emit("result", call=call, error=error)

    def _count_again(self, past: Call) -> None:
        """Pass a call that lies inside a finished one through middleware again. It ends as it ended then."""
        try:
            with closing(self._carry_out(past, _unreachable)) as stream:
                for _ in stream:
                    if self._shared.recall.cut(past):
                        break
        except (Cancelled, Diverged, JournalError):
            raise
        except Exception:
            pass  # what it was made in dealt with it

    def _here(self) -> Frame:
        frame = current.get()
        return frame if frame is not None and frame.run._shared is self._shared else self._root


def _path(record: Record) -> str:
    return record.call.path


def _around(layer: Middleware, proceed: Callable[[Call], Items]) -> Callable[[Call], Items]:
    return lambda call: layer.around(call, proceed)


def _unreachable(call: Call) -> Items:
    raise AssertionError(f"{call.path} was finished and must be read back")


def active_run() -> Run | None:
    """The run that the current code is part of; None outside one."""
    frame = current.get()
    return frame.run if frame else None


def report(stage: str, done: int, total: int | None = None, detail: str = "") -> None:
    """Say how far a long job is; progress bars listen. Free outside a run; raises `Cancelled` in a cancelled one."""
    run = active_run()
    if run is not None:
        run.check()
        run.emit("progress", stage=stage, done=done, total=total, detail=detail)
