"""The suites of the model wing in one file, so that one process, which imports torch once, can run them all."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

for _kind in ("blocks", "networks", "caches", "adapters", "objectives"):
    _spec = importlib.util.spec_from_file_location(f"wrong_{_kind}", Path(__file__).with_name(f"{_kind}.py"))
    assert _spec is not None
    assert _spec.loader is not None
    _module = sys.modules[_spec.name] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_module)
    for _name, _suite in list(vars(_module).items()):
        if _name.startswith("Test"):
            globals()[f"Test{_kind.title()}{_name.removeprefix('Test')}"] = _suite
