"""What a worker process runs: an order, then tasks come in, a line each; ``ready``, then results go out in their order.

It ends with the process that started it, whichever way that ends: then there is nothing more to read.
"""

from __future__ import annotations

import gc
import json
import os
import signal
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import IO

from dougong_retriever_library.stages import PASSED_ON
from dougong_retriever_library.wire import order_from, result_to, task_from


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the process that started us, which ends us
    tasks, results = _own_pipes()
    try:
        stages = order_from(json.loads(tasks.readline()))
    except Exception as problem:
        results.write(f"{problem!r}\n")
        results.flush()
        return
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # documents are trees: many objects, no cycles
    # Threads, so that neither side ever waits for the other to empty a pipe.
    todo: SimpleQueue[str] = SimpleQueue()
    done: SimpleQueue[str] = SimpleQueue()
    Thread(target=_read, args=(tasks, todo.put), daemon=True).start()
    writing = Thread(target=_write, args=(results, done.get), daemon=True)
    writing.start()
    done.put("ready\n")
    while line := todo.get():
        try:
            result = stages.attempt(task_from(line))
        except PASSED_ON:
            result = None  # done again by the process that started us, where it belongs
        done.put(f"{result_to(result)}\n")
    done.put("")
    writing.join()


def _own_pipes() -> tuple[IO[str], IO[str]]:
    """Our ends of the pipes, out of the way of what a loader reads from or prints to its terminal."""
    tasks, results = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return os.fdopen(tasks, encoding="ascii"), os.fdopen(results, "w", encoding="ascii")


def _read(tasks: IO[str], put: Callable[[str], None]) -> None:
    for line in tasks:
        put(line)
    put("")


def _write(results: IO[str], get: Callable[[], str]) -> None:
    while line := get():
        try:
            results.write(line)
            results.flush()
        except OSError:
            os._exit(1)  # nobody listens any more
    results.close()


if __name__ == "__main__":
    main()
