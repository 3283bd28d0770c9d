"""Ctrl-C in the middle of a model's reply: the run ends, its journal is whole, and it can be resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from dougong.journal import read

CONFIG = "main: {use: pattern.prompt, llm: {use: openai, model: m, base_url: '%s', timeout: 600}}\n"


class Model(ThreadingHTTPServer):
    """Says ``word`` and then nothing for as long as it is `slow`."""

    daemon_threads = True
    slow = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Reply)
        self.asked = 0

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # the client hangs up: that is what the test is about


class Reply(BaseHTTPRequestHandler):
    server: Model

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for text, finish in (("word", None), (" and word", None), ("", "stop")):
            event = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
            self.wfile.flush()
            while self.server.slow:
                time.sleep(0.02)
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def model() -> Iterator[Model]:
    server = Model()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.slow = False
    server.shutdown()
    server.server_close()


def test_an_interrupted_run_can_be_resumed(tmp_path: Path, model: Model) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG % f"http://127.0.0.1:{model.server_address[1]}/v1", encoding="utf-8")
    dougong, env = [sys.executable, "-m", "dougong", "run", "c.yaml"], {**os.environ, "DOUGONG_LANG": "en"}
    process = subprocess.Popen(
        [*dougong, "say", "--journal", "run.jsonl"],
        cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        while not model.asked:
            time.sleep(0.01)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        printed = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 130
    assert b"--resume run.jsonl" in printed
    assert b"Traceback" not in printed
    last = list(read(tmp_path / "run.jsonl"))[-1]
    assert (last["e"], last["error"]["type"]) == ("failed", "KeyboardInterrupt")

    model.slow = False
    resumed = subprocess.run(
        [*dougong, "--resume", "run.jsonl"], cwd=tmp_path, env=env, capture_output=True, timeout=60, check=True
    )
    assert resumed.stdout == b"word and word\n"
    assert model.asked == 2
