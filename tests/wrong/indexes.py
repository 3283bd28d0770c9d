"""A right index, and plausible wrong ones, each with the check that must catch it. Run by test_kit_knowledge.py."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
from dougong import Chunk, Hit, Index, StoreError, Technique, hookimpl
from dougong.testing import IndexConformance, MemoryIndex

DECLARED: list[Technique] = []
CAUGHT: dict[str, str] = {}


@attrs.frozen
class Params:
    """fold: whether case counts; saved with the index."""

    fold: bool = True


def judged(check: str = "", **attributes: Any) -> Any:
    """Make the class a technique with a suite of its own; `check` must fail, no check where it is empty."""

    def declare(cls: type) -> type:
        name = cls.__name__.lower()
        DECLARED.append(Technique(name, Params, f"{__name__}:{cls.__name__}", f"{cls.__doc__}", "none", Index))
        suite = {"name": f"retriever.{name}", "plugin": __file__, "other": {"fold": False}, **attributes}
        globals()[f"Test{cls.__name__}"] = type(f"Test{cls.__name__}", (IndexConformance,), suite)
        CAUGHT[f"Test{cls.__name__}"] = check
        return cls

    return declare


@hookimpl
def dougong_retrievers() -> list[Technique]:
    return DECLARED


@judged()
class Right(MemoryIndex):
    """The kit's own index, which also saves its params."""

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.params = params

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / "params.json").write_text(json.dumps(attrs.asdict(self.params)), encoding="utf-8")

    def load(self, folder: Path, chunks: Mapping[str, Chunk]) -> None:
        try:
            saved = json.loads((folder / "params.json").read_text("utf-8"))
        except (OSError, ValueError) as problem:
            raise StoreError(f"{folder} is no index: {problem}", hint="index again") from problem
        if saved != attrs.asdict(self.params):
            raise StoreError(f"{folder} was saved with {saved}", hint="set them back, or index again")
        super().load(folder, chunks)


@judged(exact=False)
class Approximate(Right):
    """Right, but that it promises less."""


@judged("test_delete_forgets")
class Hides(Right):
    """Deletes by a mark that adding does not take away."""

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.dead: set[str] = set()

    def delete(self, ids: Iterable[str]) -> None:
        self.dead.update(ids)

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        return [hit for hit in super().search(query, k + len(self.dead), where) if hit.chunk.id not in self.dead][:k]


@judged("test_delete_forgets")
class Keeps(Right):
    """Deletes the chunk and leaves its words."""

    def delete(self, ids: Iterable[str]) -> None:
        ids = list(ids)
        self._stored = {**self._stored, **{id: self._added[id] for id in ids if id in self._added}}
        for id in ids:
            self._added.pop(id, None)


@judged("test_delete_forgets")
class Strict(Right):
    """Fails for an id that it does not hold."""

    def delete(self, ids: Iterable[str]) -> None:
        for id in ids:
            del self._words[id], self._added[id]


@judged("test_add_takes_any_iterable_and_replaces")
class FirstWins(Right):
    """Leaves alone what it holds already."""

    def add(self, chunks: Iterable[Chunk]) -> None:
        super().add(chunk for chunk in chunks if chunk.id not in self._words)


@judged("test_add_takes_any_iterable_and_replaces")
class ReadsTwice(Right):
    """Goes through what it is given twice; a generator is empty then."""

    def add(self, chunks: Iterable[Chunk]) -> None:
        if any(not chunk.id for chunk in chunks):
            raise ValueError("a chunk has no id")
        super().add(chunks)


@judged("test_any_order_of_changes")
class Drifts(Right):
    """Weighs words by how often they were ever added."""

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.ever = 0

    def add(self, chunks: Iterable[Chunk]) -> None:
        chunks = list(chunks)
        self.ever += len(chunks)
        super().add(chunks)

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        return [Hit(hit.chunk, hit.score / self.ever) for hit in super().search(query, k, where)]


@judged("test_saved_and_loaded_it_is_the_same")
class Merges(Right):
    """Adds what it loads to what it holds."""

    def load(self, folder: Path, chunks: Mapping[str, Chunk]) -> None:
        before, added = self._words, self._added
        super().load(folder, chunks)
        self._words, self._added = {**before, **self._words}, added


