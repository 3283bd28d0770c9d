"""What a distribution requires, followed to the end."""

from __future__ import annotations

from importlib import metadata
from types import SimpleNamespace

import pytest
from dougong.distributions import closure

WORLD = {
    "app": ["Client[http2, fast] >=1", 'wheels ; sys_platform == "win32"', "gone"],
    "client": ["base", 'h2 <5 ; extra == "http2"', "brotli; extra == 'brotli'", 'not-here; extra == "fast"'],
    "base": ["client"],
    "h2": ["frames"],
    "frames": [],
    "brotli": [],
}


def test_extras_count_where_something_requires_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in a circle; what only a marker asks for may be absent."""

    def distribution(name: str) -> SimpleNamespace:
        if name.lower() not in WORLD:
            raise metadata.PackageNotFoundError(name)
        return SimpleNamespace(version="1", requires=WORLD[name.lower()])

    monkeypatch.setattr(metadata, "distribution", distribution)
    have, absent = closure(["app"])
    assert sorted(have) == ["app", "base", "client", "frames", "h2"]
    assert absent == {"gone": "app"}
    assert sorted(closure(["client"])[0]) == ["base", "client"]
