"""From sources to files."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple
from urllib.parse import quote

import attrs
from dougong import DougongError, StoreError

from dougong_retriever_library.store import Held, Unavailable

Match = Callable[[str], object]


class Found(NamedTuple):
    """A file below a source. `source` is its path as a person would type it.

    A tuple with a string for a path: where all files are new there are many.
    """

    id: str
    place: str
    source: str
    size: int
    mtime_ns: int

    @property
    def path(self) -> Path:
        return Path(self.place)


@attrs.frozen
class Walk:
    """What the sources hold, against what is held of them. Of files that are as they were, of by far the most that is,
    nothing is said.

    Attributes:
        stale: files that are new or may have changed.
        missing: of what is held, that which was not found.
        failed: ``(id, source, reason)`` of what could not be read: a file, or a folder and all below it.
    """

    stale: list[Found]
    missing: dict[str, Held]
    failed: list[tuple[str, str, str]]


def walk(
    sources: Sequence[Path], ignore: Sequence[str], own: Path, suffixes: Sequence[str], held: Mapping[str, Held]
) -> Walk:
    """Compare the files of the sources with what is `held`, by name, size and time.

    A document's id is the source's name and the path below it, ``docs/a/b.md``.
    Of sources of one name, later ones are called ``docs-2``, ``docs-3``. A file that two sources share belongs to the
    first. Symbolic links below a source are not followed: links within it lead to what is read anyway; those that
    lead out of it are reported.

    Raises `StoreError` for a source that does not exist; `Unavailable` where documents of it are held.
    """
    result = Walk([], dict(held), [])
    names: set[str] = set()
    seen: set[str] = set()
    patterns = [pattern.strip("/") for pattern in ignore]
    of_name = _any_of(pattern for pattern in patterns if "/" not in pattern)
    of_path = _any_of(pattern for pattern in patterns if "/" in pattern)
    for source in sources:
        root = source.absolute() if source.name not in ("", "..") else source.resolve()
        name = label = _component(root.name) or "root"
        number = 1
        while label in names:
            number += 1
            label = f"{name}-{number}"
        names.add(label)
        try:
            root = root.resolve(strict=True)
        except (OSError, RuntimeError) as problem:
            known = any(id == label or id.startswith(f"{label}/") for id in held)
            raise (Unavailable if known else StoreError)(
                f"source {_readable(source)} cannot be found ({getattr(problem, 'strerror', problem)})",
                hint="correct the path, or take it out of sources; nothing stored was changed",
            ) from None
        if root.is_dir():
            _folder(result, root, source, label, (of_name, of_path), own.resolve(), seen, tuple(suffixes))
        elif str(root) not in seen:
            seen.add(str(root))
            _file(result, str(root), root.stat, str(source), label)
    return result


def _folder(
    result: Walk,
    root: Path,
    source: Path,
    label: str,
    ignored: tuple[Match, Match],
    own: Path,
    seen: set[str],
    suffixes: tuple[str, ...],
) -> None:
    of_name, of_path = ignored
    todo = [("", label)]  # the loop below is what a sync of a large library spends its time in
    while todo:
        folder, name = todo.pop()
        if root / folder == own:
            continue
        try:
            with os.scandir(root / folder) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name)
        except OSError as problem:
            if not folder or not isinstance(problem, FileNotFoundError):  # else it vanished meanwhile
                result.failed.append((name, _readable(source / folder), reason_of(problem)))
            continue
        above = "" if (typed := str(source / folder)) == "." else os.path.join(typed, "")
        for entry in ordered:
            entry_name = entry.name
            below = f"{folder}/{entry_name}" if folder else entry_name
            if of_name(entry_name) or of_path(below):
                continue
            id, shown = f"{name}/{_component(entry_name)}", above + entry_name
            if entry.is_symlink():
                if not Path(os.path.realpath(entry.path)).is_relative_to(root):
                    reason = "a symbolic link out of its source is not followed; name its target in sources"
                    result.failed.append((id, _readable(shown), reason))
            elif entry.is_dir():
                todo.append((below, id))
            elif (not suffixes or entry_name.lower().endswith(suffixes)) and entry.path not in seen:
                seen.add(entry.path)
                _file(result, entry.path, entry.stat, shown, id)


def _any_of(patterns: Iterable[str]) -> Match:
    """Whether one of the patterns fits the whole of a string."""
    expression = "|".join(map(fnmatch.translate, patterns))
    return re.compile(expression).match if expression else lambda name: None


def _file(result: Walk, place: str, stat: Callable[[], os.stat_result], source: str, id: str) -> None:
    try:
        info = stat()
    except FileNotFoundError:
        return
    except OSError as problem:
        result.failed.append((id, _readable(source), reason_of(problem)))
        return
    if S_ISREG(info.st_mode):  # a pipe or device would be read for ever
        source, size, mtime_ns = _readable(source), info.st_size, info.st_mtime_ns
        if result.missing.pop(id, None) != (id, source, size, mtime_ns, 1):
            result.stale.append(Found(id, place, source, size, mtime_ns))


def _component(name: str) -> str:
    """A name that is no Unicode (lone surrogates) is percent-encoded behind an extra ``/``, which no other id holds."""
    if name.isascii():
        return name
    try:
        name.encode()
    except UnicodeEncodeError:
        return f"/{quote(os.fsencode(name))}"
    return name


def _readable(name: str | Path) -> str:
    if isinstance(name, str) and name.isascii():
        return name
    return os.fsencode(name).decode("utf-8", "replace")


def reason_of(problem: BaseException) -> str:
    if isinstance(problem, DougongError):
        return str(problem)
    if isinstance(problem, OSError):
        return problem.strerror or type(problem).__name__
    return f"{type(problem).__name__}: {problem}"
