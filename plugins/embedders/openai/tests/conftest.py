"""A real HTTP server on the loopback that embeds, or does what a test tells it to."""

from __future__ import annotations

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from dougong.testing import HashEmbedder


class Server(ThreadingHTTPServer):
    """Embeds as `HashEmbedder` does, times 3. Each fault of `script` is one request's: a function of the handler."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.bodies, self.headers, self.change = [], [], [], lambda reply: reply
        self.release = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request, client_address):
        pass


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.bodies.append(body)
        server.headers.append(dict(self.headers))
        if server.script:
            server.script.pop(0)(self)
            return
        rows = 3 * HashEmbedder().embed(body["input"])
        if body["encoding_format"] == "base64":
            rows = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in rows]
        else:
            rows = rows.tolist()
        data = [{"object": "embedding", "index": number, "embedding": row} for number, row in enumerate(rows)]
        self.answer(200, server.change({"object": "list", "data": data[::-1], "model": body["model"]}))

    def answer(self, status, content, **headers):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@contextmanager
def serving():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.release.set()
            server.shutdown()


@pytest.fixture
def server():
    with serving() as server:
        yield server
