"""A run: every model, tool and retriever call of one task, seen in one place.

A technique does not know of runs. Its ``llm``, ``tool`` and ``retriever`` slots hold proxies; a proxy asks which run
is active (a context variable) and sends the call through that run's middleware. Outside a run a call goes straight
through.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import attrs

from dougong.errors import Cancelled
from dougong.kinds import LLM, Middleware, Retriever, Tool
from dougong.types import Delta, Event, Hit, Message, Result, Sampling, ToolResult, Usage


@attrs.frozen
class Call:
    """One call on its way through middleware.

    Attributes:
        path: where in the run: branch and position, ``2.0`` is the first call made inside the third.
        kind: ``llm``, ``tool`` or ``retriever``.
        name: config path of the technique that is called.
        arguments: keyword arguments of ``chat``, ``call`` or ``search``; middleware may pass on others.
    """

    path: str
    kind: str
    name: str
    arguments: Mapping[str, Any]


@attrs.frozen
class Record:
    """A finished call: what came back, or the error that did. `seconds` is the caller's wall time."""

    call: Call
    items: tuple[Delta | Result, ...]
    error: BaseException | None
    seconds: float


class _Frame:
    """A place in the run that counts the calls made directly in it."""

    __slots__ = ("path", "position", "run")

    def __init__(self, run: Run, path: str) -> None:
        self.run, self.path, self.position = run, path, 0

    def next_path(self) -> str:
        path = f"{self.path}.{self.position}" if self.path else str(self.position)
        self.position += 1
        return path


_frame: ContextVar[_Frame | None] = ContextVar("dougong_frame", default=None)


class Run:
    """One task being worked on. Pinned to the thread that enters it; `cancel` may come from any thread.

    Args:
        middleware: outermost first.
        listener: called with every `Event`, on the run's thread; must return quickly.
        session: name of the memory that this run belongs to.
    """

    def __init__(
        self,
        middleware: Sequence[Middleware] = (),
        listener: Callable[[Event], None] | None = None,
        session: str = "",
    ) -> None:
        self.records: list[Record] = []
        self.session = session
        self._middleware = tuple(middleware)
        self._listener = listener
        self._cancelled = threading.Event()
        self._root = _Frame(self, "")

    @contextmanager
    def active(self) -> Iterator[Run]:
        """Make this the run that proxies see."""
        token = _frame.set(self._root)
        try:
            yield self
        finally:
            _frame.reset(token)

    def cancel(self) -> None:
        """Ask the run to stop; the next call, delta or `check` raises `Cancelled`."""
        self._cancelled.set()

    def check(self) -> None:
        """Raise `Cancelled` if the run was cancelled. Long loops of a technique call this."""
        if self._cancelled.is_set():
            raise Cancelled("the run was cancelled")

    def emit(self, kind: str, **data: Any) -> None:
        """Tell the listener that something happened."""
        if self._listener is not None:
            frame = _frame.get()
            self._listener(Event(kind, frame.path if frame and frame.run is self else "", data))

    def say(self, text: str) -> None:
        """A piece of the answer, as soon as it is known: what a person watching should read."""
        self.emit("say", text=text)

    @property
    def usage(self) -> Usage:
        """What the calls so far cost."""
        total = Usage()
        for record in self.records:
            total += Usage(model_calls=record.call.kind == "llm", tool_calls=record.call.kind == "tool")
            for item in record.items:
                if isinstance(item, Delta) and item.usage is not None:
                    total += item.usage
        return total

    def invoke(
        self,
        kind: str,
        name: str,
        arguments: Mapping[str, Any],
        inner: Callable[[Call], Iterator[Delta | Result]],
    ) -> Iterator[Delta | Result]:
        """Send a call through cancellation and middleware to `inner`, record it, and yield what comes back."""
        self.check()
        frame = _frame.get()
        if frame is None or frame.run is not self:
            frame = self._root
        call = Call(frame.next_path(), kind, name, arguments)
        inside = _Frame(self, call.path)
        proceed = inner
        for layer in reversed(self._middleware):
            proceed = _around(layer, proceed)
        self.emit("call", call=call)
        items: list[Delta | Result] = []
        error: BaseException | None = None
        start = time.perf_counter()
        try:
            source = iter(proceed(call))
            while True:
                # The frame is set only while the callee computes: a generator shares its consumer's context.
                token = _frame.set(inside)
                try:
                    item = next(source, None)
                finally:
                    _frame.reset(token)
                if item is None:
                    break
                items.append(item)
                if isinstance(item, Delta):
                    self.emit("delta", call=call, delta=item)
                yield item
                self.check()
        except BaseException as problem:
            error = problem
            raise
        finally:
            self.records.append(Record(call, tuple(items), error, time.perf_counter() - start))
            self.emit("result", call=call, error=error)


