"""What the frame costs: listing against ``llm plugins``, checking against importing core's own libraries, bad configs.

Every figure is of whole processes, started as a user starts them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _bench import row, side_by_side, skipped

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core" / "src" / "dougong"
HEAVY = ("torch", "transformers", "numpy", "sqlite3")
LIBRARIES = "pluggy, attrs, click, ruamel.yaml, rich, platformdirs"
DUMMIES = 100
ROUNDS = 7

PLUGIN = """
import attrs
from dougong import Retriever, Technique, hookimpl
@attrs.frozen
class Params:
    "size: tokens; of: members"
    size: int = attrs.field(default=8, validator=attrs.validators.ge(1))
    label: str = ""
    ratio: float = 0.5
    of: list[Retriever] = attrs.field(factory=list)
@hookimpl
def dougong_retrievers():
    return [Technique("dummy{n}", Params, "dougong_dummy_factory:Thing", "A dummy.", "none")]
"""


def dummies(site: Path) -> None:
    """100 fake distributions of a technique each, whose factory module writes to stderr when it is imported."""
    for n in range(DUMMIES):
        info = site / f"dougong_retriever_dummy{n}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dougong-retriever-dummy{n}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[dougong.v1]\nretriever.dummy{n} = dougong_dummy{n}\n")
        (site / f"dougong_dummy{n}.py").write_text(PLUGIN.replace("{n}", str(n)))
    (site / "dougong_dummy_factory.py").write_text("raise SystemExit('a factory was imported')")


def config(count: int) -> str:
    """`count` components: a tree of refs, each of another plugin."""
    lines = [f"c0: {{use: retriever.dummy0, size: {count}}}"]
    for n in range(1, count):
        lines.append(
            f"c{n}: {{use: retriever.dummy{n}, size: '${{c{n - 1}.size}}', label: x, of: [{{ref: c{(n - 1) // 2}}}]}}"
        )
    return "\n".join(lines) + "\n"


def run(command: Sequence[str], site: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A process with `site` on its path. Byte code is cached (beside `site`), as pip leaves it: for all contenders."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    ours = {"PYTHONPATH": str(site), "PYTHONPYCACHEPREFIX": str(site.parent / "pyc")}
    return subprocess.run(
        command, env={**clean, **ours, **env}, capture_output=True, text=True, check=False, timeout=120
    )


def listing(site: Path, user: Path) -> None:
    ours = [sys.executable, "-m", "dougong", "plugins"]
    done = run(ours, site)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("dummy") >= DUMMIES
    count = len(done.stdout.splitlines())
    code = (
        "import sys; sys.argv = ['dougong', 'plugins']\nfrom dougong.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"print([n for n in {HEAVY!r} if n in sys.modules], file=sys.stderr)"
    )
    heavy = run([sys.executable, "-c", code], site).stderr.strip()
    row(
        f"modules of {', '.join(HEAVY)} that `dougong plugins` imports",
        len(json.loads(heavy.replace("'", '"'))),
        "modules",
        bar="0",
        holds=heavy == "[]",
    )
    if importlib.util.find_spec("llm") is None:
        skipped("dougong plugins", "llm is not installed (pip install llm)")
        return
    peer = [sys.executable, "-m", "llm", "plugins"]
    environment = {"LLM_USER_PATH": str(user)}
    done = run(peer, site, **environment)
    assert done.returncode == 0, done.stderr
    seconds = side_by_side({"ours": lambda: run(ours, site), "llm": lambda: run(peer, site, **environment)}, ROUNDS)
    ratio = seconds["ours"] / seconds["llm"]
    row(
        f"dougong plugins, {count} techniques installed",
        seconds["ours"] * 1000,
        "ms",
        against=f"llm plugins, {seconds['llm'] * 1000:.0f} ms",
        ratio=ratio,
        bar="<= 0.20",
        holds=ratio <= 0.2,
    )


def checking(site: Path, folder: Path) -> None:
    commands: dict[str, Any] = {}
    for count in (1, 40, 80):
        path = folder / f"c{count}.yaml"
        path.write_text(config(count))
        commands[str(count)] = [sys.executable, "-m", "dougong", "check", str(path)]
        done = run(commands[str(count)], site)
        assert done.returncode == 0, done.stderr
        assert "factory" not in done.stderr
    commands["libraries"] = [sys.executable, "-c", f"import {LIBRARIES}"]
    run(commands["libraries"], site)
    seconds = side_by_side({name: lambda c=command: run(c, site) for name, command in commands.items()}, ROUNDS)
    ratio = seconds["40"] / seconds["libraries"]
    row("dougong check, 40 components", seconds["40"] * 1000, "ms",
        against=f"import {LIBRARIES}, {seconds['libraries'] * 1000:.0f} ms",
        ratio=ratio, bar="<= 2", holds=ratio <= 2)  # fmt: skip
    row("dougong check, each component more", (seconds["80"] - seconds["1"]) / 79 * 1000, "ms")
    code = (
        f"import sys; sys.argv = ['dougong', 'check', {str(folder / 'c40.yaml')!r}]\nfrom dougong.cli import main\n"
        "try: main()\nexcept SystemExit: pass\nprint(sum('factory' in n for n in sys.modules), file=sys.stderr)"
    )
    imported = int(run([sys.executable, "-c", code], site).stderr)
    row("factory modules that `dougong check` imports", imported, "modules", bar="0", holds=imported == 0)


def mistakes(folder: Path) -> None:
    """Every bad config of the tests, as a process of its own."""
    spec = importlib.util.spec_from_file_location("bad_configs", ROOT / "tests" / "test_bad_configs.py")
    assert spec is not None
    assert spec.loader is not None
    tests = importlib.util.module_from_spec(spec)
    sys.modules["bad_configs"] = tests
    spec.loader.exec_module(tests)
    slowest, which = 0.0, ""
    for name, case in tests.CASES.items():
        arguments = tests.arguments(case, folder)
        start = time.perf_counter()
        done = tests.run(arguments, folder, case.env)
        seconds = time.perf_counter() - start
        assert done.returncode == 2, done.stderr
        if seconds > slowest:
            slowest, which = seconds, name
    row(f"slowest of {len(tests.CASES)} bad configs ({which})", slowest, "s", bar="<= 1", holds=slowest <= 1)


def size() -> None:
    files = [f for f in CORE.rglob("*.py") if f.relative_to(CORE).parts[0] not in ("cli", "testing", "scaffold")]
    lines = {file.name: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    largest = max(lines, key=lambda name: lines[name])
    row("core without cli, testing and scaffold", sum(lines.values()), "lines", bar="aim about 1,800")
    row(f"largest file of core ({largest})", lines[largest], "lines", bar="<= 300", holds=lines[largest] <= 300)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for inner in ("site", "llm", "bad"):
            (folder / inner).mkdir()
        dummies(folder / "site")
        listing(folder / "site", folder / "llm")
        checking(folder / "site", folder)
        mistakes(folder / "bad")
    size()


if __name__ == "__main__":
    main()
