"""The executor that is a Ray cluster: a task reads, cuts and packs a group of files, and tells the results."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import socket
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from itertools import chain
from typing import Any, NoReturn

import attrs
from dougong import BuildError, DougongError, StoreError
from dougong.run import active_run
from dougong_retriever_library.library import DocumentLibrary
from dougong_retriever_library.stages import PASSED_ON, Failed, Results, Stages, Task, fingerprint, in_turn
from dougong_retriever_library.wire import order_from, order_to, result_from, result_to, task_from, task_to
from dougong_retriever_library.workers import groups

from dougong_retriever_library_ray import Params

log = logging.getLogger("dougong.library")

ALONE = 2  # times that a file is tried again by itself: its process may have died of another's hunger


def library(params: Params) -> DocumentLibrary:
    """`retriever.library` with Ray for its executor. Raises BuildError where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise BuildError("Ray is not installed", hint='pip install "dougong-retriever-library-ray[ray]"')
    return DocumentLibrary(params, executor=OnRay(params))


def attempts(order: str, prints: list[str], lines: list[str]) -> list[str]:
    """What a task does: lines of tasks to lines of results. Sources must lie where they do for the process that asks.

    What the node cannot do goes back as ``null``: where it builds other stages than those of `prints` (it has another
    version of a plugin, or none), and where it is the store that is to be read.
    """
    stages = _stages(order, *prints)
    return [result_to(_attempt(stages, line)) for line in lines]


def _attempt(stages: Stages | None, line: str) -> Any:
    with suppress(*PASSED_ON):
        return stages and stages.attempt(task_from(line))
    return None


@lru_cache(1)
def _stages(order: str, *prints: str) -> Stages | None:
    try:
        stages = order_from(json.loads(order))
    except DougongError:
        return None
    return attrs.evolve(stages, documents=_far) if _prints(stages) == list(prints) else None


def _far(id: str) -> NoReturn:
    raise StoreError("the store lies with the process that asks")


def _prints(stages: Stages) -> list[str]:
    return [fingerprint(part) for part in (stages.loader, stages.chunker, stages.index)]


@attrs.frozen
class OnRay:
    """An executor: see `dougong_retriever_library.stages.Executor`."""

    params: Params

    def __call__(self, stages: Stages, tasks: Iterable[Task]) -> Results:
        tasks = iter(tasks)
        order = order_to(stages, self.params.path)
        first, enough = _until(tasks, self.params.from_megabytes * 1e6)
        if order is None:
            log.warning("files are read in this process: a stage calls models, holds secrets or was made by hand")
        if order is None or not enough:
            yield from in_turn(stages, chain(first, tasks))
            return
        with _cluster(self.params.address) as ray, ExitStack() as stack:
            asked_for = (json.dumps(order), _prints(order_from(order)))
            ask = ray.remote(attempts)
            ahead = self.params.workers or 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
            rest = groups(chain(first, tasks))
            waiting: deque[tuple[list[Task], Any]] = deque()
            stack.callback(lambda: [ray.cancel(asked, force=True) for _, asked in waiting])
            while True:
                while len(waiting) < ahead and (group := next(rest, None)):
                    lines = [task_to(task) for task in group]
                    waiting.append((group, ask.options(max_retries=0).remote(*asked_for, lines)))
                if not waiting:
                    return
                group, asked = waiting[0]
                try:
                    said = _get(ray, asked)
                except ray.exceptions.RayError:  # the process or its node is gone: which file was it?
                    said = [self._alone(ray, ask, asked_for, task) for task in group]
                waiting.popleft()
                for task, line in zip(group, said, strict=True):
                    yield task, result_from(line) or stages.attempt(task)

    def _alone(self, ray: Any, ask: Any, asked_for: tuple[Any, ...], task: Task) -> str:
        try:
            return str(_get(ray, ask.options(max_retries=ALONE).remote(*asked_for, [task_to(task)]))[0])
        except ray.exceptions.RayError as problem:
            what = type(problem).__name__
            return result_to(Failed(f"the Ray worker that read it died, {1 + ALONE} times ({what})"))


def _until(tasks: Iterator[Task], size: float) -> tuple[list[Task], bool]:
    """The first tasks, of `size` bytes together or all there are; whether there were so many."""
    first: list[Task] = []
    while size > 0 or not first:
        task = next(tasks, None)
        if task is None:
            return first, False
        first.append(task)
        size -= task.file.size
    return first, True


def _get(ray: Any, asked: Any) -> list[str]:
    """The result, once it is there; raises `Cancelled` in a run that is."""
    while not ray.wait([asked], timeout=1)[0]:
        if (run := active_run()) is not None:
            run.check()
    return list(ray.get(asked))


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
    """Ray, connected; left as it was. A cluster of this machine listens on loopback, and reports to nobody."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        yield ray
        return
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address == "local":
        options |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    try:
        try:
            if ":" in address:  # Ray itself would try for minutes
                host, port = address.rpartition("/")[2].rsplit(":", 1)
                socket.create_connection((host, int(port)), timeout=10).close()
            ray.init(address=address, **options)
        except (OSError, RuntimeError, ValueError) as problem:
            hint = "start it, or correct address; local needs none"
            raise StoreError(f"no Ray cluster at {address!r}: {problem}", hint=hint) from problem
        yield ray
    finally:
        ray.shutdown()
