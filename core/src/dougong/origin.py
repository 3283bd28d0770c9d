"""Where a built object came from: its technique, params and fingerprint."""

from __future__ import annotations

import json
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from dougong.plan import Document, Given, Plan, Ref, described, walk

PORTABLE = {"loader", "tokenizer", "chunker", "embedder", "retriever"}


@attrs.frozen
class Origin:
    """What an object was built from.

    Attributes:
        technique: full name.
        params: ``{use: ..., ...}`` with defaults and nested techniques, refs followed, as JSON-able data;
            `make` of it builds an equal object. Secrets are ``***``.
        fingerprint: hex SHA-256 of technique, params and the versions of the distributions they come from.
    """

    technique: str
    distribution: str
    version: str
    params: Mapping[str, Any]
    fingerprint: str


_origins: dict[int, tuple[Any, Plan, Document]] = {}


def remember(instance: Any, plan: Plan, document: Document) -> None:
    """Note what `instance` was built from, for as long as it lives."""
    key = id(instance)
    try:
        holder: Any = weakref.ref(instance, lambda _: _origins.pop(key, None))
    except TypeError:  # slots without __weakref__: keep the object, so that its id is not used again
        holder = lambda: instance  # noqa: E731
    _origins[key] = (holder, plan, document)


def origin(instance: Any) -> Origin | None:
    """What `instance`, a built technique, its proxy or a builder, came from; None for an object made by hand."""
    from dougong.proxies import Proxy  # not for `dougong check`, which builds nothing

    instance = getattr(instance, "_inner", instance) if isinstance(instance, Proxy) else instance
    if isinstance(getattr(instance, "plan", None), Plan):  # a builder's
        return _origin(instance.plan, instance.document)
    plan, document = _plan(instance)
    return _origin(plan, document) if plan and document else None


def recipe(instance: Any) -> dict[str, Any] | None:
    """``{use: ..., ...}`` of which `make` builds an equal object in another process of this machine; paths absolute.

    None where that cannot be: a part was made by hand, comes from a local plugin file, holds a secret, or calls a
    model or a tool, which goes through the run of this process.
    """
    from dougong.proxies import Proxy

    plan, document = _plan(getattr(instance, "_inner", instance) if isinstance(instance, Proxy) else instance)
    try:
        return _portable(plan, document)  # type: ignore[no-any-return]
    except TypeError:
        return None


def _portable(value: Any, document: Document | None) -> Any:
    """Raises TypeError for what stays in this process."""
    match value:
        case Plan():
            if value.loaded.kind not in PORTABLE or not value.loaded.entry.version:
                raise TypeError
            filled = {name: _portable(item, document) for name, item in value.values.items()}
            return {"use": value.loaded.name, **filled}
        case Ref() if document is not None:
            return _portable(document.plans[value.name], document)
        case Given():
            return _portable(*_plan(getattr(value.value, "_inner", value.value)))
        case Path():
            return str(value.absolute())
        case Mapping():
            return {key: _portable(item, document) for key, item in value.items()}
        case list() | tuple():
            return [_portable(item, document) for item in value]
        case bool() | int() | float() | str():
            return value
        case None if document is not None:
            return None
    raise TypeError


def _plan(instance: Any) -> tuple[Plan | None, Document | None]:
    holder, plan, document = _origins.get(id(instance), (lambda: None, None, None))
    return (plan, document) if holder() is instance else (None, None)


def _origin(plan: Plan, document: Document) -> Origin:
    import hashlib  # not for `dougong check`, which starts without it

    params = described(plan, document)
    versions = sorted({part.loaded.entry.origin for part in walk(plan, document)})
    text = json.dumps([params, versions], sort_keys=True, ensure_ascii=False, default=str)
    entry = plan.loaded.entry
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Origin(plan.loaded.name, entry.distribution, entry.version, params, digest)
