"""A secret is found in nothing that the commands print or write, whoever says it: server, tool, model, error."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

KEY = 'sk-Qz7/+="wh1sper\\x'
HEADER = "tok_header-55aa77"
CONFIG = """\
main:
  use: pattern.tool-use
  llm:
    use: openai
    model: m
    base_url: "${env:URL}"
    api_key: "${env:KEY}"
    headers: {X-Token: "${env:HEADER}"}
  tools: [{use: tool.leak}]
middleware: [{use: budget, tokens: 100000}]
"""
LEAK = """
import attrs, os
from dougong import Technique, ToolResult, hookimpl, Secret

@attrs.frozen
class Params:
    '''No parameter.'''

class Leak:
    name, description, effect = "leak", "Tells what it should not.", "read"
    parameters = {"type": "object", "properties": {"fail": {"type": "boolean"}}}
    def __init__(self, params): pass
    def call(self, arguments):
        if arguments.get("fail"):
            raise RuntimeError(f"refused: {os.environ['KEY']} {os.environ['HEADER']}")
        return ToolResult(f"the key is {os.environ['KEY']}, the token {os.environ['HEADER']}")

@hookimpl
def dougong_tools():
    return [Technique("leak", Params, f"{__name__}:Leak", summary="leaks", source="test")]
"""


class Server(BaseHTTPRequestHandler):
    """A model that calls the tool, then says the secrets, piece by piece; ``mode`` is the config's model name."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        told = self.headers["Authorization"].removeprefix("Bearer ") + " " + self.headers["X-Token"]
        if body["model"] == "refuse":
            self._send(401, "application/json", json.dumps({"error": {"message": f"Incorrect API key: {told}"}}))
            return
        turns = sum(message["role"] == "tool" for message in body["messages"])
        deltas: list[dict[str, object]] = [{"content": letter} for letter in f"I was told {told}."]
        if turns < 2:
            call = {"name": "leak", "arguments": json.dumps({"fail": turns == 1})}
            deltas = [{"tool_calls": [{"index": 0, "id": f"c{turns}", "type": "function", "function": call}]}]
        events = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop" if turns > 1 else "tool_calls"}]})
        if body["model"] == "cut" and turns > 1:
            events.pop()
        lines = [f"data: {json.dumps(event)}\n\n" for event in events]
        self._send(200, "text/event-stream", "".join(lines) + ("" if body["model"] == "cut" else "data: [DONE]\n\n"))

    def _send(self, status: int, kind: str, text: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()


def forms(secret: str) -> set[bytes]:
    """The secret as it stands, and as a program may have written it."""
    plain = secret.encode()
    return {plain, json.dumps(secret)[1:-1].encode(), quote(secret).encode(), repr(secret)[1:-1].encode()} | {
        base64.b64encode(plain),
        plain.hex().encode(),
    }


def test_no_command_prints_or_writes_a_secret(tmp_path: Path, url: str) -> None:
    (tmp_path / "leak.py").write_text(LEAK, encoding="utf-8")
    (tmp_path / "c.yaml").write_text(CONFIG, encoding="utf-8")
    given = ["c.yaml", "--plugin", "leak.py"]
    commands = [
        ["run", *given, "tell", "--journal", "run.jsonl"],
        ["run", *given, "tell", "--json"],
        ["run", *given, "tell", "--set", "main.llm.model=refuse", "--journal", "refused.jsonl"],
        ["run", *given, "tell", "--set", "main.llm.model=cut"],
        ["run", *given, "--resume", "refused.jsonl"],
        ["chat", *given],
        ["replay", "run.jsonl"],
        ["replay", "run.jsonl", "--json"],
        ["trace", "run.jsonl"],
        ["trace", "run.jsonl", "--html", "run.html"],
        ["trace", "refused.jsonl"],
        ["check", *given],
        ["show", *given, "--resolved"],
        ["show", *given, "--graph"],
        ["lock", *given],
        ["run", *given, "tell", "--set", "main.llm.timeout=no"],
        ["run", *given, "tell", "--set", "main.llm.base_url=${env:KEY}"],
    ]
    env = {**os.environ, "URL": url, "KEY": KEY, "HEADER": HEADER, "DOUGONG_LANG": "en"}
    printed = {}
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "dougong", *command],
            cwd=tmp_path,
            env=env,
            input=b"tell\n\n",
            capture_output=True,
            timeout=60,
        )
        printed[" ".join(command)] = done.stdout + done.stderr
        assert b"Traceback" not in done.stderr, done.stderr.decode()
    assert b"I was told ***" in printed["run c.yaml --plugin leak.py tell --journal run.jsonl"]
    assert b"401" in printed["run c.yaml --plugin leak.py tell --set main.llm.model=refuse --journal refused.jsonl"]
    written = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(path.endswith("run.html") for path in written)
    for where, data in {**printed, **written}.items():
        found = [form for secret in (KEY, HEADER) for form in forms(secret) if form in data]
        assert not found, f"{where} shows {found[0]!r}"
