"""embedder.openai: vectors from any endpoint that speaks OpenAI's embeddings."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlsplit

import attrs
from attrs.validators import ge, gt, min_len, optional
from dougong import Secret, Technique, hookimpl

OURS = ("model", "input", "encoding_format")


def _check_url(instance: Any, attribute: Any, value: str) -> None:
    url = urlsplit(value)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("must be an http or https address; for example https://api.example.com/v1")
    if url.username or url.password:
        raise ValueError("must not hold a user or a password; give a key as api_key")
    if url.path.rstrip("/").endswith("/embeddings"):
        raise ValueError("must be the base of the API; leave /embeddings out")


def _check_extra(instance: Any, attribute: Any, value: dict[str, Any]) -> None:
    if taken := [name for name in value if name in OURS]:
        raise ValueError(f"must not set {taken[0]!r}; the request does that itself")


@attrs.frozen
class Params:
    """Which model embeds, where, and how it is asked.

    model: its name there. base_url: of the API, usually ending in ``/v1``; there is no default provider.
    api_key: sent as ``Authorization: Bearer``.
    dim: length that its vectors must have; None to ask for one at the first use.
    query_prefix, passage_prefix: put before a text, as the model's card says.
    batch: texts in one request, at most. batch_tokens: their tokens, estimated, at most; a longer text goes alone.
    timeout: seconds that a request may take to connect, and between two pieces of the reply.
    max_retries: times that a request is made again (rate limit, server, time-out, network).
    encoding: how numbers are sent back; ``base64`` is a quarter of the size, where the server knows it.
    extra: further fields of the request's JSON body, ``dimensions`` say.
    """

    model: str = attrs.field(validator=min_len(1))
    base_url: str = attrs.field(validator=_check_url)
    api_key: Secret | None = None
    dim: int | None = attrs.field(default=None, validator=optional(ge(1)))
    query_prefix: str = ""
    passage_prefix: str = ""
    batch: int = attrs.field(default=64, validator=ge(1))
    batch_tokens: int = attrs.field(default=50_000, validator=ge(1))
    timeout: float = attrs.field(default=60.0, validator=gt(0))
    max_retries: int = attrs.field(default=4, validator=ge(0))
    encoding: Literal["float", "base64"] = "float"
    extra: dict[str, Any] = attrs.field(factory=dict, validator=_check_extra)


@hookimpl
def dougong_embedders() -> list[Technique]:
    return [
        Technique(
            "openai",
            Params,
            "dougong_embedder_openai.endpoint:Endpoint",
            summary="Embeddings from any OpenAI-compatible endpoint: batches, retries, checked vectors.",
            source="OpenAI API reference, embeddings",
        )
    ]
