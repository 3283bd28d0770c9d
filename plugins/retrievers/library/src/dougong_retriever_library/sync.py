"""From sources to stored chunks: walk, load, chunk. Only what changed is done."""

from __future__ import annotations

import fnmatch
import os
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import file_digest, sha256
from pathlib import Path
from stat import S_ISREG
from urllib.parse import quote

import attrs
from dougong import CallError, Cancelled, Chunk, Chunker, Document, DougongError, Loader, StoreError, report

from dougong_retriever_library.store import Stored, Unavailable, Writer

RECENT = (
    2_000_000_000  # ns; a file changed this shortly before may change again within one tick of its clock (FAT: 2 s)
)
BATCH = 0.5  # seconds of work in one commit: what a crash can lose


@attrs.frozen
class Found:
    """A file below a source. `source` is its path as a person would type it."""

    id: str
    path: Path
    source: str
    size: int
    mtime_ns: int


@attrs.frozen
class Walk:
    """Files by id; what could not be read, as ``(id, source, reason)``: a file, or a folder and all below it."""

    found: dict[str, Found]
    failed: list[tuple[str, str, str]]


@attrs.frozen
class Plan:
    """What is to be done: `stale` files to look into, documents to take out; what failed; what stages cost again."""

    stale: list[Found]
    gone: list[Stored]
    failed: list[tuple[str, str]]
    unchanged: int
    redone: dict[str, str]


@attrs.define
class Tally:
    """What was done, in documents and chunks."""

    added: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    chunks: int = 0
    failed: list[tuple[str, str]] = attrs.field(factory=list)

    def remove(self, writer: Writer, known: Stored) -> None:
        self.chunks += writer.remove(known.key)
        self.deleted += 1


def fingerprint(technique: object) -> str:
    """Changes with the technique, its version or its resolved params; for objects not built by dougong, the class."""
    from dougong.assemble import origin

    made = origin(technique)
    if made is not None:
        return made.fingerprint
    kind = type(getattr(technique, "_inner", technique))  # what stands behind a run's proxy
    return sha256(f"{kind.__module__}:{kind.__qualname__}".encode()).hexdigest()


# ---------------------------------------------------------------- walk


def walk(
    sources: Sequence[Path], ignore: Sequence[str], own: Path, suffixes: Sequence[str], stored: Iterable[str]
) -> Walk:
    """All files of the sources. A document's id is the source's name and the path below it, ``docs/a/b.md``.

    Of sources of one name, later ones are called ``docs-2``, ``docs-3``. A file that two sources share belongs to the
    first. Symbolic links below a source are not followed: links within it lead to what is read anyway; those that
    lead out of it are reported.

    Raises `StoreError` for a source that does not exist; `Unavailable` where documents of it are `stored`.
    """
    result = Walk({}, [])
    names: set[str] = set()
    seen: set[str] = set()
    ignored = [re.compile(fnmatch.translate(pattern.strip("/"))) for pattern in ignore]
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
            held = any(id == label or id.startswith(f"{label}/") for id in stored)
            raise (Unavailable if held else StoreError)(
                f"source {_readable(source)} cannot be found ({getattr(problem, 'strerror', problem)})",
                hint="correct the path, or take it out of sources; nothing stored was changed",
            ) from None
        if root.is_dir():
            _folder(result, root, source, label, ignored, own.resolve(), seen, tuple(suffixes))
        elif str(root) not in seen:
            seen.add(str(root))
            _file(result, root, str(source), label)
    return result


