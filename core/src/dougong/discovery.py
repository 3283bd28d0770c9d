"""What is installed, read from entry points alone: nothing is imported."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

GROUP = "dougong.v1"
COMMANDS = "dougong.commands.v1"
_HEADER = re.compile(r"^(Name|Version):[ \t]*(.*?)\s*$", re.MULTILINE)
_OURS = re.compile(r"dougong\.(commands\.)?v\d+")


class Entry(NamedTuple):
    """One entry point.

    Attributes:
        group: ``dougong.v1`` or another version of it, or of the commands' group.
        name: ``kind.technique``, or a command's name.
        module: what it points to; ``module`` or ``module:attribute``.
        distribution: name of the distribution that declares it.
        version: of that distribution.
    """

    group: str
    name: str
    module: str
    distribution: str
    version: str

    @property
    def kind(self) -> str:
        return self.name.partition(".")[0]

    @property
    def technique(self) -> str:
        return self.name.partition(".")[2]

    @property
    def origin(self) -> str:
        return f"{self.distribution} {self.version}".strip()


def discover() -> list[Entry]:
    """All entry points of any ``dougong`` group, by name. Of a distribution found twice on the path, the first.

    Reads ``*.dist-info`` folders on ``sys.path`` itself: importlib.metadata (which alone takes as long to import as
    this takes to run) finds no others but those in zip files.
    """
    entries: list[Entry] = []
    seen: set[str] = set()
    for folder in sys.path:
        try:
            names = sorted(name for name in os.listdir(folder or ".") if name.endswith((".dist-info", ".egg-info")))
        except OSError:  # a zip file, or nothing
            continue
        for info in names:
            place = os.path.join(folder, info)
            text = _read(place, "entry_points.txt")
            if "[dougong." not in text:
                continue
            metadata = _read(place, "METADATA") or _read(place, "PKG-INFO")
            headers = dict(_HEADER.findall(metadata.partition("\n\n")[0]))
            name, version = headers.get("Name", ""), headers.get("Version", "")
            key = re.sub(r"[-_.]+", "-", name).lower()
            if name and key not in seen:
                seen.add(key)
                entries.extend(Entry(*point, name, version) for point in _points(text))
    return sorted(entries, key=lambda entry: (entry.name, entry.distribution))


def _read(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _points(text: str) -> Iterator[tuple[str, str, str]]:
    """The ``(group, name, value)`` lines of an entry_points.txt that are ours."""
    group = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif "=" in line and not line.startswith(("#", ";")) and _OURS.fullmatch(group):
            name, _, value = line.partition("=")
            yield group, name.strip(), value.partition("[")[0].strip()
