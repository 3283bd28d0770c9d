"""Requests and replies as attributes of a span, named by the conventions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dougong import Call, Delta, Message, Result, Secret, ToolCall, ToolResult, Usage


def request(call: Call, content: bool) -> dict[str, Any]:
    """Settings of a call; with `content`, also what is said in it."""
    arguments = call.arguments
    about: dict[str, Any] = {}
    if call.kind == "llm":
        sampling = arguments.get("sampling")
        if sampling is not None:
            about = {
                "gen_ai.request.temperature": sampling.temperature,
                "gen_ai.request.top_p": sampling.top_p,
                "gen_ai.request.max_tokens": sampling.max_tokens,
                "gen_ai.request.seed": sampling.seed,
                "gen_ai.request.stop_sequences": list(sampling.stop) or None,
            }
        about["gen_ai.output.type"] = "json" if arguments.get("schema") else "text"
        if content:
            about["gen_ai.input.messages"] = _json([_message(message) for message in arguments["messages"]])
    elif call.kind == "tool":
        about = {"gen_ai.tool.name": call.name, "gen_ai.tool.type": "function", "dougong.effect": call.effect}
        if content:
            about["gen_ai.tool.call.arguments"] = _json(arguments["arguments"])
    else:
        about["dougong.retrieval.k"] = arguments["k"]
        if content:
            about["gen_ai.retrieval.query.text"] = Secret.scrub(arguments["query"])
    return {name: value for name, value in about.items() if value is not None}


def response(call: Call, items: Sequence[Delta | Result], content: bool) -> tuple[dict[str, Any], Usage | None]:
    """What came back, and its usage."""
    about: dict[str, Any] = {}
    deltas = [item for item in items if isinstance(item, Delta)]
    usage = next((delta.usage for delta in reversed(deltas) if delta.usage is not None), None)
    if usage is not None:
        about = {
            "gen_ai.usage.input_tokens": usage.input_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens or None,
            "dougong.usage.money": usage.money or None,
            "dougong.usage.estimated": usage.estimated or None,
        }
    finish = [delta.finish for delta in deltas if delta.finish]
    about["gen_ai.response.finish_reasons"] = finish or None
    about["gen_ai.response.model"] = next((delta.data["model"] for delta in deltas if "model" in delta.data), None)
    if deltas and content:
        calls = tuple(one for delta in deltas for one in delta.tool_calls)
        reply = _message(Message("assistant", "".join(delta.text for delta in deltas), calls))
        about["gen_ai.output.messages"] = _json([{**reply, "finish_reason": finish[-1] if finish else ""}])
    for value in (item.value for item in items if isinstance(item, Result)):
        if isinstance(value, ToolResult):
            about["error.type"] = "tool_error" if value.error else None
            about["gen_ai.tool.call.result"] = Secret.scrub(value.text) if content else None
        elif isinstance(value, list):
            about["dougong.retrieval.hits"] = len(value)
    return {name: value for name, value in about.items() if value is not None}, usage


def _message(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        parts = [{"type": "tool_call_response", "id": message.tool_call_id, "response": _text(message)}]
    else:
        parts = [{"type": "text", "content": _text(message)}] if _text(message) else []
        parts += [_call(call) for call in message.tool_calls]
    return {"role": message.role, "parts": parts}


def _text(message: Message) -> str:
    return "\n".join(part.text for part in message.parts)


def _call(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_call", "id": call.id, "name": call.name, "arguments": dict(call.arguments)}


def _json(value: Any) -> str:
    return Secret.scrub(json.dumps(value, ensure_ascii=False, default=str))
