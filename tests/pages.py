"""Pages of the documentation, done as they are written: files written, commands typed, outputs compared."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

FENCE = re.compile(
    r'^(?:<!-- (?P<note>.*?) -->\n)?(?P<fence>```+)(?P<language>\w*)(?: title="(?P<title>[^"]+)")?\n'
    r"(?P<body>.*?)^(?P=fence)$",
    re.M | re.S,
)


@attrs.frozen
class Block:
    """A fenced block: `note` is the comment above it, `line` that of its first line."""

    language: str
    title: str
    body: str
    note: str
    line: int

    @property
    def steps(self) -> Iterator[tuple[str, str]]:
        """Each command of a console block, and what it prints."""
        for part in re.split(r"^\$ ", self.body, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [
        Block(
            language=match["language"],
            title=match["title"] or "",
            body=match["body"],
            note=match["note"] or "",
            line=text.count("\n", 0, match.start("body")) + 1,
        )
        for match in FENCE.finditer(text)
    ]


def agrees(told: str, printed: str) -> bool:
    """Whether `printed` is what the page tells, where ``...`` stands for anything; on a line of its own, also for no
    line. Seconds, progress, the width of columns and white space at the ends of lines are not compared."""
    pattern = ".*".join(map(re.escape, re.split(r"^\.\.\.\n|\.\.\.", _plain(told), flags=re.M)))
    return re.fullmatch(pattern, _plain(printed), re.S) is not None


def _plain(text: str) -> str:
    text = re.sub(r"\d+\.\d+( ?s\b| 秒)", r"0.0\1", text)
    text = re.sub(r"^\w+ \d+/\d+.*\n", "", text, flags=re.M)  # progress
    text = re.sub(r"(?<=\S) {2,}(?=\S)", "  ", text)
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def follow(page: Path, folder: Path, environ: Mapping[str, str], without: str = "") -> list[str]:
    """Do all that `page` says in `folder`, but for blocks noted as `without` or as not run; what was typed.

    A block with a title is a file. One without is typed: a console, a program in Python, or a config to check.
    """
    here, typed = folder, []
    for block in blocks(page):
        if block.note.startswith("not run: ") or (without and block.note == without):
            continue
        if block.title:
            file = folder / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.body, "utf-8")
        elif block.language == "python":
            typed.append(block.body)
            code, printed = _typed(["python", "-c", block.body], here, environ)
            assert code == 0, f"{page.name}:{block.line}\n{printed}"
        elif block.language == "yaml":
            (folder / "block.yaml").write_text(block.body, "utf-8")
            typed.append(block.body)
            code, printed = _typed(["dougong", "check", "block.yaml"], folder, environ)
            assert code == 0, f"{page.name}:{block.line}\n{printed}"
        for command, told in block.steps if not block.title else ():
            typed.append(command)
            if command.startswith("cd "):
                here = (here / command[3:]).resolve()
            elif command != ". .venv/bin/activate":  # `environ` has the effect of it
                printed = _typed(["sh", "-c", command], here, environ)[1]
                assert agrees(told, printed), (
                    f"{page.name}:{block.line}: {command}\n--- told\n{told}--- printed\n{printed}"
                )
    return typed


def _typed(command: list[str], folder: Path, environ: Mapping[str, str]) -> tuple[int, str]:
    done = subprocess.run(command, cwd=folder, env=environ, encoding="utf-8", stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=300)  # fmt: skip
    return done.returncode, re.sub(r", \d+ deselected", "", done.stdout)


def surroundings(folder: Path, path: str, language: str) -> dict[str, str]:
    """What commands see: scripts of `path` first, an empty home, no index, nothing of this process's pytest."""
    kept = {name: os.environ[name] for name in ("SYSTEMROOT", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "PATH": f"{path}{os.pathsep}{os.environ.get('PATH', '')}",
        "HOME": str(folder / "home"),
        "DOUGONG_LANG": language,
        "DOUGONG_CACHE": str(folder / "cache"),
        "COLUMNS": "80",
        "PYTHONUTF8": "1",
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
