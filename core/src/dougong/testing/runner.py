"""Runs a file of suites and says which checks failed: to show that a suite rejects what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

_REPORT = "DOUGONG_SUITE_REPORT"


def run_suite(
    file: str | Path, checks: Sequence[str] = (), *, env: Mapping[str, str] | None = None, timeout: float = 600
) -> dict[str, dict[str, str]]:
    """Run the suites in `file` by pytest in a process of its own.

    `checks` are those to run, ``TestMine::test_x`` or ``TestMine``; all if empty. Hypothesis draws the same examples
    every time and does not shrink what fails. Returns the checks of each suite that failed, and what they say:
    ``{"TestMine": {"test_x": "..."}}``, an empty mapping where all passed. Raises RuntimeError where pytest could not
    run the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.jsonl"
        chosen = [f"{file}::{check}" for check in checks] or [str(file)]
        options = ["-q", "--no-header", "--tb=line", "--import-mode=importlib", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, "-p", "dougong.testing.runner", *chosen],
            env={**os.environ, **(env or {}), _REPORT: str(report)},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
        )
        if done.returncode not in (0, 1) or not report.is_file():
            raise RuntimeError(f"pytest could not run {file}:\n{done.stdout[-3000:]}\n{done.stderr[-2000:]}")
        found: dict[str, dict[str, str]] = {}
        for line in report.read_text("utf-8").splitlines():
            suite, check, message = json.loads(line)
            failed = found.setdefault(suite, {})
            if message is not None:
                failed[check] = message
        return found


# ---------------------------------------------------------------- in that process


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Verdicts are wanted, not the smallest example."""
    from hypothesis import Phase, settings

    settings.register_profile("suite", derandomize=True, deadline=None, phases=[Phase.explicit, Phase.generate])
    settings.load_profile("suite")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write down how each check ended."""
    path = os.environ.get(_REPORT)
    if path is None or (report.when != "call" and not report.failed):
        return
    parts = report.nodeid.split("::")
    message = None
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        message = crash.message if crash is not None else str(report.longrepr)
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps([parts[-2], parts[-1].partition("[")[0], message]) + "\n")
