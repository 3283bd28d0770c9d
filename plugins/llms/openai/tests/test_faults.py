"""What fails, how it is named, and how a reply is stopped. No test waits for a clock where an event will do."""

from __future__ import annotations

import logging
import shutil
import ssl
import subprocess
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest
from dougong import BuildError, Cancelled, Message, Run, Secret
from dougong_llm_openai import EndpointError, Params
from dougong_llm_openai.chat import OpenAIChat

ASK = [Message("user", "hello")]
KEY = "sk-never-to-be-seen"
END = {"choices": [{"index": 0, "delta": {"content": "fine"}, "finish_reason": "stop"}]}
MORE = {"choices": [{"index": 0, "delta": {"content": "more "}}]}


def ask(model):
    return "".join(delta.text for delta in model.chat(ASK))


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b'{"error": {"message": "bad key"}}', "auth"),
        (402, b'{"error": {"message": "Insufficient Balance"}}', "auth"),
        (403, b'{"detail": "forbidden"}', "auth"),
        (400, b'{"error": {"message": "no", "code": "content_filter"}}', "content-filter"),
        (400, '{"error": {"message": "不合规", "code": "data_inspection_failed"}}'.encode(), "content-filter"),
        (400, b'{"error": {"message": "context too long", "code": "context_length_exceeded"}}', "bad-request"),
        (404, b"<html>nothing here</html>", "bad-request"),
        (422, b'{"detail": [{"loc": ["body"], "msg": "x"}]}', "bad-request"),
        (429, b'{"error": {"message": "slow down"}}', "rate-limit"),
        (429, b'{"error": {"message": "no money", "code": "insufficient_quota"}}', "auth"),
        (500, b"", "server"),
        (502, b"<html>bad gateway</html>", "server"),
        (503, b"busy", "server"),
        (504, b"{}", "timeout"),
    ],
)
def test_a_refusal_by_status_is_an_error_of_its_kind(server, connect, status, body, kind):
    server.status, server.pieces = status, [body] if body else []
    with pytest.raises(EndpointError) as caught:
        ask(connect())
    error = caught.value
    assert (error.kind, error.status) == (kind, status)
    assert f"127.0.0.1:{server.server_address[1]} (model m): HTTP {status}" in str(error)
    assert error.hint


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"Retry-After": "7"}, 7), ({"Retry-After-Ms": "1500"}, 1.5), ({}, None), ({"Retry-After": "soon"}, None)],
)
def test_retry_after_is_handed_on(server, connect, headers, seconds):
    server.status, server.headers = 429, headers
    with pytest.raises(EndpointError) as caught:
        ask(connect())
    assert caught.value.retry_after == seconds


def test_retry_after_may_be_a_date(server, connect):
    server.status, server.headers = 429, {"Retry-After": formatdate(2**33, usegmt=True)}
    with pytest.raises(EndpointError) as caught:
        ask(connect())
    assert caught.value.retry_after > 1e9


def test_a_redirect_is_not_followed_with_the_key_but_named(server, connect):
    server.status, server.headers = 307, {"Location": "https://elsewhere.example/api/v2/chat/completions?token=x"}
    with pytest.raises(EndpointError, match=r"set base_url to https://elsewhere.example/api/v2") as caught:
        ask(connect())
    assert "token" not in str(caught.value)
    assert len(server.requests) == 1


def test_retries_are_off_and_where_on_stop_at_the_first_success(server, connect):
    answers = [(503, {}, []), (429, {"Retry-After": "0.01"}, []), (200, {}, [server.sse(END)])]
    server.script = lambda request: answers[len(server.requests) - 1]
    with pytest.raises(EndpointError, match="503"):
        ask(connect())
    server.requests.clear()
    assert ask(connect(max_retries=2)) == "fine"
    assert len(server.requests) == 3


def test_nothing_is_asked_twice_after_the_first_delta_or_for_a_lasting_fault(server, connect):
    server.pieces = [server.sse(MORE), "cut"]
    with pytest.raises(EndpointError, match="cut"):
        ask(connect(max_retries=3))
    server.status = 401
    with pytest.raises(EndpointError, match="401"):
        ask(connect(max_retries=3))
    assert len(server.requests) == 2


# ---------------------------------------------------------------- waiting and stopping


@pytest.mark.parametrize("before", [False, True], ids=["first piece", "later piece"])
def test_silence_is_a_timeout(server, connect, before):
    server.pieces = [server.sse(MORE), server.release] if before else [server.release]
    with pytest.raises(EndpointError, match=r"timed out after 0\.3 s of waiting") as caught:
        ask(connect(timeout=0.3))
    assert caught.value.kind == "timeout"


def test_comments_keep_a_slow_server_alive(server, connect):
    server.pieces = [piece for _ in range(5) for piece in (b": keep-alive\n\n", 0.2)] + [server.sse(END)]
    assert ask(connect(timeout=0.6)) == "fine"


def test_a_server_that_is_not_there_is_a_network_error(connect):
    with pytest.raises(EndpointError, match="cannot be reached") as caught:
        ask(connect(base_url="http://127.0.0.1:9/v1"))
    assert caught.value.kind == "network"


def test_a_server_that_hangs_up_without_a_word_is_a_network_error(server, connect):
    server.script = lambda request: (_ for _ in ()).throw(OSError())
    with pytest.raises(EndpointError) as caught:
        ask(connect())
    assert caught.value.kind == "network"


def test_closing_the_iterator_closes_the_connection_at_once(server, connect):
    """The server, still sending, finds the line closed."""
    server.pieces = [server.sse(MORE)] + [0.01, server.sse(MORE)] * 1000
    deltas = connect().chat(ASK)
    assert next(deltas).text == "more "
    deltas.close()
    assert server.gone.wait(5)


