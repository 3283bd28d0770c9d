"""Hypothesis for the whole repository: the fast suite draws the same examples every time, the slow one new ones."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("fast", derandomize=True, deadline=None)
settings.register_profile("slow", deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("slow" if config.option.markexpr == "slow" else "fast")
