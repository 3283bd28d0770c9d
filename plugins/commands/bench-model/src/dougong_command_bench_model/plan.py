"""How long a context fits in a memory, by letting the caches run on shapes alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from dougong import ConfigError
from torch._subclasses.fake_tensor import FakeTensorMode

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_MOST = 1 << 26  # tokens: beyond it a context counts as unbounded


def parse(size: str) -> int:
    """``8GB``, ``500 MB``, ``1.5g`` in bytes; GiB count 2^30. Raises ConfigError."""
    match = re.fullmatch(r"\s*([\d.]+)\s*([kmgt]?)(i?)b?\s*", size, re.IGNORECASE)
    try:
        number, unit, binary = float(match[1]), match[2].lower(), match[3]  # type: ignore[index]
    except (TypeError, ValueError):
        raise ConfigError(f"{size!r} is no size", hint="write 8GB, 500MB or 1.5GiB") from None
    return int(number * (1024 ** " kmgt".index(unit or " ") if binary else _UNITS[unit]))


def stored(cache: Any) -> int:
    """True bytes of a cache: of all storages that its tensors lie in, each counted once."""
    storages: dict[int, int] = {}
    seen: set[int] = set()
    waiting = [cache]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, (str, bytes, int, float, type, torch.nn.Module)):
            continue
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            storage = value.untyped_storage()
            storages[storage._cdata] = storage.nbytes()
        elif isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, (list, tuple, set)):
            waiting += value
        else:
            waiting += getattr(value, "__dict__", {}).values()
            slots = (name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ()))
            waiting += [getattr(value, name) for name in slots if hasattr(value, name) and name != "__weakref__"]
    return sum(storages.values())


def filled(cache: Any, config: Any, tokens: int, dtype: torch.dtype) -> Any:
    """`cache` after `tokens` tokens of one sequence went through every layer."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    for layer in range(config.num_hidden_layers):
        keys, values = torch.zeros(2, 1, heads, tokens, width, dtype=dtype)
        cache.update(keys.clone(), values.clone(), layer)
        del keys, values
    return cache


def allocated(build: Callable[[Any], Any], network: Any, tokens: int, dtype: torch.dtype) -> int | None:
    """Bytes of a cache with `tokens` tokens; None where that depends on values. Runs in the caller's fake mode."""
    try:
        return stored(filled(build(network), network.config, tokens, dtype))
    except (RuntimeError, NotImplementedError, TypeError, ValueError, AttributeError):
        return None


def longest(network: Any, caches: Mapping[str, Any], memory: int, dtype: str | None) -> list[dict[str, Any]]:
    """For each cache the most tokens whose keys and values fit in `memory` bytes beside the weights."""
    with FakeTensorMode():
        model = network.build()
        kind = getattr(torch, dtype) if dtype else next(model.parameters()).dtype
        held = {*model.parameters(), *model.buffers()}
        weights = sum(x.numel() * (kind.itemsize if x.is_floating_point() else x.itemsize) for x in held)
        rows = []
        for name, cache in caches.items():
            size = lambda tokens, cache=cache: allocated(cache.build, model, tokens, kind)  # noqa: E731
            tokens = _search(size, memory - weights)
            held = size(tokens) if tokens else tokens
            rate = held / tokens if tokens and held else None
            rows.append({"cache": name, "tokens": tokens, "bytes": held, "bytes a token": rate, "weights": weights})
    return rows


def _search(size: Callable[[int], int | None], room: int) -> int | None:
    """The most tokens whose size is at most `room`; None where sizes cannot be told."""
    if room <= 0:
        return 0
    if size(1) is None:
        return None
    if (size(1) or 0) > room:
        return 0
    low, high = 1, 2
    while high < _MOST and (size(high) or 0) <= room:
        low, high = high, high * 2
    while high - low > 1 and low < _MOST:
        middle = (low + high) // 2
        low, high = (middle, high) if (size(middle) or 0) <= room else (low, middle)
    return low
