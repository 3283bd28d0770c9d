"""What `pytest_plugins = ["dougong.testing"]` gives every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dougong.registry import Registry
    from dougong.run import Run
    from dougong.technique import Technique
    from dougong.testing.fakes import Clock


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: a long check of the conformance kit; leave it out by -m 'not slow'")


@pytest.fixture
def registry() -> Callable[..., Registry]:
    """``registry(*files, chunker=[Technique(...)])``: what is installed, plugin files, and techniques from memory.

    A fresh `Registry` at each call; what one test declares, no other sees.
    """

    def make(*files: str | Path, **techniques: list[Technique]) -> Registry:
        from dougong.testing.techniques import registry_of

        return registry_of(files, techniques)

    return make


@pytest.fixture
def clock() -> Clock:
    """A clock that moves when it is told to."""
    from dougong.testing.fakes import Clock

    return Clock()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """An active run whose journal is in `tmp_path`."""
    from dougong.journal import Journal
    from dougong.run import Run

    journal = Journal(tmp_path / "journal.jsonl", fsync=False)
    try:
        with Run(journal=journal).active() as active:
            yield active
    finally:
        journal.close()