@pytest.mark.parametrize("begun", [False, True], ids=["before the first piece", "between pieces"])
def test_a_cancelled_run_leaves_the_wait(server, connect, begun):
    """The server is silent until the test ends, and the time-out is far away: only the cancellation ends the wait."""
    server.pieces = [server.sse(MORE), server.release] if begun else [server.release]
    model, run, heard = connect(timeout=600), Run(), threading.Event()

    def work():
        with run.active():
            for _ in run.invoke("llm", "m", {}, lambda call: model.chat(ASK)):
                heard.set()

    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(work)
        if begun:
            assert heard.wait(5)
        else:
            while not server.requests:
                pass
        run.cancel()
        with pytest.raises(Cancelled):
            future.result(5)
    assert not server.release.is_set()


def test_a_run_cancelled_while_the_connection_is_made_leaves_too(connect, monkeypatch):
    never = threading.Event()
    monkeypatch.setattr("socket.create_connection", lambda *a, **k: never.wait(20) and None)
    model, run = connect(timeout=600), Run()
    threading.Timer(0.1, run.cancel).start()
    with run.active(), pytest.raises(Cancelled):
        ask(model)
    assert not never.is_set()
    never.set()


def test_closing_the_model_ends_replies_under_way(server, connect):
    server.pieces = [server.sse(MORE), server.release]
    model = connect(timeout=600)
    deltas = model.chat(ASK)
    next(deltas)
    threading.Timer(0.1, model.close).start()
    with pytest.raises(Cancelled, match="closed"):
        next(deltas)
    assert not server.release.is_set()


def test_many_threads_share_one_model(server, connect):
    def script(request):
        word = request["body"]["messages"][0]["content"]
        pieces = [{"choices": [{"index": 0, "delta": {"content": f"{word}-{n} "}}]} for n in range(20)]
        return 200, {}, [*map(server.sse, pieces), server.sse({"choices": [{"index": 0, "finish_reason": "stop"}]})]

    server.script = script
    model = connect()
    with ThreadPoolExecutor(32) as threads:
        replies = list(
            threads.map(lambda n: "".join(d.text for d in model.chat([Message("user", f"q{n}")])), range(96))
        )
    assert replies == ["".join(f"q{n}-{i} " for i in range(20)) for n in range(96)]


# ---------------------------------------------------------------- the key


def test_the_key_is_sent_and_seen_nowhere_else(server, connect, caplog):
    """Not in the error though the server repeats it, not in its causes, not in the log of any library, not in repr."""
    caplog.set_level(logging.DEBUG)
    server.status, server.pieces = 401, [b'{"error": {"message": "wrong key %s given"}}' % KEY.encode()]
    model = connect(headers={"X-Team": Secret("team-secret-value")})
    with pytest.raises(EndpointError) as caught:
        ask(model)
    with pytest.raises(EndpointError) as unreachable:
        ask(connect(base_url="http://127.0.0.1:9/v1"))
    seen = caplog.text + repr(model) + repr(model._params)
    for error in (caught.value, unreachable.value):
        seen += "".join(traceback.format_exception(error)) + repr(error)
    assert KEY not in seen
    assert "team-secret-value" not in seen
    assert "wrong key *** given" in str(caught.value)
    assert server.requests[0]["headers"]["Authorization"] == f"Bearer {KEY}"
    assert server.requests[0]["headers"]["X-Team"] == "team-secret-value"


@pytest.mark.parametrize("key", ["sk-bad\nkey-value", "sk-schlüssel-wert"])
def test_a_key_that_http_cannot_carry_is_refused_unseen(key):
    with pytest.raises(BuildError, match="Authorization") as caught:
        OpenAIChat(Params("m", "http://127.0.0.1:1/v1", Secret(key)))
    assert key not in str(caught.value)


def test_white_space_around_a_key_is_no_part_of_it(server, connect):
    server.pieces = [server.sse(END)]
    assert ask(connect(api_key=Secret(" sk-x-y-z \n"))) == "fine"
    assert server.requests[0]["headers"]["Authorization"] == "Bearer sk-x-y-z"


# ---------------------------------------------------------------- proxies and TLS


def test_the_environments_proxy_is_used_and_bypassed(server, connect, monkeypatch):
    server.pieces = [server.sse(END)]
    monkeypatch.setenv("http_proxy", server.url.replace("//", "//user:p%40ss@").removesuffix("/v1"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert ask(connect(base_url="http://model.invalid/v1")) == "fine"
    assert server.requests[0]["path"] == "http://model.invalid/v1/chat/completions"
    assert server.requests[0]["headers"]["Proxy-Authorization"] == "Basic dXNlcjpwQHNz"
    assert ask(connect()) == "fine"
    assert server.requests[1]["path"] == "/v1/chat/completions"


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that nobody has signed."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    files = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(files[0]), "-out", str(files[1])],
        check=True, capture_output=True,
    )  # fmt: skip
    return files


def test_tls_trusts_the_systems_certificates_and_nothing_else(server, connect, certificate, monkeypatch):
    """Refused while unknown; read in slices, and left when cancelled, once ``SSL_CERT_FILE`` names it."""
    key, cert = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = server.url.replace("http", "https")
    with pytest.raises(EndpointError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        ask(connect(base_url=url))
    assert caught.value.kind == "network"
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    server.pieces = [server.sse(MORE), 0.3, server.sse(END)]
    model = connect(base_url=url)
    assert ask(model) == "more fine"
    server.pieces = [server.sse(MORE), server.release]
    run = Run()
    threading.Timer(0.2, run.cancel).start()
    with run.active(), pytest.raises(Cancelled):
        ask(model)
    assert not server.release.is_set()
