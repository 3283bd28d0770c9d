"""What can go wrong at an endpoint, by kind, so that retry and fallback can tell failures apart."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from dougong import CallError

KINDS = {
    "timeout": "raise timeout, or look whether the server is overloaded",
    "rate-limit": "wait, ask less often, or raise the account's limit",
    "server": "try again later; the fault is the server's",
    "auth": "check the key, what it may do, and the account's balance",
    "bad-request": "check base_url, model and the parameters that this server takes",
    "network": "check base_url, and that the server is up and can be reached from here",
    "cut-stream": "try again; the connection ended before the reply did",
    "content-filter": "the provider's filter or the model refused this content; change the request",
    "schema": "ask again, use a more able model, or another schema_mode",
}


class EndpointError(CallError):
    """A request to an endpoint failed.

    Attributes:
        kind: ``timeout rate-limit server auth bad-request network cut-stream content-filter``, or ``schema``: the
            reply does not satisfy the schema that was asked for.
        status: of HTTP, or as the server gave it inside a stream; 0 if there is none.
        retry_after: seconds that the server asks to wait; None if it does not say.
    """

    def __init__(
        self, message: str, *, kind: str, status: int = 0, retry_after: float | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint or KINDS[kind])
        self.kind, self.status, self.retry_after = kind, status, retry_after


# Codes by which providers name a refused content, an empty account, a limit: in English, Chinese providers by number.
_FILTER = ("content_filter", "content_policy", "data_inspection", "sensitive", "1301", "1026", "1027", "10013", "10014")
_ACCOUNT = ("insufficient_quota", "insufficient_balance", "invalid_api_key", "arrearage", "1113", "1004", "1008")
_LIMIT = ("rate_limit", "overloaded", "throttl", "too_many_requests", "1302", "1305", "1002")


def classify(status: int, codes: str) -> str:
    """The kind of a failure, from its HTTP status and from the codes and types that the server names."""
    words = codes.lower()
    for kind, marks in (("content-filter", _FILTER), ("auth", _ACCOUNT), ("rate-limit", _LIMIT)):
        if any(mark in words.split() if mark.isdigit() else mark in words for mark in marks):
            return kind
    if status in (401, 402, 403):
        return "auth"
    if status == 429:
        return "rate-limit"
    if status in (408, 504):
        return "timeout"
    return "bad-request" if 300 <= status < 500 else "server"


def complaint(body: Any) -> tuple[str, str, int]:
    """Message, codes and status that a server's error body gives, in any of the shapes that servers use."""
    fields: Any = body
    if isinstance(body, Mapping):
        fields = body.get("error") or body.get("base_resp") or body.get("detail") or body
    if isinstance(fields, Mapping):
        message = next(
            (fields[k] for k in ("message", "msg", "status_msg", "error", "detail") if fields.get(k)), fields
        )
        outer = body if isinstance(body, Mapping) else {}
        names = [source.get(k) for source in (fields, outer) for k in ("code", "type", "status_code", "error_type")]
        status = next((int(n) for n in map(str, names) if n.isdecimal() and 400 <= int(n) < 600), 0)
        return _text(message), " ".join(str(name) for name in names if name), status
    return _text(fields), str(body.get("error_type", "")) if isinstance(body, Mapping) else "", 0


def _text(message: Any) -> str:
    text = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False, default=str)
    if text.lstrip()[:1] == "<":
        text = "an HTML page"
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= 500 else text[:500] + "..."


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: ``Retry-After-Ms``, or ``Retry-After`` in seconds or as a date."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        value = headers["retry-after"]
        if value.replace(".", "", 1).isdigit():
            return float(value)
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (KeyError, ValueError):
        return None