@judged("test_saved_and_loaded_it_is_the_same")
class ReadsAll(Right):
    """Fetches every chunk when it is loaded."""

    def load(self, folder: Path, chunks: Mapping[str, Chunk]) -> None:
        super().load(folder, chunks)
        self._added = {id: chunks[id] for id in chunks}


@judged("test_saved_and_loaded_it_is_the_same")
class LooksTwice(Right):
    """Fetches a chunk for the filter and again for the hit."""

    def _chunk(self, id: str) -> Chunk:
        if id not in self._added:
            self._stored[id]
        return super()._chunk(id)


@judged("test_saving_changes_nothing")
class SaveEmpties(Right):
    """Writes what it has in memory and lets go of it."""

    def save(self, folder: Path) -> None:
        super().save(folder)
        self._words = {}


@judged("test_saving_changes_nothing")
class NeedsItsFolder(Right):
    """Reads from the folder that it was first saved in."""

    home: Path | None = None

    def save(self, folder: Path) -> None:
        super().save(folder)
        self.home = self.home or folder

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        if self.home is not None:
            (self.home / "memory.json").read_text("utf-8")
        return super().search(query, k, where)


@judged("test_a_saved_folder_never_changes")
class WritesThrough(Right):
    """Goes on writing into the folder that it was saved in."""

    home: Path | None = None

    def save(self, folder: Path) -> None:
        super().save(folder)
        self.home = folder

    def add(self, chunks: Iterable[Chunk]) -> None:
        super().add(chunks)
        if self.home is not None:
            (self.home / "memory.json").unlink()
            MemoryIndex.save(self, self.home)


@judged("test_what_is_no_index_is_refused")
class LetsErrorsThrough(Right):
    """Raises whatever comes."""

    def load(self, folder: Path, chunks: Mapping[str, Chunk]) -> None:
        json.loads((folder / "params.json").read_text("utf-8"))
        super().load(folder, chunks)


@judged("test_what_is_no_index_is_refused")
class HalfLoaded(Right):
    """Lets go of what it holds before it knows whether the folder is good."""

    def load(self, folder: Path, chunks: Mapping[str, Chunk]) -> None:
        self._words = {}
        super().load(folder, chunks)


@judged("test_what_is_no_index_is_refused")
class EmptyIfMissing(Right):
    """Takes a folder without files for an empty index."""

    def load(self, folder: Path, chunks: Mapping[str, Chunk]) -> None:
        if any(folder.glob("*")):
            super().load(folder, chunks)


@judged("test_a_newer_version_is_refused")
class AnyVersion(Right):
    """Reads every version."""

    def load(self, folder: Path, chunks: Mapping[str, Chunk]) -> None:
        try:
            super().load(folder, chunks)
        except StoreError as error:
            if "version" not in str(error):
                raise


@judged("test_other_parameters_are_refused")
class AnyParams(Right):
    """Does not look at the params that were saved."""

    def load(self, folder: Path, chunks: Mapping[str, Chunk]) -> None:
        if not (folder / "params.json").is_file() or b"fold" not in (folder / "params.json").read_bytes():
            raise StoreError(f"{folder} is no index", hint="index again")
        MemoryIndex.load(self, folder, chunks)


@judged("test_a_chunk_that_the_store_lacks_is_told")
class LeavesOut(Right):
    """Leaves out hits whose chunk is gone."""

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        try:
            return super().search(query, k, where)
        except StoreError:
            return []


@judged("test_an_empty_index_is_one")
class NeedsOne(Right):
    """Divides by how many chunks it holds."""

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        weight = 1 / len(self)
        return [Hit(hit.chunk, hit.score * weight) for hit in super().search(query, k, where)]


@judged("test_threads_may_share_it")
class BuildsTwice(Right):
    """Builds on first use, without a lock, and shows what is half built."""

    ready: dict[str, Any] | None = None

    def add(self, chunks: Iterable[Chunk]) -> None:
        super().add(chunks)
        self.ready = None

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        if self.ready is None:
            self.ready = {}
            for id in self._words:
                time.sleep(0.001)  # another thread's turn, as in a loop that takes longer
                self.ready[id] = True
        return [hit for hit in super().search(query, k, where) if hit.chunk.id in self.ready]


@judged("test_delete_forgets", exact=False)
class ForgetsTheRest(Right):
    """Approximate, and loses neighbours of what is deleted."""

    def delete(self, ids: Iterable[str]) -> None:
        super().delete(ids)
        for id in list(self._words)[::2]:
            del self._words[id]
