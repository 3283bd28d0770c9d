"""A run's events, handed from the thread that it works on to whoever reads them."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from queue import Empty, Full, Queue

from dougong.errors import CallError
from dougong.kinds import Pattern
from dougong.messages import t
from dougong.run import Run
from dougong.types import Answer, Event

ROOM = 64
"""Events that wait for their reader before the run waits for it too."""
GRACE = 0.4
"""Seconds that `Stream.close` waits for the run to end. One that is stuck in a call is left behind, cancelled."""

Start = Callable[[Callable[[Event], None]], AbstractContextManager[Run]]


class _Feed:
    """What the run's thread and the reader share."""

    def __init__(self) -> None:
        self.events: Queue[Event | BaseException | None] = Queue(ROOM)
        self._closed = threading.Event()
        self._run: Run | None = None

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    def close(self) -> None:
        self._closed.set()
        if self._run is not None:
            self._run.cancel()

    def work(self, pattern: Pattern, task: str, start: Start) -> None:
        try:
            with start(self.put) as self._run:
                if self.closed:
                    self._run.cancel()
                self._run.work(pattern, task)
            self.put(None)
        except BaseException as error:
            self.put(error)

    def put(self, event: Event | BaseException | None) -> None:
        """Hand it on as soon as there is room; to nobody once the stream is closed."""
        while not self.closed:
            with suppress(Full):
                self.events.put(event, timeout=0.05)
                break


class Stream(Iterator[Event]):
    """Events of a run that begins at once, on a thread of its own. For one reader; `close` may come from any thread."""

    def __init__(self, pattern: Pattern, task: str, start: Start) -> None:
        self._feed = feed = _Feed()  # the thread holds the feed alone: a stream that nobody holds is closed
        self._thread = threading.Thread(target=feed.work, args=(pattern, task, start), name="dougong-run", daemon=True)
        self._thread.start()

    def __next__(self) -> Event:
        event = None if self._feed.closed else self._feed.events.get()
        if isinstance(event, Event):
            return event
        self._feed.close()
        raise event or StopIteration

    def close(self) -> None:
        """Cancel the run if it goes on, and wait a moment for its end: its journal is complete then."""
        self._feed.close()
        self._thread.join(GRACE)
        with suppress(Empty):
            while True:
                self._feed.events.get_nowait()
        self._feed.events.put_nowait(None)  # for a reader that waits on another thread

    def __del__(self) -> None:
        self._feed.close()


async def awaited(stream: Stream) -> AsyncGenerator[Event, None]:
    """The events of `stream`, awaited. The thread that waits for them is this stream's own: many may wait at once."""
    import asyncio

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "dougong-events") as pool:
        try:
            while (event := await loop.run_in_executor(pool, next, stream, None)) is not None:
                yield event
        finally:
            stream.close()


async def last(stream: Stream) -> Answer:
    """The answer that a run comes to."""
    answer: Answer | None = None
    async for event in awaited(stream):
        if event.kind == "finished":
            answer = event.data["answer"]
    if answer is None:
        raise CallError(t("the run was closed before its end"))
    return answer
