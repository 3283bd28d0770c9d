"""How many tokens a request will take: a likely figure, and one that it cannot exceed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from dougong import estimate_tokens

_MESSAGE = 8  # tokens of a message's frame: role, marks around quoted data
_MOST_MESSAGE, _MOST_REQUEST = 32, 128  # the same at most; and what a model's own notes add to a request


def request(arguments: Mapping[str, Any], count: Callable[[str], int] = estimate_tokens) -> tuple[int, int]:
    """Tokens of a chat request, estimated and at most. No byte-level tokenizer makes more tokens than bytes."""
    pieces, messages = [], 0
    for message in arguments.get("messages", ()):
        messages += 1 + sum(part.kind != "text" for part in message.parts)
        pieces += [part.text for part in message.parts]
        pieces += [f"{call.name} {_json(dict(call.arguments))}" for call in message.tool_calls]
    for tool in arguments.get("tools") or ():
        messages += 1
        pieces.append(f"{tool.name} {tool.description} {_json(tool.parameters)}")
    if arguments.get("schema"):
        pieces.append(_json(arguments["schema"]))
    text = "\n".join(pieces)
    most = len(text.encode("utf-8", "surrogatepass")) + messages * _MOST_MESSAGE + _MOST_REQUEST
    return min(count(text) + messages * _MESSAGE, most), most


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
