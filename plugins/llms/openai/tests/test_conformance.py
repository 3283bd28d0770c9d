import json

import pytest
from dougong import Message
from dougong.testing import LLMConformance


def answers(request):
    """A server whose model says what it was told, calls `add` for a sum, and answers 5 where a schema is asked for."""
    body = request["body"]
    said = body["messages"][-1]["content"] or ""
    text, calls, finish = f"You said: {said}", [], "stop"
    if body.get("response_format"):
        text = '{"answer": 5}'
    elif "2 + 3" in said and body.get("tools"):
        call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "add", "arguments": ""}}
        text, calls, finish = (
            "",
            [call, *({"index": 0, "function": {"arguments": x}} for x in ('{"a": 2', ', "b": 3}'))],
            "tool_calls",
        )
    for stop in body.get("stop", []):
        text = text.split(stop)[0]
    most = body.get("max_tokens")
    if most is not None and len(text) > most:
        text, finish = text[:most], "length"
    deltas = [{"content": text[at : at + 5]} for at in range(0, len(text), 5)] + [
        {"tool_calls": [call]} for call in calls
    ]
    usage = {"prompt_tokens": len(json.dumps(body["messages"])), "completion_tokens": len(text)}
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks += [
        {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
        {"choices": [], "usage": usage},
        "[DONE]",
    ]
    pieces = [f"data: {chunk if isinstance(chunk, str) else json.dumps(chunk)}\n\n".encode() for chunk in chunks]
    return 200, {}, pieces


class TestOpenAI(LLMConformance):
    """Against a real HTTP server on the loopback."""

    name = "llm.openai"
    calling = (Message("user", "What is 2 + 3?"),)
    filling = (Message("user", "An integer, please."),)
    failing = {"base_url": "http://127.0.0.1:9/v1"}
    honours = ("max_tokens", "stop")
    golden = (("斗拱 is what? 👍", "You said: 斗拱 is what? 👍"),)

    @pytest.fixture(autouse=True)
    def _served(self, server):
        server.script = answers
        self.server = server

    def parameters(self):
        return {"model": "m", "base_url": self.server.url, "timeout": 10.0}
