"""loader.files: any file, by the loader that reads it."""

from __future__ import annotations

import attrs
from dougong import Loader, Technique, hookimpl


@attrs.frozen
class Params:
    """Parameters of the files loader.

    of: loaders to choose from, the first that claims a suffix wins; empty for every installed one, by name.
    """

    of: list[Loader] = attrs.field(factory=list)


@hookimpl
def dougong_loaders() -> list[Technique]:
    return [
        Technique(
            "files",
            Params,
            "dougong_loader_files.files:FilesLoader",
            summary="Any file, read by the loader that its suffix names; what no one claims, as text if it is text.",
            source="the suffixes that loaders declare",
        )
    ]
