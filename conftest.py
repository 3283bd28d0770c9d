"""For the whole repository: the conformance kit, and Hypothesis; the fast suite draws the same examples every time,
the slow one new ones."""

from __future__ import annotations

import pytest
from hypothesis import settings

pytest_plugins = ["dougong.testing"]

settings.register_profile("fast", derandomize=True, deadline=None)
settings.register_profile("slow", deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("slow" if config.option.markexpr == "slow" else "fast")


@pytest.fixture(autouse=True)
def _no_secret_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process knows every secret that it has seen, and holds back what may be the beginning of one."""
    monkeypatch.setattr("dougong.secret.Secret._known", ())
