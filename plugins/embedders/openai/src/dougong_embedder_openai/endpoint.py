"""The endpoint: batches of texts out, vectors back, in order."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import httpx
import numpy as np
from dougong import BuildError, CallError, Cancelled, Secret, estimate_tokens, report
from dougong.run import active_run

from dougong_embedder_openai import Params

_SLICE = 0.1  # seconds: a cancelled run waits no longer than this
_LONGEST_WAIT = 60.0  # seconds before a retry, whatever the server asks for
_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504, 529)
_HINTS = {
    401: "check the key",
    402: "check the account's balance",
    403: "check what the key may do",
    404: "check base_url and model",
    413: "lower batch or batch_tokens",
    429: "lower batch, or wait",
}


class Endpoint:
    """Vectors from ``POST base_url/embeddings``, float32, brought to unit length.

    Safe to share between threads; one pool of connections. A cancelled run, and `close`, leave any wait within 0.2 s;
    the request that was under way is left to end by itself.

    Raises CallError where a request fails for good, or the reply holds other vectors than were asked for; Cancelled.

    Source: OpenAI API reference, embeddings.
    """

    def __init__(self, params: Params) -> None:
        self._params = params
        self._url = params.base_url.rstrip("/") + "/embeddings"
        headers = {"User-Agent": "dougong-embedder-openai"}
        if params.api_key is not None:
            key = params.api_key.reveal().strip()
            if not (key.isascii() and key.isprintable()):
                raise BuildError("api_key holds a character that HTTP does not allow", hint="one line, ASCII")
            headers["Authorization"] = f"Bearer {key}"
        self._client = httpx.Client(headers=headers, timeout=params.timeout, follow_redirects=False)
        self._closed = threading.Event()
        self._dim = params.dim

    def __repr__(self) -> str:
        return f"Endpoint({self._params.model!r}, {self._url})"

    def close(self) -> None:
        """Let go of all connections; what waits for a reply ends with Cancelled."""
        self._closed.set()
        self._client.close()

    @property
    def dim(self) -> int:
        """Length of the vectors: `Params.dim`, or that of the first vector, for which the server is asked."""
        if self._dim is None:
            self._dim = len(self._request(["dimension"])[0])
        return self._dim

    @property
    def fingerprint(self) -> str:
        """What the vectors depend on."""
        p = self._params
        return json.dumps([self._url, p.model, p.query_prefix, p.passage_prefix, p.extra], sort_keys=True)

    def embed(self, texts: Sequence[str], role: Literal["passage", "query"] = "passage") -> np.ndarray:
        if role not in ("passage", "query"):
            raise ValueError(f"role must be passage or query, not {role!r}")
        prefix = self._params.query_prefix if role == "query" else self._params.passage_prefix
        # Servers refuse an empty text; one blank is the nearest that they take.
        clean = [(prefix + text).encode("utf-8", "replace").decode() or " " for text in texts]
        found: list[np.ndarray] = []
        for batch in self._batches(clean):
            found.extend(self._request(batch))
            if len(found) < len(clean) or len(batch) < len(clean):
                report("embed", len(found), len(clean))
        return np.stack(found) if found else np.zeros((0, self.dim), np.float32)

    def _batches(self, texts: Sequence[str]) -> Iterator[list[str]]:
        batch: list[str] = []
        size = 0
        for text in texts:
            tokens = estimate_tokens(text)
            if batch and (len(batch) == self._params.batch or size + tokens > self._params.batch_tokens):
                yield batch
                batch, size = [], 0
            batch.append(text)
            size += tokens
        if batch:
            yield batch

    # ------------------------------------------------------------ one request

    def _request(self, batch: list[str]) -> np.ndarray:
        p = self._params
        body = {**p.extra, "model": p.model, "input": batch, "encoding_format": p.encoding}
        for attempt in range(p.max_retries + 1):
            wait = 0.5 * 2**attempt
            response = self._post(body)
            if isinstance(response, httpx.HTTPError):
                problem, hint = f"{type(response).__name__}: {response}", "check base_url, and that the server is up"
            elif response.is_success:
                return self._vectors(response, len(batch))
            else:
                problem, hint = (
                    f"HTTP {response.status_code}: {_complaint(response)}",
                    _HINTS.get(response.status_code, ""),
                )
                asked = _retry_after(response.headers)
                wait = wait if asked is None else asked
                if response.status_code not in _AGAIN:
                    break
            if attempt < p.max_retries:
                self._sleep(min(wait, _LONGEST_WAIT))
        raise self._fail(problem, hint)

    def _post(self, body: dict[str, Any]) -> httpx.Response | httpx.HTTPError:
        """The reply, or why there is none. On a thread of its own, so that a cancelled run need not wait for it."""
        found: list[Any] = []
        done = threading.Event()

        def work() -> None:
            try:
                found.append(self._client.post(self._url, json=body))
            except BaseException as error:
                found.append(error)
            done.set()

        self._check()
        threading.Thread(target=work, name="dougong-embed", daemon=True).start()
        while not done.wait(_SLICE):
            self._check()
        self._check()
        if isinstance(found[0], (httpx.Response, httpx.HTTPError)):
            return found[0]
        raise found[0]

    def _vectors(self, response: httpx.Response, count: int) -> np.ndarray:
        """Of a reply: float32 ``(count, dim)``, in the order of the request, unit length."""
        try:
            items = sorted(response.json()["data"], key=lambda item: item["index"])
            rows = [_numbers(item["embedding"]) for item in items]
            numbers = [item["index"] for item in items]
        except (ValueError, KeyError, TypeError) as error:
            raise self._fail(f"the reply is not one of embeddings: {error!r}", "check base_url and model") from None
        if numbers != list(range(count)):
            raise self._fail(f"{count} texts were sent, vectors came back for {numbers[:8]}", "try another batch size")
        lengths = {len(row) for row in rows}
        if self._dim is None and len(lengths) == 1:
            self._dim = lengths.pop()
        elif lengths != {self._dim}:
            raise self._fail(f"vectors are of length {sorted(lengths)}, not {self._dim}", "mend dim, model or extra")
        vectors = np.stack(rows).astype(np.float32)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (np.isfinite(norms).all() and (norms > 0).all()):
            raise self._fail("a vector is zero or not finite", "the fault is the server's")
        unit: np.ndarray = vectors / norms
        return unit

    # ------------------------------------------------------------ waiting and failing

    def _check(self) -> None:
        if self._closed.is_set():
            raise Cancelled(f"{self!r} was closed")
        run = active_run()
        if run is not None:
            run.check()

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._check()
            self._closed.wait(min(_SLICE, left))

    def _fail(self, message: str, hint: str) -> CallError:
        return CallError(Secret.scrub(f"{self._url} (model {self._params.model}): {message}"), hint=hint)


def _numbers(embedding: Any) -> np.ndarray:
    """A vector as a list of numbers, or as base64 of little-endian float32."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), "<f4")
    row = np.asarray(embedding, np.float64)
    if row.ndim != 1:
        raise ValueError(f"an embedding of {row.ndim} dimensions")
    return row


def _complaint(response: httpx.Response) -> str:
    """What the server says is wrong, in at most 300 characters."""
    try:
        body = response.json()
        error = body.get("error", body) if isinstance(body, dict) else body
        said = error.get("message", error) if isinstance(error, dict) else error
    except ValueError:
        said = response.text
    return " ".join(str(said).split())[:300]


def _retry_after(headers: httpx.Headers) -> float | None:
    """Seconds that ``Retry-After`` says, or until the date that it says."""
    value = headers.get("retry-after", "")
    try:
        if value.replace(".", "", 1).isdigit():
            return float(value)
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
