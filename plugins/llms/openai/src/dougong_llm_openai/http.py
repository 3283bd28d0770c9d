"""HTTP over httpcore's connection pool, with waits that a cancelled run can end.

httpcore lets the network be replaced: reads and connects are cut into short slices, and between two slices the run is
asked whether it still wants the answer. No thread is needed to watch, and none is left behind by a read.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
import httpcore

SLICE = 0.1  # seconds: a cancelled run waits no longer than this


class Stream(httpcore.NetworkStream):
    """A connection whose reads call `check` every slice; what `check` raises ends the read and the connection.

    `patience`: seconds that the rest of this response may take between two pieces, if shorter than its time-out.
    """

    def __init__(self, inner: httpcore.NetworkStream, check: Callable[[], None]) -> None:
        self._inner, self._check = inner, check
        self.patience: float | None = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        limits = [limit for limit in (timeout, self.patience) if limit is not None]
        end = time.monotonic() + min(limits) if limits else float("inf")
        while True:
            self._check()
            left = end - time.monotonic()
            try:
                return self._inner.read(max_bytes, max(min(SLICE, left), 0.001))
            except httpcore.ReadTimeout:
                if left <= SLICE:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.patience = None  # of the response before; this is the next request
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return Stream(self._inner.start_tls(ssl_context, server_hostname, timeout), self._check)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class Backend(httpcore.SyncBackend):
    """Connects on a thread of its own, so that name look-up and connecting can be left waiting behind."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        connect, lock, done = super().connect_tcp, threading.Lock(), threading.Event()
        found: list[httpcore.NetworkStream | BaseException] = []
        left = False

        def work() -> None:
            try:
                result: Any = connect(host, port, timeout, local_address, socket_options)
            except BaseException as error:
                result = error
            with lock:
                found.append(result)
                if left and isinstance(result, httpcore.NetworkStream):
                    result.close()
            done.set()

        threading.Thread(target=work, name="dougong-connect", daemon=True).start()
        # The look-up of a name has no time-out of its own.
        end = time.monotonic() + timeout if timeout is not None else float("inf")
        try:
            while not done.wait(SLICE):
                self._check()
                if time.monotonic() > end + SLICE:
                    raise httpcore.ConnectTimeout("timed out")
        except BaseException:
            with lock:
                left = True
                for result in found:
                    if isinstance(result, httpcore.NetworkStream):
                        result.close()
            raise
        if isinstance(found[0], BaseException):
            raise found[0]
        return Stream(found[0], self._check)


def pool(url: str, host: str, check: Callable[[], None]) -> httpcore.ConnectionPool:
    """A pool without a limit of its own, through the proxy that the environment names for this host.

    Trusts the system's certificates (or ``SSL_CERT_FILE``) and certifi's.
    """
    context = None
    if url.startswith("https"):
        context = ssl.create_default_context()
        context.load_verify_locations(certifi.where())
    found = getproxies()
    address = None if proxy_bypass(host) else found.get(url.partition(":")[0]) or found.get("all")
    proxy = None
    if address:
        at = urlsplit(address if "://" in address else f"http://{address}")
        auth = (unquote(at.username), unquote(at.password or "")) if at.username else None
        proxy = httpcore.Proxy(f"{at.scheme}://{at.netloc.rpartition('@')[2]}", auth)
    return httpcore.ConnectionPool(
        context,
        proxy,
        max_connections=None,
        max_keepalive_connections=100,
        keepalive_expiry=5.0,  # below what servers keep, so that a request seldom meets a closing connection
        network_backend=Backend(check),
    )
