"""Whether two observations are the same, in this process or in another."""

from __future__ import annotations

import inspect
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs


def plain(value: Any) -> Any:
    """`value` as lists, mappings and scalars: attrs values by field, arrays and tensors by item."""
    if isinstance(value, bytes):
        return value.hex()
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if attrs.has(type(value)):
        return {"": type(value).__name__, **{a.name: plain(getattr(value, a.name)) for a in attrs.fields(type(value))}}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, BaseException):
        return [type(value).__name__, str(value)]
    if hasattr(value, "tolist"):
        return plain((value.detach() if hasattr(value, "detach") else value).tolist())
    if isinstance(value, (Sequence, set, frozenset)):
        return [plain(item) for item in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    return str(value)


def difference(wanted: Any, found: Any, tolerance: float = 0.0) -> str:
    """Where `found` departs from `wanted`, numbers by more than `tolerance` (absolute, and relative to the larger);
    empty where it does not."""
    return _differ(plain(wanted), plain(found), tolerance, "")


def _differ(wanted: Any, found: Any, tolerance: float, at: str) -> str:
    numbers = isinstance(wanted, (int, float)) and isinstance(found, (int, float))
    if numbers and not isinstance(wanted, bool) and not isinstance(found, bool):
        both_nan = wanted != wanted and found != found
        if both_nan or math.isclose(wanted, found, rel_tol=tolerance, abs_tol=tolerance):
            return ""
    elif isinstance(wanted, list) and isinstance(found, list):
        for number, (one, other) in enumerate(zip(wanted, found)):
            if told := _differ(one, other, tolerance, f"{at}[{number}]"):
                return told
        if len(wanted) == len(found):
            return ""
        extra = (wanted if len(wanted) > len(found) else found)[min(len(wanted), len(found))]
        return f"{at or 'it'} has {len(found)} items, not {len(wanted)}; the first beside is {_short(extra)}"
    elif isinstance(wanted, dict) and isinstance(found, dict):
        for key in [*wanted, *(key for key in found if key not in wanted)]:
            if key not in wanted or key not in found:
                return f"{at}.{key} is {'new' if key in found else 'missing'}"
            if told := _differ(wanted[key], found[key], tolerance, f"{at}.{key}"):
                return told
        return ""
    elif type(wanted) is type(found) and wanted == found:
        return ""
    return f"{at or 'it'} is {_short(found)}, not {_short(wanted)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 160 else f"{text[:100]} ... {text[-50:]}"


_CHILD = """
import importlib.util, json, pathlib, sys, tempfile
file, cls, wanted = sys.argv[1:]
spec = importlib.util.spec_from_file_location("conformance_child", file)
module = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = module
spec.loader.exec_module(module)
from dougong.testing.comparing import difference
suite = module
for part in cls.split("."):
    suite = getattr(suite, part)
suite = suite()
suite._assemblies = []
with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
    suite.folder = pathlib.Path(folder)
    found = suite.observe(suite.ready())
    print("\\n==" + difference(json.loads(pathlib.Path(wanted).read_text("utf-8")), found, suite.tolerance))
    for assembly in suite._assemblies:
        assembly.close()
"""


def in_another_process(suite: type, wanted: Any) -> str:
    """Where what `suite` observes in a fresh process, of another hash seed, departs from `wanted`; empty if nowhere."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "wanted.json"
        file.write_text(json.dumps(plain(wanted)), encoding="utf-8")
        arguments = [inspect.getfile(suite), suite.__qualname__, str(file)]
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, *arguments], capture_output=True, encoding="utf-8", timeout=300
        )
    verdict = [line for line in done.stdout.splitlines() if line.startswith("==")]
    if done.returncode or not verdict:
        return f"it fails there: {done.stderr.strip()[-600:]}"
    return verdict[-1][2:]
