"""How a plugin declares a technique, and how its params say what goes into a slot by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class Technique:
    """One named way to fill a slot of a kind. The hook that returns it says the kind.

    Attributes:
        name: short name; ``fixed`` for ``chunker.fixed``.
        params: an attrs class, all that is needed to validate a config: no torch, no network at import.
        factory: ``module:name``, imported when the technique is built and called with a `params` instance
            (blocks: ``(params, config, layer_idx)``).
        summary: one line.
        source: paper, section, specification or library it follows.
        protocol: a protocol narrower than the kind's, which slots may ask for.
    """

    name: str
    params: type
    factory: str
    summary: str
    source: str
    protocol: type | None = None


@attrs.frozen
class Use:
    """A technique named in Python: what ``{use: NAME, ...}`` is in a config."""

    name: str
    params: Mapping[str, Any] = attrs.field(factory=dict)


def slot(use: str, /, **params: Any) -> Any:
    """A params field that is filled by technique `use` unless the config fills it.

    ``chunker: Chunker = slot("recursive", size=400)``; only the resolver fills it, so build such techniques by
    `dougong.make` rather than by calling the factory with a bare ``Params()``.
    """
    return attrs.field(default=Use(use, params))
