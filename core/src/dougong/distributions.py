"""Installed distributions and what they require. And pip, which gets them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from importlib.util import find_spec

from dougong.errors import DougongError
from dougong.messages import t

_NO_INDEX = ("No matching distribution", "Could not find a version", "Failed to establish", "Connection", "resolve")


def canonical(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(distribution: str) -> str:
    """The version that is installed; empty where none is."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def closure(names: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Installed versions of `names` and of all that they require here; and what is absent, with who requires it.

    Requirements of extras are left out. Those under another marker (of a platform, say) count where they are installed.
    """
    have: dict[str, str] = {}
    absent: dict[str, str] = {}
    waiting = [(name, "", False) for name in sorted(names)]
    while waiting:
        name, owner, conditional = waiting.pop()
        key = canonical(name)
        if key in have or key in absent:
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if not conditional:
                absent[key] = owner
            continue
        have[key] = distribution.version
        for requirement in distribution.requires or ():
            needed, _, marker = requirement.partition(";")
            if "extra" not in marker and (match := re.match(r"[\w.-]+", needed)):
                waiting.append((match[0], key, bool(marker)))
    return have, absent


def pip(arguments: Sequence[str], cure: str = "") -> None:
    """Run pip for this Python; what it prints goes to stderr. Raises DougongError with its reason and a cure."""
    if find_spec("pip") is None:
        raise DougongError(t("this Python has no pip"), hint="python -m ensurepip")
    command = [sys.executable, "-m", "pip", *arguments, "--no-input", "--disable-pip-version-check"]
    said: list[str] = []
    with subprocess.Popen(command, stdout=sys.stderr.fileno(), stderr=subprocess.PIPE, encoding="utf-8",
                          errors="replace", env={**os.environ, "PYTHONIOENCODING": "utf-8"}) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line.strip())
            print(line, end="", file=sys.stderr)
    if process.returncode:
        errors = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR: ")]
        reason = errors[-1] if errors else next(iter(said[-1:]), "")
        if not cure or not any(sign in line for line in said for sign in _NO_INDEX):
            cure = t("pip's own words stand above")
        raise DougongError(t("pip failed: {reason}", reason=reason or process.returncode), hint=cure)
