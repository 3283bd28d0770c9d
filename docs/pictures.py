"""Make the pictures of the documentation anew: ``python docs/pictures.py``.

Terminals are SVG, from what the real commands print. Pages are PNG, by playwright and an installed Chromium
(``pip install playwright``; CHROMIUM names the program if it is not on the PATH); without it they are left as they are.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures"
TASK = "When was the Yingzao Fashi printed?"
TERMINALS = {
    "ask": [f'dougong ask examples/corpus "{TASK}"', "dougong ask examples/corpus 什么是注意力汇点？"],
    "check": ["dougong check docs/examples/wrong.yaml"],
    "show": ["dougong show docs/recipes/rag.yaml"],
    "trace": [f'dougong run docs/recipes/rag.yaml "{TASK}" --journal run.jsonl', "dougong trace run.jsonl"],
}


def main() -> None:
    """All of them, in a copy of what the commands read."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("docs/recipes", "docs/examples", "examples/corpus"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        printed(folder, f'dougong run docs/recipes/rag.yaml "{TASK}"')  # indexes: not what the pictures are about
        printed(folder, f'dougong ask examples/corpus "{TASK}"')
        for picture, commands in TERMINALS.items():
            terminal(picture, [(command, printed(folder, command)) for command in commands])
        printed(folder, "dougong trace run.jsonl --html trace.html")
        pages(folder)


def printed(folder: Path, command: str) -> str:
    """What `command` prints, as to an English reader with an empty cache."""
    environ = os.environ | {"DOUGONG_LANG": "en", "DOUGONG_CACHE": str(folder / "cache"), "COLUMNS": "110",
                            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}  # fmt: skip
    done = subprocess.run(["sh", "-c", command], cwd=folder, env=environ, encoding="utf-8", stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)  # fmt: skip
    return done.stdout.replace(f"{folder}{os.sep}", "").rstrip()


def terminal(picture: str, session: list[tuple[str, str]]) -> None:
    console = Console(record=True, width=112, file=io.StringIO())
    for command, output in session:
        console.print(Text.assemble(("$ ", "green"), (command, "bold")))
        console.print(Text(output + "\n"))
    svg = console.export_svg(title="dougong", unique_id=picture)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S)  # a font from elsewhere: nothing is fetched
    svg = "\n".join(line.rstrip() for line in svg.splitlines())
    (PICTURES / f"{picture}.svg").write_text(svg + "\n", "utf-8")


def pages(folder: Path) -> None:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        print("no chromium: trace.png is left as it is", file=sys.stderr)
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 960, "height": 620}, device_scale_factor=1)
        page.goto((folder / "trace.html").as_uri())
        page.screenshot(path=str(PICTURES / "trace.png"))
        browser.close()


if __name__ == "__main__":
    main()
