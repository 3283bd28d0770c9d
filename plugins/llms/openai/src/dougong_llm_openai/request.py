"""Messages, tools, schema and sampling to the JSON body of a chat completion request."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dougong import Message, Part, Sampling, Tool
from dougong_analyzer import language

from dougong_llm_openai import Params

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # what the API allows as the name of a tool or a speaker


def body(
    params: Params,
    messages: Sequence[Message],
    tools: Sequence[Tool],
    schema: Mapping[str, Any] | None,
    sampling: Sampling,
) -> dict[str, Any]:
    """The request. A tool without parameters gets an empty object schema, which the API asks for."""
    chosen = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        params.max_tokens_field: sampling.max_tokens,
        "seed": sampling.seed,
        "stop": list(sampling.stop) or None,
    }
    request: dict[str, Any] = {
        "model": params.model,
        "messages": _messages(params, messages, schema),
        "stream": True,
        "stream_options": {"include_usage": True},
        **{name: value for name, value in chosen.items() if value is not None},
    }
    if tools:
        request["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool_name(tool.name),
                    "description": tool.description,
                    "parameters": tool.parameters or {"type": "object", "properties": {}},
                },
            }
            for tool in tools
        ]
    if schema is not None and params.schema_mode == "json_schema":
        described = {"name": "reply", "schema": schema, **({"strict": True} if _strict(schema) else {})}
        request["response_format"] = {"type": "json_schema", "json_schema": described}
    elif schema is not None and params.schema_mode == "json_object":
        request["response_format"] = {"type": "json_object"}
    request |= params.extra
    return {name: value for name, value in request.items() if value is not None}


def tool_name(name: str) -> str:
    """`name` as the API allows it: other characters replaced, and a hash so that no two names become one."""
    if _NAME.fullmatch(name):
        return name
    plain = re.sub(r"[^a-zA-Z0-9_-]+", "_", name)[:48].strip("_")
    return f"{plain or 'tool'}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def render(parts: Sequence[Part]) -> str:
    """Parts as one text. Data stands between tags that nothing in it can close, labelled by its source.

    ``<data source="1" title="Chapter > Section">...</data>``; the text itself is not changed, so that it can be quoted
    word for word.
    """
    quoted = "\n".join(part.text for part in parts if part.kind != "text").lower()
    tag = "data"
    while f"</{tag}" in quoted:  # a passage that tries to end its own quotation
        tag = f"data-{hashlib.sha256((tag + quoted).encode('utf-8', 'replace')).hexdigest()[:8]}"
    return "\n\n".join(part.text if part.kind == "text" else _quoted(part, tag) for part in parts)


def _quoted(part: Part, tag: str) -> str:
    labels = {"source": part.source, "title": " > ".join(map(str, part.meta.get("headings", ())))}
    attributes = "".join(f' {name}="{html.escape(" ".join(text.split()))}"' for name, text in labels.items() if text)
    return f"<{tag}{attributes}>\n{part.text}\n</{tag}>"


def _messages(params: Params, messages: Sequence[Message], schema: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    words = next((message.text for message in reversed(messages) if message.role == "user"), "")
    chinese = language(words) == "zh"
    notes = []
    if any(message.role == "tool" or any(part.kind != "text" for part in message.parts) for message in messages):
        notes.append(params.data_note_zh if chinese else params.data_note_en)
    if schema is not None and params.schema_mode != "json_schema":
        note = params.schema_note_zh if chinese else params.schema_note_en
        notes.append(note.replace("{schema}", json.dumps(schema, ensure_ascii=False)))
    rendered = [_message(message) for message in messages]
    note = "\n\n".join(filter(None, notes))
    if note and rendered and rendered[0]["role"] == "system":
        rendered[0]["content"] = f"{rendered[0]['content']}\n\n{note}"
    elif note:
        rendered.insert(0, {"role": "system", "content": note})
    return rendered


def _message(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        parts = [Part(part.text, "data", part.source or message.name, part.meta) for part in message.parts]
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": render(parts)}
    text = render(message.parts)
    named: dict[str, Any] = {}
    if _NAME.fullmatch(message.name):
        named = {"name": message.name}
    elif message.name:  # the API's field takes no other script: say it in words
        text = f"{message.name}: {text}"
    if not message.tool_calls:
        return {"role": message.role, "content": text, **named}
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {
                "name": tool_name(call.name),
                "arguments": json.dumps(dict(call.arguments), ensure_ascii=False),
            },
        }
        for call in message.tool_calls
    ]
    return {"role": message.role, "content": text or None, "tool_calls": calls, **named}


def _strict(schema: Any) -> bool:
    """Whether the API's strict mode takes `schema`: every object closed, and all its properties required."""
    if isinstance(schema, list):
        return all(map(_strict, schema))
    if not isinstance(schema, Mapping):
        return True
    if "properties" in schema or schema.get("type") == "object":
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("properties", {})) != set(schema.get("required", ())):
            return False
        return all(_strict(v) for v in schema.get("properties", {}).values()) and all(
            _strict(v) for k, v in schema.items() if k not in ("properties", "required", "enum", "const")
        )
    return all(_strict(value) for key, value in schema.items() if key not in ("enum", "const", "default"))
