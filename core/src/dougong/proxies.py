"""What stands in ``llm``, ``tool`` and ``retriever`` slots: sends the one call through the active run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from dougong.kinds import LLM, Retriever, Tool
from dougong.run import Call, active_run
from dougong.types import Delta, Hit, Message, Result, Sampling, ToolResult


class Proxy:
    """Stands before a built technique; everything but the one call goes to the technique itself."""

    def __init__(self, inner: Any, name: str) -> None:
        self._inner, self._name = inner, name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__") or attribute == "_inner":  # copy and pickle probe before __init__ ran
            raise AttributeError(attribute)
        return getattr(self._inner, attribute)

    def __repr__(self) -> str:
        return f"<{self._name}: {self._inner!r}>"


class _LLMProxy(Proxy):
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


class _ToolProxy(Proxy):
    def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        run = active_run()
        if run is None:
            return self._inner.call(arguments)  # type: ignore[no-any-return]
        inner = _once(self._inner.call)
        steps = run.invoke("tool", self._name, {"arguments": arguments}, inner, self._inner.effect)
        return _value(steps)  # type: ignore[no-any-return]


class _RetrieverProxy(Proxy):
    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        run = active_run()
        if run is None:
            return self._inner.search(query, k, where)  # type: ignore[no-any-return]
        arguments = {"query": query, "k": k, "where": where}
        return _value(run.invoke("retriever", self._name, arguments, _once(self._inner.search)))  # type: ignore[no-any-return]


def _once(function: Callable[..., Any]) -> Callable[[Call], Iterator[Result]]:
    def inner(call: Call) -> Iterator[Result]:
        yield Result(function(**call.arguments))

    return inner


def _value(items: Iterable[Delta | Result]) -> Any:
    """Carry the call out to its end and give its result."""
    value = None
    for item in items:
        if isinstance(item, Result):
            value = item.value
    return value


_PROXIES: dict[type, type[Proxy]] = {LLM: _LLMProxy, Tool: _ToolProxy, Retriever: _RetrieverProxy}


def proxied(kind: type, inner: Any, name: str) -> Any:
    """`inner` behind the proxy of its kind's protocol, or itself where the kind has none."""
    proxy = _PROXIES.get(kind)
    return proxy(inner, name) if proxy is not None else inner
