"""A real HTTP server on the loopback that says what a test tells it to."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from dougong import Secret
from dougong_llm_openai import Params
from dougong_llm_openai.chat import OpenAIChat


class Endpoint(ThreadingHTTPServer):
    """Answers each POST with `pieces`: bytes are written and flushed, numbers are seconds to sleep, an Event is waited
    for, ``"cut"`` breaks the connection off. `script`, if set, gives ``(status, headers, pieces)`` of a request.
    """

    daemon_threads = True
    request_queue_size = 256  # of 5, the kernel resets some of many threads that connect at once

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.headers, self.pieces = 200, {}, []
        self.script = None
        self.requests, self.connections, self.gone = [], set(), threading.Event()
        self.release = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def stream(self, *events, done=True, end="\n\n"):
        """Answer with a stream of these events."""
        self.pieces = [self.sse(event, end) for event in events] + ([self.sse("[DONE]", end)] if done else [])

    @staticmethod
    def sse(event, end="\n\n") -> bytes:
        if isinstance(event, bytes):
            return event
        text = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
        return f"data: {text}{end}".encode()

    def handle_error(self, request, client_address) -> None:
        pass  # a client that hangs up is what some tests are about


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        content = self.rfile.read(int(self.headers["Content-Length"]))
        server.requests.append({"path": self.path, "headers": dict(self.headers), "body": json.loads(content)})
        server.connections.add(self.client_address)
        status, headers, pieces = server.status, server.headers, server.pieces
        if server.script is not None:
            status, headers, pieces = server.script(server.requests[-1])
        if pieces and isinstance(pieces[0], threading.Event):
            pieces[0].wait(30)
        self.send_response(status)
        for name, value in {"Content-Type": "text/event-stream", **headers}.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for piece in pieces:
                if isinstance(piece, bytes):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    self.wfile.flush()
                elif piece == "cut":
                    self.close_connection = True
                    self.connection.shutdown(2)
                    return
                elif isinstance(piece, (int, float)):
                    time.sleep(piece)
                elif isinstance(piece, threading.Event):
                    piece.wait(30)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True
            server.gone.set()

    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    endpoint = Endpoint()
    thread = threading.Thread(target=endpoint.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield endpoint
    endpoint.release.set()
    endpoint.shutdown()
    endpoint.server_close()


@pytest.fixture
def connect(server):
    """Makes models of the server; closed at the end."""
    made = []

    def make(**params):
        params = {
            "model": "m",
            "base_url": server.url,
            "api_key": Secret("sk-never-to-be-seen"),
            "timeout": 5.0,
        } | params
        made.append(OpenAIChat(Params(**params)))
        return made[-1]

    yield make
    for model in made:
        model.close()
