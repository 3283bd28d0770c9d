"""retriever.library: documents in, hits out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
from dougong import Chunker, Index, Library, Loader, Technique, hookimpl, slot

IGNORED = (".*", "node_modules", "__pycache__")


def _not_empty(instance: Any, attribute: Any, value: list[Path]) -> None:
    if not value:
        raise ValueError("must be at least one file or folder; write sources: [docs/]")


def _patterns(instance: Any, attribute: Any, value: list[str]) -> None:
    if not all(pattern.strip("/") for pattern in value):
        raise ValueError("must be patterns that are not empty, such as *.tmp or drafts/*; remove the empty one")


def _no_less_than_none(instance: Any, attribute: Any, value: int | None) -> None:
    if value is not None and value < 0:
        raise ValueError(f"must be 0 (load in this process) or a number of worker processes; got {value}")


def _positive(instance: Any, attribute: Any, value: int) -> None:
    if value < 1:
        raise ValueError(f"must be 1 or more megabytes; got {value}")


@attrs.frozen
class Params:
    """A library of documents.

    sources: files and folders to read, folders with all below them.
    path: folder of the store; made where it is missing, safe to delete (the next `sync` builds it anew).
    loader, chunker, index: the three stages.
    ignore: patterns (``* ? [abc]``) of files and folders to leave out; one without ``/`` is matched against every
        name below a source, one with ``/`` against the path from the source.
    max_megabytes: larger files are reported and left out (1 megabyte = 1,000,000 bytes).
    workers: processes that load and cut files beside this one; 0: none; None: one a processor, up to 8, where there
        is enough to read for them to pay.
    """

    sources: list[Path] = attrs.field(validator=_not_empty)
    path: Path = Path(".dougong/library")
    loader: Loader = slot("files")
    chunker: Chunker = slot("recursive")
    index: Index = slot("bm25")
    ignore: list[str] = attrs.field(factory=lambda: list(IGNORED), validator=_patterns)
    max_megabytes: int = attrs.field(default=256, validator=_positive)
    workers: int | None = attrs.field(default=None, validator=_no_less_than_none)


@hookimpl
def dougong_retrievers() -> list[Technique]:
    return [
        Technique(
            "library",
            Params,
            "dougong_retriever_library.library:DocumentLibrary",
            summary="Documents in, hits out: loads, chunks and indexes files, incrementally and crash-safely.",
            source="SQLite write-ahead log (sqlite.org/wal.html); content-hash diff as in git's index (racy-git)",
            protocol=Library,
        )
    ]