def _folder(
    result: Walk,
    root: Path,
    source: Path,
    label: str,
    ignored: list[re.Pattern[str]],
    own: Path,
    seen: set[str],
    suffixes: tuple[str, ...],
) -> None:
    todo = [("", label)]
    while todo:
        folder, name = todo.pop()
        if root / folder == own:
            continue
        try:
            with os.scandir(root / folder) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name)
        except OSError as problem:
            if not folder or not isinstance(problem, FileNotFoundError):  # else it vanished meanwhile
                result.failed.append((name, _readable(source / folder), _reason(problem)))
            continue
        for entry in ordered:
            below = f"{folder}/{entry.name}" if folder else entry.name
            if any(pattern.match(entry.name) or pattern.match(below) for pattern in ignored):
                continue
            id, shown = f"{name}/{_component(entry.name)}", str(source / below)
            if entry.is_symlink():
                if not Path(os.path.realpath(entry.path)).is_relative_to(root):
                    reason = "a symbolic link out of its source is not followed; name its target in sources"
                    result.failed.append((id, _readable(shown), reason))
            elif entry.is_dir():
                todo.append((below, id))
            elif (not suffixes or entry.name.lower().endswith(suffixes)) and entry.path not in seen:
                seen.add(entry.path)
                _file(result, Path(entry.path), shown, id)


def _file(result: Walk, path: Path, source: str, id: str) -> None:
    try:
        info = path.stat()
    except FileNotFoundError:
        return
    except OSError as problem:
        result.failed.append((id, _readable(source), _reason(problem)))
        return
    if S_ISREG(info.st_mode):  # a pipe or device would be read for ever
        result.found[id] = Found(id, path, _readable(source), info.st_size, info.st_mtime_ns)


