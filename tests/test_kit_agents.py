"""The conformance kit passes what is right and fails what is wrong: chat models, tools, patterns, middleware."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
from dougong.testing import run_suite

WRONG = Path(__file__).with_name("wrong")
KINDS = ("llms", "tools", "patterns", "middleware")


def expected(kind: str) -> dict[str, str]:
    """Each suite of a file with the check that must catch it; empty for what is right."""
    found = {}
    for cls in ast.parse((WRONG / f"{kind}.py").read_text("utf-8")).body:
        for mark in getattr(cls, "decorator_list", []):
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "judged":
                found[f"Test{cls.name}"] = ast.literal_eval(mark.args[0]) if mark.args else ""
    return found


CASES = [(kind, suite) for kind in KINDS for suite in expected(kind)]


@cache
def verdicts(kind: str) -> dict[str, dict[str, str]]:
    """All checks of the right ones, and of each wrong one the check that must catch it."""
    checks = [f"{suite}::{check}" if check else suite for suite, check in expected(kind).items()]
    return run_suite(WRONG / f"{kind}.py", checks)


@pytest.mark.parametrize(("kind", "suite"), CASES, ids=[f"{kind}-{suite}" for kind, suite in CASES])
def test_the_kit_tells_right_from_wrong(kind: str, suite: str) -> None:
    """The check that is made for a mistake catches it; what has none passes every check."""
    check, failed = expected(kind)[suite], verdicts(kind)[suite]
    assert list(failed) == ([check] if check else []), failed


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_mistakes_to_catch(kind: str) -> None:
    """At least five, and one that is right."""
    checks = list(expected(kind).values())
    assert len([check for check in checks if check]) >= 5
    assert "" in checks
