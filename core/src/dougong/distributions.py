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

_REQUIREMENT = re.compile(r"([\w.-]+)\s*(?:\[([^\]]*)\])?")
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

    Extras count where something requires them, ``httpx[http2]``. What stands under a marker (of a platform, of such an
    extra) counts where it is installed.
    """
    have: dict[str, str] = {}
    absent: dict[str, str] = {}
    waiting = [(name, "", False, "") for name in sorted(names)]
    seen: set[tuple[str, str]] = set()
    while waiting:
        name, owner, conditional, extra = waiting.pop()
        key = canonical(name)
        if (key, extra) in seen or key in absent:
            continue
        seen.add((key, extra))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if not conditional:
                absent[key] = owner
            continue
        have[key] = distribution.version
        for requirement in distribution.requires or ():
            needed, _, marker = requirement.partition(";")
            of = re.search(r"extra\s*==\s*[\"']([\w.-]+)", marker)
            if (canonical(of[1]) if of else "") == extra and (match := _REQUIREMENT.match(needed)):
                extras = ["", *(canonical(part) for part in (match[2] or "").split(",") if part.strip())]
                waiting += [(match[1], key, bool(marker), part) for part in extras]
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
