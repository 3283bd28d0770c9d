"""A lock file: the distributions that a config needs, their versions, and a hash of the config as written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from dougong.assemble import Assembly
from dougong.config import Node
from dougong.distributions import closure
from dougong.errors import ConfigError, Place
from dougong.messages import t


def lock(assembly: Assembly) -> dict[str, Any]:
    """What `assembly` needs, as JSON-able data. No environment value is in it: the hash is of ``${...}`` as written."""
    named = {plan.loaded.entry.distribution for plan in assembly.plans() if plan.loaded.entry.version}
    text = json.dumps(_written(assembly.tree), sort_keys=True, ensure_ascii=False)
    return {
        "version": 1,
        "config": hashlib.sha256(text.encode()).hexdigest(),
        "distributions": dict(sorted(closure({"dougong", *named})[0].items())),
    }


def lock_path(config: Path) -> Path:
    return config.with_name(config.name + ".lock")


def verify(assembly: Assembly, config: Path) -> None:
    """Raise ConfigError naming every difference between the lock file beside `config` and what is there now."""
    path = lock_path(config)
    try:
        want = json.loads(path.read_text(encoding="utf-8"))
        pinned = dict(want["distributions"])
        digest = want["config"]
    except OSError as error:
        raise ConfigError(
            t("cannot read the lock file: {reason}", reason=error.strerror or error),
            place=Place(str(path)),
            hint=f"dougong lock {config}",
        ) from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            t("the lock file is damaged"), place=Place(str(path)), hint=f"dougong lock {config}"
        ) from None
    have = lock(assembly)
    problems: list[ConfigError] = []
    if have["config"] != digest:
        problems.append(ConfigError(t("the config has changed since it was locked"), place=Place(str(config)),
                                    hint=f"dougong lock {config}"))  # fmt: skip
    for name, version in have["distributions"].items():
        if pinned.get(name) != version:
            message = t(
                "{name} is {have}, locked is {want}", name=name, have=version, want=pinned.get(name, t("nothing"))
            )
            cure = f"pip install {name}=={pinned[name]}" if name in pinned else f"dougong lock {config}"
            problems.append(ConfigError(message, place=Place(str(path)), hint=cure))
    if problems:
        raise ConfigError(problems)


def _written(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: _written(item) for key, item in node.value.items()}
    if isinstance(node.value, list):
        return [_written(item) for item in node.value]
    return node.value