def _component(name: str) -> str:
    """A name that is no Unicode (lone surrogates) is percent-encoded behind an extra ``/``, which no other id holds."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return f"/{quote(os.fsencode(name))}"
    return name


def _readable(name: str | Path) -> str:
    return os.fsencode(name).decode("utf-8", "replace")


def _reason(problem: BaseException) -> str:
    if isinstance(problem, DougongError):
        return str(problem)
    if isinstance(problem, OSError):
        return problem.strerror or type(problem).__name__
    return f"{type(problem).__name__}: {problem}"


# ---------------------------------------------------------------- plan


def plan(stored: Mapping[str, Stored], walk: Walk, stages: Stages) -> Plan:
    """Compare sources and store, by name, size and time; reads no file."""
    blocked = {id for id, _, _ in walk.failed}
    gone, kept = [], set()
    for id, known in stored.items():
        if id not in walk.found:
            parts = id.split("/")
            above = blocked.intersection("/".join(parts[:n]) for n in range(1, len(parts) + 1))
            kept |= above
            if not above:
                gone.append(known)
    failed = [(source, _kept(reason, id in kept)) for id, source, reason in walk.failed]
    stale = [file for id, file in walk.found.items() if not stages.hold(stored.get(id), file)]
    redone = {}
    for stage, now, work in (("load", stages.load_by, "read"), ("chunk", stages.chunk_by, "cut")):
        old = [known for id, known in stored.items() if id in walk.found and getattr(known, f"{stage}_by") != now]
        if old:
            size = sum(known.length for known in old)
            redone[stage] = f"the {stage}er changed: {len(old):,} documents ({size:,} characters) are {work} again"
    unchanged = len(walk.found.keys() & stored.keys()) - sum(file.id in stored for file in stale)
    return Plan(stale, gone, failed, unchanged, redone)


def _kept(reason: str, stored: bool) -> str:
    return f"{reason}; what was stored of it before is kept" if stored else reason


# ---------------------------------------------------------------- load and chunk


@attrs.frozen
class Stages:
    """The two stages before the index, each with its fingerprint."""

    loader: Loader
    chunker: Chunker
    load_by: str
    chunk_by: str
    max_megabytes: int

    def loads_alike(self, known: Stored | None, file: Found) -> bool:
        """Whether the same bytes would give the stored document."""
        return known is not None and (known.source, known.load_by) == (file.source, self.load_by)

    def hold(self, known: Stored | None, file: Found) -> bool:
        """Whether nothing is to be done about a file, by all that can be told without reading it."""
        return (
            known is not None
            and self.loads_alike(known, file)
            and (known.size, known.mtime_ns, known.chunk_by) == (file.size, file.mtime_ns, self.chunk_by)
        )

    def carry_out(self, plan: Plan, stored: Mapping[str, Stored], writer: Writer) -> Tally:
        """Bring the store to the state of the sources, in batches.

        A document that cannot be read or cut is told in `failed`; all others are done. Raises `Cancelled` and
        `CallError` (a model behind a stage failed) after keeping what was done so far.
        """
        tally = Tally(unchanged=plan.unchanged, failed=list(plan.failed))
        for stage, cost in plan.redone.items():
            report(stage, 0, len(plan.stale), cost)
        began = time.monotonic()
        try:
            for known in plan.gone:
                tally.remove(writer, known)
            for done, file in enumerate(plan.stale):
                report("load", done, len(plan.stale), file.source)
                known = stored.get(file.id)
                try:
                    self._renew(file, known, writer, tally)
                except (Cancelled, CallError, StoreError, MemoryError, sqlite3.Error):
                    raise
                except Exception as problem:
                    if file.path.exists():
                        tally.failed.append((file.source, _kept(_reason(problem), known is not None)))
                    elif known is not None:  # vanished since the walk
                        tally.remove(writer, known)
                if time.monotonic() - began > BATCH:
                    writer.commit()
                    began = time.monotonic()
        finally:
            writer.commit()
        return tally

    def _renew(self, file: Found, known: Stored | None, writer: Writer, tally: Tally) -> None:
        """Load, cut and store one file, as far as it changed."""
        if file.size > self.max_megabytes * 1_000_000:
            raise ValueError(f"{file.size / 1e6:,.0f} MB; max_megabytes is {self.max_megabytes}")
        mtime_ns = -1 if time.time_ns() - file.mtime_ns < RECENT else file.mtime_ns
        alike = self.loads_alike(known, file)
        if known and alike and (known.size, known.mtime_ns) == (file.size, file.mtime_ns):
            digest = known.hash
        else:
            with file.path.open("rb") as handle:
                digest = file_digest(handle, "sha256").digest()
        same = known is not None and alike and known.hash == digest
        if known and same and known.chunk_by == self.chunk_by:
            if known.mtime_ns != mtime_ns:
                writer.touch(known.key, mtime_ns)
            tally.unchanged += 1
            return
        document = writer.document(file.id) if same else self._load(file)
        chunks = list(self._cut(document))
        prints = (self.load_by, self.chunk_by)
        record = Stored(0, file.id, file.source, file.size, mtime_ns, digest, *prints, len(document.text))
        changed = writer.put(record, document, chunks, keep_text=same)
        tally.chunks += changed
        if known is None:
            tally.added += 1
        elif changed or known.hash != digest:
            tally.updated += 1
        else:
            tally.unchanged += 1

    def _load(self, file: Found) -> Document:
        document = self.loader.load(file.path)
        headings = (node.title for node in (document.tree.walk() if document.tree else ()) if node.kind == "heading")
        title = document.meta.get("title") or next(headings, "") or Path(file.source).name
        meta = {**document.meta, "title": title, "source": file.source}
        return attrs.evolve(document, id=file.id, source=file.source, meta=meta)

    def _cut(self, document: Document) -> Iterator[Chunk]:
        """The document's chunks, held to their contract, each with the line it starts in."""
        text, line, at = document.text, 1, 0
        for chunk in self.chunker.chunk(document):
            start = chunk.span.start
            if chunk.document != document.id or chunk.span.of(text) != chunk.text:
                raise ValueError(f"the chunker gave a chunk that is not a piece of the document: {chunk.id!r}")
            if "line" not in chunk.meta:
                line += text.count("\n", at, start) if start >= at else -text.count("\n", start, at)
                at = start
                chunk = attrs.evolve(chunk, meta={"line": line, **chunk.meta})
            yield chunk
