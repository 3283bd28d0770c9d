"""Where a built object came from: its technique, params and fingerprint."""

from __future__ import annotations

import json
import weakref
from collections.abc import Mapping
from typing import Any

import attrs

from dougong.plan import Document, Plan, described, walk


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
    holder, plan, document = _origins.get(id(instance), (lambda: None, None, None))
    return _origin(plan, document) if plan and document and holder() is instance else None


def _origin(plan: Plan, document: Document) -> Origin:
    import hashlib  # not for `dougong check`, which starts without it

    params = described(plan, document)
    versions = sorted({part.loaded.entry.origin for part in walk(plan, document)})
    text = json.dumps([params, versions], sort_keys=True, ensure_ascii=False, default=str)
    entry = plan.loaded.entry
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Origin(plan.loaded.name, entry.distribution, entry.version, params, digest)
