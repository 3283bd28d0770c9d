"""The middleware: values out of the request, values back into the reply."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

import attrs
from dougong import Call, Delta, Message, Result, Secret, ToolResult

from dougong_middleware_redact import Params
from dougong_middleware_redact.find import Finder

Items = Iterator[Delta | Result]
_PLACEHOLDER = re.compile(r"\[[A-Z][A-Z_]*_\d+\]")


class Redact:
    """Replaces values by placeholders, ``[EMAIL_1]``, in what a model is sent, and puts them back in what it replies.

    Each request is numbered on its own, in order of first appearance: so numbers do not depend on which of several
    branches came first, a resumed run finds the same ones, and in a conversation that grows they stay the same.
    Secrets that the process knows become ``***`` and do not come back.
    """

    def __init__(self, params: Params) -> None:
        self._params, self._finder = params, Finder(params.kinds, params.patterns)

    def around(self, call: Call, proceed: Callable[[Call], Items]) -> Items:
        """The call's items; a model's with the values in them again."""
        if call.kind == "llm":
            names = _Names(call.arguments["messages"])
            messages = [self._message(message, names) for message in call.arguments["messages"]]
            items = proceed(attrs.evolve(call, arguments={**call.arguments, "messages": messages}))
            with closing(items):  # type: ignore[type-var]  # what core hands on are generators
                yield from _restored(items, names.values) if self._params.restore and names.values else items
        elif call.kind == "tool" and self._params.results:
            source = proceed(call)
            with closing(source):  # type: ignore[type-var]  # what core hands on are generators
                for item in source:
                    yield Result(self._result(item.value)) if isinstance(item, Result) else item
        else:
            yield from proceed(call)

    def _message(self, message: Message, names: _Names) -> Message:
        def out(text: str) -> str:
            return self._finder.replace(Secret.scrub(text), names.name)

        content: Any = message.content
        if isinstance(content, str):
            content = out(content)
        else:
            content = tuple(
                attrs.evolve(part, text=out(part.text), source=out(part.source), meta=_mapped(part.meta, out))
                for part in content
            )
        calls = tuple(attrs.evolve(one, arguments=_mapped(one.arguments, out)) for one in message.tool_calls)
        return attrs.evolve(message, content=content, tool_calls=calls)

    def _result(self, value: Any) -> Any:
        def out(text: str) -> str:
            return self._finder.replace(Secret.scrub(text), lambda label, _: f"[{label}]")

        if isinstance(value, ToolResult):
            return attrs.evolve(value, text=out(value.text), data=_mapped(value.data, out))
        return _mapped(value, out)


class _Names:
    """Placeholders of one request: none that its text holds already."""

    def __init__(self, messages: Any) -> None:
        self.values: dict[str, str] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._last: dict[str, int] = {}
        self._taken = {found for m in messages for part in m.parts for found in _PLACEHOLDER.findall(part.text)}

    def name(self, label: str, value: str) -> str:
        while (label, value) not in self._names:
            number = self._last[label] = self._last.get(label, 0) + 1
            placeholder = f"[{label}_{number}]"
            if placeholder not in self._taken:
                self._names[label, value], self.values[placeholder] = placeholder, value
        return self._names[label, value]


def _restored(items: Items, values: Mapping[str, str]) -> Items:
    """The reply with `values` for their placeholders; the beginning of one is held back until its end is there."""

    def back(text: str) -> str:
        return _PLACEHOLDER.sub(lambda found: values.get(found[0], found[0]), text)

    held = ""
    try:
        for item in items:
            if not isinstance(item, Delta):
                yield item
                continue
            text, held = held + item.text, ""
            last = bool(item.finish or item.usage or item.tool_calls)
            start = text.rfind("[")
            if not last and start >= 0 and any(name.startswith(text[start:]) for name in values):
                text, held = text[:start], text[start:]
            calls = tuple(attrs.evolve(call, arguments=_mapped(call.arguments, back)) for call in item.tool_calls)
            data = _mapped(item.data, back)
            if text or calls or data or last:
                yield attrs.evolve(item, text=back(text), tool_calls=calls, data=data)
    except Exception:
        if held:
            yield Delta(held)
        raise
    if held:
        yield Delta(held)


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """Plain data with every string in it changed; keys stay."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_mapped(item, change) for item in value)
    return value
