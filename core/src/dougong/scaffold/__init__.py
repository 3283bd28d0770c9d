"""``dougong new``: the files of a plugin's package, out of the templates beside this module.

A folder a kind holds a small technique that works, with its tests, its README in two languages and a config; ``common``
holds what all packages share. Templates are `string.Template`: ``$name`` is a field, ``$$`` a dollar.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from string import Template
from typing import Any

import attrs

from dougong.discovery import COMMANDS, GROUP
from dougong.hookspecs import DECLARING

KINDS = (*DECLARING, "command")
LICENSES = ("Apache-2.0", "MIT", "BSD-3-Clause")
NAME = re.compile(r"(?!(?:true|false|null)$)[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
"""What a distribution, a module and YAML alike take as a name."""
LONGEST = 32
"""Characters of a name, so that no line of a package is longer than 120."""

_TEMPLATES = Path(__file__).parent
_SUFFIXES = {"llm": "LLM"}
_TORCH = """
env:
  PIP_EXTRA_INDEX_URL: https://download.pytorch.org/whl/cpu # torch without CUDA: a tenth of the size
"""


@attrs.frozen
class Package:
    """What is to be made.

    Attributes:
        kind: one of the fourteen, or ``command``.
        name: of the technique, lower case with hyphens.
        language: of README and example, ``en`` or ``zh``.
    """

    kind: str
    name: str
    author: str
    license: str
    language: str
    year: int

    @property
    def distribution(self) -> str:
        return f"dougong-{self.kind}-{self.name}"

    @property
    def module(self) -> str:
        return self.distribution.replace("-", "_")

    @property
    def class_name(self) -> str:
        """``FixedChunker``: the kind is in it, so that it never is a keyword or one of dougong's names."""
        words = "".join(word.capitalize() for word in self.name.split("-"))
        return words + _SUFFIXES.get(self.kind, self.kind.capitalize())

    def files(self) -> dict[str, str]:
        """Path inside the package to text, in the order in which a reader would open them."""
        fields = self._fields()

        def filled(template: str) -> str:
            return Template((_TEMPLATES / template).read_text("utf-8")).substitute(fields)

        kind, source = self.kind, f"src/{self.module}"
        fields["config"] = filled(f"{kind}/example.yaml.tmpl")
        fields["develop"] = filled(f"common/develop.{self.language}.md.tmpl").rstrip("\n")
        places = {
            "README.md": f"{kind}/README.{self.language}.md.tmpl",
            f"{source}/__init__.py": f"{kind}/init.py.tmpl",
            f"{source}/{kind}.py": f"{kind}/{kind}.py.tmpl",
            "tests/test_conformance.py": f"{kind}/conformance.py.tmpl",
            f"tests/test_{kind}.py": f"{kind}/test.py.tmpl",
            "example.yaml": f"{kind}/example.yaml.tmpl",
            "example.tsv": f"{kind}/example.tsv.tmpl",
            "pyproject.toml": "common/pyproject.toml.tmpl",
            "LICENSE": f"licenses/{self.license}.tmpl",
            ".gitignore": "common/gitignore.tmpl",
            ".github/workflows/ci.yml": "common/ci.yml.tmpl",
        }
        return {path: filled(template) for path, template in places.items() if (_TEMPLATES / template).is_file()}

    def _fields(self) -> dict[str, str]:
        about = _toml(f"{self.kind}/kind.toml")
        words = _toml("common/words.toml")[self.language] | about.get(self.language, {})
        version = metadata.version("dougong").split(".")
        fields = {
            **words,
            "kind": self.kind,
            "name": self.name,
            "tool_name": self.name.replace("-", "_"),
            "distribution": self.distribution,
            "module": self.module,
            "cls": self.class_name,
            "summary": about["summary"],
            "description": json.dumps(f"{about['summary'].removesuffix('.')}: a {self.kind} of dougong"),
            "author": self.author,
            "author_quoted": json.dumps(self.author, ensure_ascii=False),
            "year": str(self.year),
            "license": self.license,
            "floor": ".".join(version[:2]),
            "requires": _lines(about["requires"]),
            "dev": _lines([*about["dev"], "ruff"]),
            "group": GROUP,
            "entry": f'"{self.kind}.{self.name}" = "{self.module}"',
            "kit": " -p dougong.testing",
            "listed": f" {self.kind}",
            "tested": Template(words["tested"]).substitute(kind=self.kind),
            "environment": _TORCH if about.get("torch") else "",
        }
        if self.kind == "command":
            fields |= {"group": COMMANDS, "entry": f'{self.name} = "{self.module}:command"'}
            fields |= {"kit": "", "listed": "", "tested": words["tested_command"]}
        return fields


def write(files: Mapping[str, str], folder: Path) -> None:
    """Write `files` as the new `folder`: whole, or not at all. Raises OSError."""
    try:
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as problem:
        raise OSError(problem.errno, problem.strerror, str(folder)) from problem
    try:
        for name, text in files.items():
            path = made / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        made.chmod(0o777 & ~_umask())
        made.rename(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _umask() -> int:
    """The mask that new folders get; `mkdtemp` leaves them to their owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _toml(template: str) -> dict[str, Any]:
    return tomllib.loads((_TEMPLATES / template).read_text("utf-8"))


def _lines(needs: Iterable[str]) -> str:
    return "".join(f'  "{need}",\n' for need in needs)
