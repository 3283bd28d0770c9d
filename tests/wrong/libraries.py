"""A right library, and plausible wrong ones, each with the check that must catch it. Run by test_kit_knowledge.py."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from dougong import Chunk, Hit, Library, Span, StoreError, SyncReport, Technique, hookimpl, report
from dougong.testing import LibraryConformance, MemoryIndex

DECLARED: list[Technique] = []
CAUGHT: dict[str, str] = {}


@attrs.frozen
class Params:
    """sources: folders that are read; path: folder of the store."""

    sources: list[Path]
    path: Path = Path("store")


def judged(check: str = "") -> Any:
    """Make the class a technique with a suite of its own; `check` must fail, no check where it is empty."""

    def declare(cls: type) -> type:
        name = cls.__name__.lower()
        DECLARED.append(Technique(name, Params, f"{__name__}:{cls.__name__}", f"{cls.__doc__}", "none", Library))
        suite = {"name": f"retriever.{name}", "plugin": __file__}
        globals()[f"Test{cls.__name__}"] = type(f"Test{cls.__name__}", (LibraryConformance,), suite)
        CAUGHT[f"Test{cls.__name__}"] = check
        return cls

    return declare


@hookimpl
def dougong_retrievers() -> list[Technique]:
    return DECLARED


@judged()
class Right:
    """One chunk a file; texts and their hashes in one JSON file."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self.file = params.path / "store.json"
        self.texts: dict[str, str] = self.stored() if self.file.is_file() else {}

    def stored(self) -> dict[str, str]:
        try:
            return json.loads(self.file.read_text("utf-8"))
        except ValueError as error:
            raise StoreError(f"{self.file} is damaged: {error}", hint="remove it, and sync") from error

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        return MemoryIndex(self.chunk(source, text) for source, text in self.texts.items()).search(query, k, where)

    def chunk(self, source: str, text: str) -> Chunk:
        span = Span(0, len(text))
        return Chunk(Chunk.name(source, span), source, text, span, meta={"source": source})

    def read(self) -> tuple[dict[str, str], list[tuple[str, str]]]:
        found, failed = {}, []
        for folder in self.params.sources:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                report("reading", len(found))
                source = path.relative_to(folder).as_posix()
                try:
                    found[source] = path.read_text("utf-8")
                except ValueError as error:
                    failed.append((source, str(error)))
        return found, failed

    def sync(self) -> SyncReport:
        found, failed = self.read()
        before, self.texts = self.texts, {**self.kept({source for source, _ in failed}), **found}
        self.params.path.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(self.texts), encoding="utf-8")
        return self.told(before, found, tuple(failed))

    def kept(self, failed: set[str]) -> dict[str, str]:
        return {source: text for source, text in self.texts.items() if source in failed}

    def told(self, before: Mapping[str, str], found: Mapping[str, str], failed: tuple[Any, ...]) -> SyncReport:
        both = before.keys() & found.keys()
        return SyncReport(
            added=len(found.keys() - before.keys()),
            updated=sum(before[source] != found[source] for source in both),
            deleted=len(before.keys() - self.texts.keys()),
            unchanged=sum(before[source] == found[source] for source in both),
            chunks=len(self.texts),
            failed=failed,
        )


@judged("test_sync_takes_everything_in_once")
class AddsAgain(Right):
    """Reports everything as added every time."""

    def told(self, before: Mapping[str, str], found: Mapping[str, str], failed: tuple[Any, ...]) -> SyncReport:
        return SyncReport(added=len(found), chunks=len(found), failed=failed)


@judged("test_a_changed_file_is_taken_in_anew")
class ByName(Right):
    """Knows a file by its name alone: one that changed is not read again."""

    def read(self) -> tuple[dict[str, str], list[tuple[str, str]]]:
        found, failed = super().read()
        return {source: self.texts.get(source, text) for source, text in found.items()}, failed


@judged("test_a_file_that_is_gone_is_forgotten")
class NeverDeletes(Right):
    """Keeps what is gone."""

    def kept(self, failed: set[str]) -> dict[str, str]:
        return self.texts


@judged("test_a_file_that_is_gone_is_forgotten")
class FlatOnly(Right):
    """Does not look into folders below."""

    def read(self) -> tuple[dict[str, str], list[tuple[str, str]]]:
        found, failed = super().read()
        return {source: text for source, text in found.items() if "/" not in source}, failed


@judged("test_a_file_that_cannot_be_read_is_told")
class Silent(Right):
    """Passes over what it cannot read."""

    def read(self) -> tuple[dict[str, str], list[tuple[str, str]]]:
        return super().read()[0], []


@judged("test_a_file_that_cannot_be_read_is_told")
class StopsThere(Right):
    """Fails with the first file that it cannot read."""

    def read(self) -> tuple[dict[str, str], list[tuple[str, str]]]:
        found, failed = super().read()
        if failed:
            raise ValueError(failed[0])
        return found, failed


@judged("test_a_file_that_breaks_keeps_nothing_false")
class ReadsGarbage(Right):
    """Reads a file that broke as Latin, and tells it all the same."""

    def sync(self) -> SyncReport:
        done = super().sync()
        for source, _ in done.failed:
            self.texts[source] = (self.params.sources[0] / source).read_text("latin-1") + " dougong brackets"
        return done


@judged("test_a_damaged_store_is_told_or_mended")
class LetsErrorsThrough(Right):
    """Raises whatever comes of a store that it cannot read."""

    def stored(self) -> dict[str, str]:
        return json.loads(self.file.read_text("utf-8"))


@judged("test_what_was_taken_in_stays")
class Forgets(Right):
    """Keeps everything in memory."""

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.texts = {}


@judged("test_it_can_be_searched_before_its_first_sync")
class NeedsSync(Right):
    """Cannot be searched before."""

    synced = False

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        if not self.texts:
            raise RuntimeError("sync first")
        return super().search(query, k, where)


@judged("test_sync_is_free_to_be_watched_and_cancelled")
class CannotBeStopped(Right):
    """Takes a cancelled run for a file that it cannot read."""

    def read(self) -> tuple[dict[str, str], list[tuple[str, str]]]:
        found = {}
        for folder in self.params.sources:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                found[path.relative_to(folder).as_posix()] = path.read_text("utf-8", "replace")
        return found, []


@judged("test_another_process_does_the_same")
class HashedNames(Right):
    """Calls documents by Python's hash."""

    def chunk(self, source: str, text: str) -> Chunk:
        chunk = super().chunk(source, text)
        return attrs.evolve(chunk, id=f"{hash(source)}", document=source)


@judged("test_sync_takes_everything_in_once")
class Normalises(Right):
    """Keeps a cleaner text than the file's."""

    def chunk(self, source: str, text: str) -> Chunk:
        return attrs.evolve(super().chunk(source, text), text=text.rstrip(".。"))


@judged("test_another_process_does_the_same")
class RandomOrder(Right):
    """Breaks ties by a digest that it salts anew."""

    def chunk(self, source: str, text: str) -> Chunk:
        import os

        salt = hashlib.sha256(source.encode() + str(os.getpid()).encode()).hexdigest()
        return attrs.evolve(super().chunk(source, text), id=salt)