def _around(layer: Middleware, proceed: Callable[[Call], Iterator[Delta | Result]]) -> Any:
    return lambda call: layer.around(call, proceed)


def active_run() -> Run | None:
    """The run that the current code is part of; None outside one."""
    frame = _frame.get()
    return frame.run if frame else None


def report(stage: str, done: int, total: int | None = None, detail: str = "") -> None:
    """Say how far a long job is; progress bars listen. Free outside a run; raises `Cancelled` in a cancelled one."""
    run = active_run()
    if run is not None:
        run.check()
        run.emit("progress", stage=stage, done=done, total=total, detail=detail)


# ---------------------------------------------------------------- proxies


class _Proxy:
    """Stands in a slot before the built technique; everything but the one call goes to the technique itself."""

    def __init__(self, inner: Any, name: str) -> None:
        self._inner, self._name = inner, name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__") or attribute == "_inner":  # copy and pickle probe before __init__ ran
            raise AttributeError(attribute)
        return getattr(self._inner, attribute)

    def __repr__(self) -> str:
        return f"<{self._name}: {self._inner!r}>"


class _LLMProxy(_Proxy):
    def chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        schema: Mapping[str, Any] | None = None,
        sampling: Sampling = Sampling(),
    ) -> Iterator[Delta]:
        arguments = {"messages": messages, "tools": tools, "schema": schema, "sampling": sampling}
        run = active_run()
        if run is None:
            yield from self._inner.chat(**arguments)
            return
        for item in run.invoke("llm", self._name, arguments, lambda call: self._inner.chat(**call.arguments)):
            if isinstance(item, Delta):
                yield item


class _ToolProxy(_Proxy):
    def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        run = active_run()
        if run is None:
            return self._inner.call(arguments)  # type: ignore[no-any-return]
        steps = run.invoke(
            "tool", self._name, {"arguments": arguments}, lambda call: _once(self._inner.call, call.arguments)
        )
        return _value(steps)  # type: ignore[no-any-return]


class _RetrieverProxy(_Proxy):
    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        run = active_run()
        if run is None:
            return self._inner.search(query, k, where)  # type: ignore[no-any-return]
        arguments = {"query": query, "k": k, "where": where}
        steps = run.invoke("retriever", self._name, arguments, lambda call: _once(self._inner.search, call.arguments))
        return _value(steps)  # type: ignore[no-any-return]


def _once(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Iterator[Result]:
    yield Result(function(**arguments))


def _value(items: Iterable[Delta | Result]) -> Any:
    """Run the call to its end and give its result."""
    value = None
    for item in items:
        if isinstance(item, Result):
            value = item.value
    return value


_PROXIES: dict[type, type[_Proxy]] = {LLM: _LLMProxy, Tool: _ToolProxy, Retriever: _RetrieverProxy}


def proxied(kind: type, inner: Any, name: str) -> Any:
    """`inner` behind the proxy of its kind's protocol, or itself where the kind has none."""
    proxy = _PROXIES.get(kind)
    return proxy(inner, name) if proxy is not None else inner
