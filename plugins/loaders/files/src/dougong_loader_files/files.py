"""Gives each file to the loader that reads it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from dougong import Document, DougongError, Loader, LoadError

from dougong_loader_files.formats import sniff

if TYPE_CHECKING:
    from dougong_loader_files import Params

# Formats that are not to be read as text, and the plugin for each.
_KNOWN = {".pdf": "pdf", ".docx": "docx", ".html": "html", ".htm": "html", ".xhtml": "html"}
_TEXTS = (".txt", ".text", ".log", ".md", ".markdown", ".html", ".htm", ".xhtml")
_BINARIES = (".pdf", ".doc", ".docx", ".docm", ".dotx", ".dotm")


class FilesLoader:
    """Chooses a loader by the end of the file's name, in the order given; else one that tells by content.

    Content that leaves no doubt (PDF, Word, HTML) overrules a usual suffix, and so does plain text that is called PDF
    or DOCX: ``meta["read_as"]`` is then the suffix it should have. What no loader claims is read by the one of ``.txt``
    files, if it is text. `suffixes` is empty: every file is tried.
    """

    suffixes: tuple[str, ...] = ()

    def __init__(self, params: Params) -> None:
        self._params = params
        self._broken: list[str] = []

    @cached_property
    def _loaders(self) -> list[Loader]:
        """Those given, or every installed one, built on first use. One that is broken is left out."""
        if self._params.of:
            return list(self._params.of)
        from dougong.assemble import installed, make

        loaders = []
        for name in installed().names("loader"):
            if name != "files":
                try:
                    loaders.append(make(f"loader.{name}"))
                except DougongError as problem:
                    self._broken.append(f"loader.{name} is broken: {problem}")
        return loaders

    def load(self, source: Path) -> Document:
        """The document in `source`. Raises LoadError: unreadable, or of a format that no loader reads."""
        name, suffix = source.name.lower(), source.suffix.lower()
        named, text = self._of(name), self._of(".txt")
        content = sniff(source)
        told = self._of(content.suffix) if content.suffix else None
        if told is not None and told is not named and (named is None or name.endswith(_TEXTS + _BINARIES)):
            return _read_as(told.load(source), content.suffix)
        if content.name and (named is None or named is text):
            raise LoadError(f"{source}: is {content.name}", hint=content.cure)
        if named is not None:
            try:
                return named.load(source)
            except LoadError:
                if content.suffix or text is None or not name.endswith(_BINARIES):
                    raise
                try:
                    return _read_as(text.load(source), ".txt")
                except LoadError:
                    pass
                raise
        for loader in self._loaders:
            if not loader.suffixes:
                try:
                    return loader.load(source)
                except LoadError:  # not its format
                    continue
        cure = "; ".join(self._broken) or f"give 'of' a loader of {suffix or 'such'} files, or leave the file out"
        if suffix in _KNOWN:
            cure = "; ".join([f"pip install dougong-loader-{_KNOWN[suffix]}", *self._broken])
        elif text is not None:
            try:
                return text.load(source)
            except LoadError as problem:
                unclaimed = f"{problem.message}, and no loader claims '{suffix}'"
                raise LoadError(unclaimed, hint=problem.hint or cure) from problem
        raise LoadError(f"{source}: no loader reads '{suffix or source.name}'", hint=cure)

    def _of(self, name: str) -> Loader | None:
        """The first loader that claims a file's name, or a suffix."""
        return next((loader for loader in self._loaders if loader.suffixes and name.endswith(loader.suffixes)), None)


def _read_as(document: Document, suffix: str) -> Document:
    return attrs.evolve(document, meta={**document.meta, "read_as": suffix})
