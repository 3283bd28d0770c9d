"""What is to be done to bring the store up to date, and the doing of it, in batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

import attrs
from dougong import report

from dougong_retriever_library.stages import PASSED_ON, Done, Executor, Failed, Stages, Task
from dougong_retriever_library.store import Held, Stored, View, Writer
from dougong_retriever_library.walk import Found, Walk, reason_of

BATCH = 0.5  # seconds of work in one commit: what a crash can lose


Look = Callable[[Mapping[str, Held]], Walk]


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


def plan(view: View | None, look: Look, stages: Stages) -> tuple[dict[str, Stored], Plan]:
    """What is to be done, and what is stored of the documents that it is about. Reads no file."""
    held = view.held(stages.load_by, stages.chunk_by) if view else {}
    walk = look(held)
    blocked = {id for id, _, _ in walk.failed}
    gone, kept = [], set()
    for id in walk.missing:
        parts = id.split("/")
        above = blocked.intersection("/".join(parts[:n]) for n in range(1, len(parts) + 1))
        kept |= above
        if not above:
            gone.append(id)
    failed = [(source, _kept(reason, id in kept)) for id, source, reason in walk.failed]
    stale = {file.id for file in walk.stale}
    stored = view.stored(stale.union(gone)) if view else {}
    redone = {}
    olds = [known for known in stored.values() if known.id in stale]
    for stage, work, now in (("load", "read", stages.load_by), ("chunk", "cut", stages.chunk_by)):
        old = [known for known in olds if getattr(known, f"{stage}_by") != now]
        if old:
            size = sum(known.length for known in old)
            redone[stage] = f"the {stage}er changed: {len(old):,} documents ({size:,} characters) are {work} again"
    unchanged = len(held) - len(walk.missing) - len(olds)
    return stored, Plan(walk.stale, [stored[id] for id in gone], failed, unchanged, redone)


def _kept(reason: str, stored: bool) -> str:
    return f"{reason}; what was stored of it before is kept" if stored else reason


def carry_out(
    plan: Plan,
    stored: Mapping[str, Stored],
    stages: Stages,
    executor: Executor,
    writer: Writer,
    committed: Callable[[], None],
) -> Tally:
    """Bring the store to the state of the sources, in batches; calls `committed` after each but the last.

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
        with closing(executor(stages, _told(plan.stale, stored))) as results:
            for task, outcome in results:
                _store(task, outcome, stages, writer, tally)
                if time.monotonic() - began > BATCH:
                    writer.commit()
                    committed()
                    began = time.monotonic()
    finally:
        writer.commit()
    return tally


def _told(files: list[Found], stored: Mapping[str, Stored]) -> Iterator[Task]:
    for done, file in enumerate(files):
        report("load", done, len(files), file.source)
        yield Task(file, stored.get(file.id))


def _store(task: Task, outcome: Done | Failed, stages: Stages, writer: Writer, tally: Tally) -> None:
    file, known = task.file, task.known
    if isinstance(outcome, Done):
        try:
            changed = _put(task, outcome, stages, writer)
        except PASSED_ON:
            raise
        except Exception as problem:
            outcome = Failed(reason_of(problem))
    if isinstance(outcome, Failed):
        if file.path.exists():
            tally.failed.append((file.source, _kept(outcome.reason, known is not None)))
        elif known is not None:  # vanished since the walk
            tally.remove(writer, known)
        return
    tally.chunks += changed
    if known is None:
        tally.added += 1
    elif changed or known.hash != outcome.hash:
        tally.updated += 1
    else:
        tally.unchanged += 1


def _put(task: Task, done: Done, stages: Stages, writer: Writer) -> int:
    """Write what changed; gives the number of chunks written or removed."""
    file, known, packed = task.file, task.known, done.packed
    if packed is None:
        if known and known.mtime_ns != done.mtime_ns:
            writer.touch(known.key, done.mtime_ns)
        return 0
    prints = (stages.load_by, stages.chunk_by)
    length = len(packed.text)
    record = Stored(0, file.id, file.source, file.size, done.mtime_ns, done.hash, *prints, length)
    return writer.put(record, packed, done.keep_text)
