"""The executor that is a few processes of this machine: each loads, cuts and packs files, and tells the result."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from dougong_retriever_library.stages import Done, Executor, Failed, Results, Stages, Task, in_turn
from dougong_retriever_library.walk import Found
from dougong_retriever_library.wire import order_to, result_from, task_to

log = logging.getLogger("dougong.library")

WORTH = 2_000_000  # bytes to read, below which processes take longer to start than they save
MOST = 8  # processes: the one that writes keeps no more busy
GROUP, FILES = 256_000, 32  # bytes and files that are sent together
AHEAD = 3  # groups that a process has waiting


def executor(stages: Stages, files: Sequence[Found], store: Path, workers: int | None) -> Executor:
    """Worker processes where that pays and the stages can be built in them, else this thread."""
    if workers is None:
        worth = len(files) > 1 and sum(file.size for file in files) >= WORTH
        workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, MOST)
        workers = workers if worth and workers > 1 else 0
    # A frozen program has no interpreter to start.
    order = order_to(stages, store) if workers and sys.executable and not getattr(sys, "frozen", False) else None
    return Workers(order, workers) if order else in_turn


class Workers:
    """`number` processes that build their stages by `order`.

    Files go to them by turns, in groups, so that nothing depends on which is faster. A process that dies fails the
    file that it was at, by name, and is started anew for the others. Where none can be started, this thread works.
    """

    def __init__(self, order: Mapping[str, Any], number: int) -> None:
        self._order, self._number = order, number

    def __call__(self, stages: Stages, tasks: Iterable[Task]) -> Results:
        with ExitStack() as stack:
            workers = [stack.enter_context(Worker(self._order)) for _ in range(self._number)]
            rest, turns = groups(tasks), cycle(workers)
            waiting: deque[tuple[Worker, list[Task]]] = deque()
            while True:
                while len(waiting) < AHEAD * self._number and (group := next(rest, None)):
                    worker = next(turns)
                    worker.send(group)
                    waiting.append((worker, group))
                if not waiting:
                    return
                worker, group = waiting.popleft()
                for task in group:
                    yield task, worker.result() or stages.attempt(task)


def groups(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    """Tasks in groups of `GROUP` bytes or `FILES` files, as they are needed."""
    group: list[Task] = []
    size = 0
    for task in tasks:
        group.append(task)
        size += task.file.size
        if size >= GROUP or len(group) >= FILES:
            yield group
            group, size = [], 0
    if group:
        yield group


class Worker:
    """One process, and what it has still to do."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        self._order = json.dumps(order)
        self._todo: deque[Task] = deque()
        self._careful = 0  # tasks to be sent one by one
        self._usable = True
        self._start()

    def _start(self) -> None:
        # Apart from the current folder (-P): a file there must not be taken for a module of ours.
        command = [sys.executable, "-P", "-m", "dougong_retriever_library.worker"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
        self._process: subprocess.Popen[str] | None = None
        self._ready = False
        self._sent = 0  # the first of what is to do: the process has them
        try:
            self._process = subprocess.Popen(
                command,
                env=environment,
                encoding="ascii",
                bufsize=1 << 20,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        except OSError as problem:
            self._give_up(str(problem))
        self._write([self._order])

    def _give_up(self, why: str) -> None:
        self._usable = False
        log.warning("files are read in this process: a worker cannot build the stages (%s)", why)

    def _write(self, lines: Iterable[str]) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):  # it is dead, which the next result tells
                self._process.stdin.write("".join(f"{line}\n" for line in lines))
                self._process.stdin.flush()

    def _read(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def send(self, tasks: Sequence[Task]) -> None:
        self._todo.extend(tasks)
        if not self._careful:
            self._send(len(self._todo))

    def _send(self, upto: int) -> None:
        self._write(map(task_to, islice(self._todo, self._sent, upto)))
        self._sent = upto

    def result(self) -> Done | Failed | None:
        """The result of the first task that was sent and not yet asked for. None: to be done in this process.

        What a process has finished dies with it unless it was told already; so after a death, what was sent is sent
        again one by one: that tells the guilty file from those that only came with it.
        """
        while self._usable:
            if not self._ready:
                said = self._read()
                self._ready = said == "ready\n"
                if not self._ready:
                    self._give_up(said.strip() or "it died")
                    break
            if not self._sent:
                self._send(1 if self._careful else len(self._todo))
            line = self._read()
            if line.endswith("\n"):
                self._answered()
                return result_from(line)
            assert self._process is not None
            ended = self._process.wait()
            self._close()
            if self._sent > 1:
                self._careful = self._sent
                self._start()
                continue
            self._answered()
            self._start()
            how = signal.Signals(-ended).name if ended < 0 else f"status {ended}"
            return Failed(f"the worker process that read it died ({how})")
        self._todo.popleft()
        return None

    def _answered(self) -> None:
        self._todo.popleft()
        self._sent -= 1
        self._careful -= bool(self._careful)

    def _close(self) -> None:
        if self._process is not None:
            self._process.kill()
            for pipe in (self._process.stdin, self._process.stdout):
                with suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]
            self._process.wait()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()
