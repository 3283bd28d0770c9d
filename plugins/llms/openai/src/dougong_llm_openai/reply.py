"""Chunks of a chat completion to deltas, in every shape that compatible servers send."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from dougong import Delta, Tool, ToolCall, Usage, estimate_tokens

from dougong_llm_openai import EndpointError, Params
from dougong_llm_openai.errors import classify, complaint
from dougong_llm_openai.request import tool_name

MALFORMED = "malformed_json"

# Finish reasons of other servers (GLM, DeepSeek, TGI, Anthropic-like gateways) by ours.
_FINISH = {
    "sensitive": "content_filter",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
}
_FAILED = ("network_error", "insufficient_system_resource", "error", "abort")
_SURROGATE = re.compile("[\ud800-\udfff]")

Fail = Callable[..., EndpointError]


@attrs.define
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""


class _Calls:
    """Tool calls being pieced together. They may come interleaved, by index, by id, or one after another by neither."""

    def __init__(self) -> None:
        self.all: list[_Call] = []
        self._at: dict[Any, _Call] = {}

    def add(self, piece: Mapping[str, Any]) -> None:
        function = piece.get("function") or {}
        id, name, arguments = str(piece.get("id") or ""), str(function.get("name") or ""), function.get("arguments")
        call = self._find(piece.get("index"), id, name)
        call.id, call.name = call.id or id, call.name or name
        if isinstance(arguments, str):
            call.arguments += arguments
        elif arguments is not None:  # some servers send the object itself
            call.arguments = json.dumps(arguments, ensure_ascii=False)

    def _find(self, index: Any, id: str, name: str) -> _Call:
        if index is not None:
            call = self._at.get(index)
        elif id:
            call = next((call for call in self.all if call.id == id), None)
        else:
            call = self.all[-1] if self.all and not name else None
        # One index for several calls is a known fault of servers: another id with a name begins another call.
        if call is None or (id and name and call.id and call.id != id):
            call = _Call()
            self.all.append(call)
        if index is not None:
            self._at[index] = call
        return call


class Reply:
    """One reply as it comes. `take` each event, then `last`; both give deltas. `finish` is set once the model stopped.

    Args:
        tools: those offered, for their own names.
        asked: the request's text, to estimate usage where the server gives none.
        fail: makes the error to raise, of ``(message, kind=, status=)``.
    """

    def __init__(self, params: Params, tools: Sequence[Tool], asked: Callable[[], str], fail: Fail) -> None:
        self._params, self._asked, self._fail = params, asked, fail
        self._names = {tool_name(tool.name): tool.name for tool in tools}
        self._calls = _Calls()
        self._usage: tuple[int, int, int] | None = None
        self._written: list[str] = []
        self._half = ""
        self._id, self._model = "", params.model
        self.finish = ""

    def take(self, event: Any) -> list[Delta]:
        """Deltas of one chunk, or of a whole reply. Raises EndpointError for an error that the server reports."""
        try:
            return self._take(event)
        except (AttributeError, TypeError) as wrong:  # an object, a list or a string where the API has another
            raise self._fail(f"sent a chunk of a shape that the API does not have: {str(event)[:200]!r}",
                             kind="server") from wrong  # fmt: skip

    def _take(self, event: Any) -> list[Delta]:
        if _is_error(event):
            message, codes, status = complaint(event)
            raise self._fail(message, kind=classify(status, codes), status=status)
        choices = event.get("choices")
        self._id, self._model = self._id or str(event.get("id") or ""), str(event.get("model") or self._model)
        self._usage = _usage(event) or self._usage
        deltas: list[Delta] = []
        for choice in choices or ():
            if choice.get("index") in (0, None):
                deltas += self._choice(choice)
        return deltas

    def last(self) -> list[Delta]:
        """Tool calls, whole, and the delta that closes the reply."""
        deltas = [Delta(self._half.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))] if self._half else []
        calls, malformed = self._finished()
        if calls:
            deltas.append(Delta(tool_calls=calls, data={"malformed": malformed} if malformed else {}))
        finish = _FINISH.get(self.finish, self.finish or "stop")
        if finish not in ("stop", "length", "tool_calls", "content_filter"):
            finish = "stop"
        if calls and finish == "stop":
            finish = "tool_calls"
        return [*deltas, Delta(finish=finish, usage=self._priced(), data={"model": self._model})]

    # ------------------------------------------------------------ pieces

    def _choice(self, choice: Mapping[str, Any]) -> list[Delta]:
        piece = choice.get("delta")
        if piece is None and not self._written and not self._calls.all:
            piece = choice.get("message")  # a whole reply; at a stream's end some servers repeat everything here
        piece = piece or {}
        self._usage = _usage(choice) or self._usage
        for call in piece.get("tool_calls") or ():
            self._calls.add(call)
        data: dict[str, Any] = {}
        thought = _text(piece.get("reasoning_content") or piece.get("reasoning"))
        refusal = _text(piece.get("refusal"))
        if thought:
            data["reasoning"] = thought
            self._written.append(thought)
        if refusal:
            data["refusal"] = True
        text = self._joined(_text(piece.get("content")) + refusal)
        reason = choice.get("finish_reason")
        if reason in _FAILED:
            raise self._fail(f"the server gave up: {reason}", kind="server")
        self.finish = self.finish or str(reason or "")
        return [Delta(text, data=data)] if text or data else []

    def _joined(self, text: str) -> str:
        """`text` with surrogate pairs made whole: a server may escape the halves of one character into two chunks."""
        if text:
            self._written.append(text)
        if not self._half and not _SURROGATE.search(text):
            return text
        text, self._half = self._half + text, ""
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _finished(self) -> tuple[tuple[ToolCall, ...], dict[str, str]]:
        calls: list[ToolCall] = []
        malformed: dict[str, str] = {}
        for number, call in enumerate(self._calls.all, 1):
            id = call.id or f"{self._id or 'call'}_{number}"
            try:
                arguments = _arguments(call.arguments)
            except (ValueError, RecursionError) as error:
                cut = "; the reply was cut at its maximum of tokens" if self.finish == "length" else ""
                malformed[id] = f"{error or 'nested too deeply'}{cut}"
                arguments = {MALFORMED: call.arguments}
            calls.append(ToolCall(id, self._names.get(call.name, call.name), arguments))
        return tuple(calls), malformed

    def _priced(self) -> Usage:
        p = self._params
        written = "".join(self._written) + "".join(call.name + call.arguments for call in self._calls.all)
        read, output, cached = self._usage or (estimate_tokens(self._asked()), estimate_tokens(written), 0)
        price_cached = p.price_input if p.price_cached is None else p.price_cached
        money = ((read - cached) * (p.price_input or 0) + cached * (price_cached or 0)
                 + output * (p.price_output or 0)) / 1e6  # fmt: skip
        return Usage(read, output, cached, money=money, currency=p.currency, estimated=self._usage is None)


def _is_error(event: Mapping[str, Any]) -> bool:
    if event.get("error") or (event.get("base_resp") or {}).get("status_code"):
        return True
    return not event.get("choices") and any(event.get(key) for key in ("code", "message", "detail"))


def _usage(event: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """Tokens of input, output, and of input from a cache, as OpenAI, DeepSeek and Kimi name them; None of none."""
    said = event.get("usage")
    if not isinstance(said, Mapping):
        return None
    read, output = _count(said.get("prompt_tokens")), _count(said.get("completion_tokens"))
    details = said.get("prompt_tokens_details") or {}
    known = (details.get("cached_tokens"), said.get("prompt_cache_hit_tokens"), said.get("cached_tokens"))
    return (read, output, min(read, max(map(_count, known)))) if read or output else None


def _count(value: Any) -> int:
    return max(int(value), 0) if isinstance(value, (int, float)) and value == value and abs(value) < 1e15 else 0


def _text(content: Any) -> str:
    """A string, or the texts of a list of content parts."""
    if isinstance(content, str):
        return content
    items = content if isinstance(content, list) else ()
    return "".join(str(item.get("text") or "") for item in items if isinstance(item, Mapping))


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _arguments(text: str) -> Mapping[str, Any]:
    """The object that `text` holds; line breaks inside strings and an object inside a string are forgiven."""
    value = json.loads(text, strict=False, parse_constant=_no_constant) if text.strip() else {}
    if isinstance(value, str):
        value = json.loads(value, strict=False, parse_constant=_no_constant) if value.strip() else {}
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"arguments are an object, not {type(value).__name__}")
    return value
