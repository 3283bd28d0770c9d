"""What is installed, read from entry points alone: nothing is imported."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import NamedTuple

GROUP = "dougong.v1"
COMMANDS = "dougong.commands.v1"
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
    """All entry points of any ``dougong`` group, by name. Of a distribution found twice on the path, the first."""
    entries: list[Entry] = []
    seen: set[str] = set()
    for distribution in metadata.distributions(path=sys.path):
        text = distribution.read_text("entry_points.txt")
        if not text or "[dougong." not in text:  # reading the whole metadata of every package costs ten times as much
            continue
        name = distribution.metadata["Name"] or ""
        if name and name.lower() not in seen:
            seen.add(name.lower())
            entries.extend(Entry(*point, name, distribution.version) for point in _points(text))
    return sorted(entries, key=lambda entry: (entry.name, entry.distribution))


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
