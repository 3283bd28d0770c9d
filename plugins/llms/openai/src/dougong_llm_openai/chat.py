"""The model: one request, one stream, one set of named failures."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpcore
from dougong import BuildError, Cancelled, Delta, Message, Sampling, Secret, Tool
from dougong.run import active_run

from dougong_llm_openai import EndpointError, Params
from dougong_llm_openai.errors import classify, complaint, retry_after
from dougong_llm_openai.http import SLICE, pool
from dougong_llm_openai.reply import Reply
from dougong_llm_openai.request import body
from dougong_llm_openai.sse import DONE, events, lines

_AGAIN = ("timeout", "rate-limit", "server", "network", "cut-stream")
_LONGEST_WAIT = 60.0  # seconds before a retry, whatever the server asks for
_FOR_USAGE, _FOR_END = 5.0, 0.5  # seconds that a stream may still take once the model stopped, once it said [DONE]
_WHOLE = 64 * 1024 * 1024  # bytes of a reply that is not streamed


class OpenAIChat:
    """A chat model behind an OpenAI-compatible endpoint.

    Shared by any number of threads; one connection pool. Closing the iterator of a reply closes its connection, which
    stops the model; a cancelled run leaves any wait within 0.2 s; `close` ends all replies under way.

    Deltas: `text` as it comes; ``data["reasoning"]``, pieces of reasoning; ``data["refusal"]``, true where `text` is
    the model's refusal; tool calls whole, at the end. Arguments that are no JSON object do not lose the call: it
    carries ``{"malformed_json": raw}``, which a tool refuses as an unknown argument, and ``data["malformed"]`` maps
    its id to the reason, so that a pattern can tell the model. The last delta has ``finish``, ``usage`` and
    ``data["model"]``.

    Source: OpenAI API reference, chat completions.
    """

    def __init__(self, params: Params) -> None:
        self._params = params
        self.model = params.model
        url = urlsplit(params.base_url)
        self._url = urlunsplit(url._replace(path=url.path.rstrip("/") + "/chat/completions", fragment=""))
        self._host = url.netloc
        self._headers = _headers(params)
        self._closed = threading.Event()
        self._pool = pool(self._url, str(url.hostname), self._check)

    def __repr__(self) -> str:
        return f"OpenAIChat({self.model!r}, {self._host})"

    def close(self) -> None:
        """End every reply under way and close all connections."""
        self._closed.set()
        self._pool.close()

    def chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        schema: Mapping[str, Any] | None = None,
        sampling: Sampling = Sampling(),
    ) -> Iterator[Delta]:
        """The reply, in deltas. Raises EndpointError, whose `kind` says what failed; Cancelled."""
        content = json.dumps(body(self._params, messages, tools, schema, sampling), ensure_ascii=False)
        check = None
        if schema is not None:
            from dougong_llm_openai import schema as schemas  # jsonschema is needed here alone

            check = schemas.validator(schema, self._fail)
        for attempt in range(self._params.max_retries + 1):
            deltas, begun = self._request(content, tools), False
            if check is not None:
                deltas = schemas.checked(deltas, check, self._params.schema_mode == "prompt", self._fail)
            try:
                with closing(deltas):  # type: ignore[type-var]  # both are generators
                    for delta in deltas:
                        begun = True
                        yield delta
                return
            except EndpointError as error:
                if begun or attempt == self._params.max_retries or error.kind not in _AGAIN:
                    raise
                self._sleep(min(error.retry_after or 0.5 * 2**attempt, _LONGEST_WAIT))

    # ------------------------------------------------------------ one request

    def _request(self, content: str, tools: Sequence[Tool]) -> Iterator[Delta]:
        reply = Reply(self._params, tools, lambda: content, self._fail)
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), self._params.timeout)
        answered = False
        try:
            with self._pool.stream(
                "POST",
                self._url,
                headers=self._headers,
                content=content.encode("utf-8", "replace"),
                extensions={"timeout": timeouts},
            ) as response:
                answered = True
                if not 200 <= response.status < 300:
                    raise self._refused(response)
                yield from self._read(response, reply)
        except httpcore.TimeoutException as error:
            doing = "connecting" if isinstance(error, httpcore.ConnectTimeout) else "waiting"
            what = f"timed out after {self._params.timeout:g} s of {doing}"
            raise self._fail(what, kind="timeout") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, EOFError) as error:
            self._check()  # a pool that was closed shows as a broken connection
            if answered:
                raise self._fail("the stream was cut before the reply ended", kind="cut-stream") from error
            raise self._fail(f"cannot be reached: {error or type(error).__name__}", kind="network") from error

    def _read(self, response: httpcore.Response, reply: Reply) -> Iterator[Delta]:
        chunks = response.iter_stream()
        start = b""
        for chunk in chunks:
            start += chunk
            if start.strip(b"\xef\xbb\xbf \t\r\n"):
                break
        mark = start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        if mark == b"<":
            raise self._fail("answered with an HTML page", kind="bad-request")
        if mark in (b"{", b"["):  # not streamed, though it was asked for
            yield from reply.take(self._whole(start, chunks))
            reply.finish = reply.finish or "stop"
            yield from reply.last()
            return
        stream: Any = response.extensions["network_stream"]
        try:
            for event in events(lines(chain((start,), chunks))):
                if event == DONE:
                    reply.finish = reply.finish or "stop"
                    break
                yield from reply.take(event)
                if reply.finish:
                    stream.patience = _FOR_USAGE
        except ValueError as error:
            raise self._fail(f"the stream is no stream of JSON: {error}", kind="server") from None
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, EOFError):
            if not reply.finish:  # what is missing after it is usage at most
                raise
        if not reply.finish:
            raise EOFError("no finish reason")
        yield from reply.last()
        stream.patience = _FOR_END
        try:
            for _ in chunks:  # to its end, so that the connection can be used again
                pass
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
            pass

    def _whole(self, start: bytes, chunks: Iterable[bytes]) -> Any:
        size, parts = len(start), [start]
        for chunk in chunks:
            parts.append(chunk)
            size += len(chunk)
            if size > _WHOLE:
                raise self._fail(f"sent more than {_WHOLE:,} bytes", kind="server")
        try:
            return json.loads(b"".join(parts).decode("utf-8-sig", "replace"))
        except ValueError as error:
            raise self._fail(f"the reply is neither a stream nor JSON: {error}", kind="server") from None

    def _refused(self, response: httpcore.Response) -> EndpointError:
        """The error that a status other than 2xx stands for."""
        text = b""
        try:
            for chunk in response.iter_stream():
                text += chunk
                if len(text) > 65536:
                    break
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
            pass  # the status says enough
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        said = text.decode("utf-8", "replace")
        try:
            message, codes, _ = complaint(json.loads(said))
        except ValueError:
            message, codes, _ = complaint(said)
        hint = ""
        if 300 <= response.status < 400:
            target = urlsplit(headers.get("location", ""))
            hint = f"requests are not sent on; set base_url to {target.scheme}://{target.netloc}{target.path}"
        return self._fail(
            f"HTTP {response.status}{': ' if message else ''}{message}",
            kind=classify(response.status, codes),
            status=response.status,
            retry_after=retry_after(headers),
            hint=hint.removesuffix("/chat/completions"),
        )

    # ------------------------------------------------------------ waiting and failing

    def _check(self) -> None:
        """Raise Cancelled if nobody waits for the answer any more."""
        if self._closed.is_set():
            raise Cancelled(f"{self!r} was closed")
        run = active_run()
        if run is not None:
            run.check()

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._check()
            self._closed.wait(min(SLICE, left))

    def _fail(self, message: str, **more: Any) -> EndpointError:
        return EndpointError(Secret.scrub(f"{self._host} (model {self.model}): {message}"), **more)


def _headers(params: Params) -> list[tuple[str, str]]:
    """The request's headers. A value that HTTP cannot carry is refused here, unseen: h11 would print it."""
    secret = {name: value.reveal().strip() for name, value in params.headers.items()}
    if params.api_key is not None:
        secret = {"Authorization": f"Bearer {params.api_key.reveal().strip()}", **secret}
    for name, value in secret.items():
        if not (value.isascii() and value.isprintable() and name.isascii() and name.replace("-", "").isalnum()):
            raise BuildError(
                f"header {name!r} cannot be sent: its value holds a character that HTTP does not allow",
                hint="look at the environment variable: one line, ASCII",
            )
    plain = {"Content-Type": "application/json", "Accept": "text/event-stream, application/json"}
    return [*plain.items(), ("Accept-Encoding", "identity"), ("User-Agent", "dougong-llm-openai"), *secret.items()]
