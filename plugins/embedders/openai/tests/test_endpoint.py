"""embedder.openai withstands a server on the loopback that does what servers do."""

from __future__ import annotations

import socket
import threading
import time
from email.utils import formatdate

import dougong
import numpy as np
import pytest
from dougong import CallError, Cancelled, Run
from dougong.testing import CORPUS, HashEmbedder
from dougong_embedder_openai.endpoint import Endpoint


def fault(status, content=b"", **headers):
    return lambda handler: handler.answer(status, content, **headers)


def cut(handler):
    handler.close_connection = True
    handler.connection.shutdown(2)


def hang(handler):
    handler.server.release.wait(20)


def made(server, **params):
    return dougong.make("embedder.openai", model="m", base_url=server.url, **params)


def test_vectors_come_in_the_order_of_the_texts(server):
    for params in ({}, {"batch": 4}, {"encoding": "base64"}, {"batch_tokens": 10}):
        rows = made(server, **params).embed(list(CORPUS))
        assert np.abs(rows - HashEmbedder().embed(list(CORPUS))).max() < 1e-6


def test_batches_keep_to_texts_and_tokens(server):
    made(server, batch=3, dim=64).embed([f"text {number}" for number in range(8)])
    assert [len(body["input"]) for body in server.bodies] == [3, 3, 2]
    server.bodies.clear()
    made(server, batch_tokens=20, dim=64).embed(["word " * 200, "a", "b", "word " * 15, "c"])
    assert len(server.bodies[0]["input"]) == 1
    assert sum(len(body["input"]) for body in server.bodies) == 5
    assert len(server.bodies) >= 3


def test_what_is_sent(server, monkeypatch):
    monkeypatch.setenv("KEY", "s3cret-key")
    built = dougong.make("embedder.openai", model="m", base_url=server.url + "/", api_key="${env:KEY}",
                         query_prefix="query: ", passage_prefix="passage: ", extra={"dimensions": 64})  # fmt: skip
    built.embed(["斗拱"], "query")
    built.embed(["a", ""])
    assert server.bodies == [
        {"model": "m", "encoding_format": "float", "dimensions": 64, "input": ["query: 斗拱"]},
        {"model": "m", "encoding_format": "float", "dimensions": 64, "input": ["passage: a", "passage: "]},
    ]
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer s3cret-key"}
    server.script = [fault(401, {"error": {"message": "bad key s3cret-key"}})]
    with pytest.raises(CallError, match="401") as caught:
        built.embed(["a"])
    assert "s3cret" not in str(caught.value)
    assert "check the key" in str(caught.value)


@pytest.mark.parametrize(
    "problem",
    [
        fault(429, b"slow down", Retry_After="0"),
        fault(500, Retry_After="0"),
        fault(503, b"<html>", Retry_After="0.01"),
        fault(529, Retry_After="0"),
        cut,
    ],
)
def test_a_passing_fault_is_tried_again(server, problem):
    server.script = [problem]
    assert made(server).embed(["a"]).shape == (1, 64)
    assert len(server.bodies) == 2


def test_the_server_says_when_to_try_again(server, monkeypatch):
    """In seconds or as a date; else twice as long each time; a minute at most."""
    waited = []
    monkeypatch.setattr(Endpoint, "_sleep", lambda self, seconds: waited.append(seconds))
    date = formatdate(time.time() + 30, usegmt=True)
    server.script = [fault(429, Retry_After=value) for value in ("7", "0.25", date, "86400")]
    made(server).embed(["a"])
    assert waited == [7, 0.25, pytest.approx(28, abs=3), 60]
    waited.clear()
    server.script = [fault(429, Retry_After="soon"), *[fault(500)] * 3]
    made(server).embed(["a"])
    assert waited == [0.5, 1, 2, 4]


@pytest.mark.parametrize(
    ("problem", "told", "requests"),
    [
        (fault(400, {"error": {"message": "input is too long"}}), "HTTP 400: input is too long", 1),
        (fault(404, {"detail": "no such model"}), r"HTTP 404.*no such model.*check base_url and model", 1),
        (fault(500, b"oops", Retry_After="0"), "HTTP 500: oops", 3),
        (fault(302, b"", Location="http://elsewhere/"), "HTTP 302", 1),
        (cut, "check base_url, and that the server is up", 3),
        (fault(200, b"<html>"), "not one of embeddings", 1),
        (fault(200, {"data": [{"index": 0}]}), "not one of embeddings", 1),
        (fault(200, {"data": []}), "1 texts were sent, vectors came back for", 1),
        (fault(200, {"data": [{"index": 0, "embedding": "not base64!"}]}), "not one of embeddings", 1),
        (fault(200, {"data": [{"index": 0, "embedding": [0.0] * 64}]}), "zero or not finite", 1),
        (fault(200, {"data": [{"index": 0, "embedding": [1.0] * 63}]}), r"length \[63\], not 64", 1),
        (fault(200, b'{"data": [{"index": 0, "embedding": [NaN, 1.0]}]}'), r"length \[2\], not 64", 1),
    ],
)
def test_a_lasting_fault_is_told(server, problem, told, requests):
    server.script = [problem] * 3
    with pytest.raises(CallError, match=told):
        made(server, max_retries=2, dim=64).embed(["a"])
    assert len(server.bodies) == requests


def test_a_server_that_hangs_is_left_after_the_timeout(server):
    server.script = [hang]
    with pytest.raises(CallError, match="ReadTimeout"):
        made(server, timeout=0.2, max_retries=0).embed(["a"])


def test_no_server_is_told():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}/v1"
    with pytest.raises(CallError, match="ConnectError"):
        dougong.make("embedder.openai", model="m", base_url=url, max_retries=0).embed(["a"])


@pytest.mark.parametrize("problem", [hang, fault(429, Retry_After="30")])
def test_a_cancelled_run_does_not_wait(server, problem):
    server.script = [problem]
    built, run, ended = made(server), Run(), []

    def work():
        try:
            with run.active():
                built.embed(["a"])
        except Cancelled as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not server.bodies:
        time.sleep(0.01)
    run.cancel()
    thread.join(5)
    assert ended


def test_dim_is_asked_for_once(server):
    built = made(server)
    assert [built.dim, built.dim] == [64, 64]
    assert [body["input"] for body in server.bodies] == [["dimension"]]
    assert made(server, dim=7).dim == 7
    assert len(server.bodies) == 1


def test_the_fingerprint_is_what_vectors_depend_on(server):
    one = made(server).fingerprint
    assert one == made(server, timeout=1, batch=2, encoding="base64").fingerprint
    assert one != made(server, query_prefix="q").fingerprint
