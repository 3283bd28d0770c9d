"""A sliding window: what was taken in the last seconds, exactly, and who comes next."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import attrs

_SLICE = 0.1  # seconds between two looks at whether the run was cancelled


@attrs.define(eq=False)
class Entry:
    """One taking: when, and how many tokens."""

    at: float
    tokens: int


class Window:
    """At most `calls` entries and `tokens` tokens in any stretch of `seconds`, in the order of asking.

    Unlike a token bucket, which lets through twice its rate after a pause, the limit holds wherever the provider's
    minute begins. What needs more than a whole window's tokens is let through alone.
    """

    def __init__(self, calls: int | None, tokens: int | None, seconds: float) -> None:
        self._calls, self._tokens, self._seconds = calls, tokens, seconds
        self._entries: deque[Entry] = deque()
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    def wait_for(self, tokens: int, now: float) -> float:
        """Seconds from `now` until `tokens` and one more call fit; 0 if they do."""
        while self._entries and self._entries[0].at <= now - self._seconds:
            self._entries.popleft()
        over_calls = len(self._entries) + 1 - (self._calls or len(self._entries) + 1)
        over_tokens = 0 if self._tokens is None else sum(e.tokens for e in self._entries) + tokens - self._tokens
        until = now
        for number, entry in enumerate(self._entries):
            if number >= over_calls and over_tokens <= 0:
                break
            over_tokens -= entry.tokens
            until = entry.at + self._seconds
        return until - now

    def take(self, tokens: int, now: float) -> Entry:
        entry = Entry(now, tokens)
        self._entries.append(entry)
        return entry

    def acquire(self, tokens: int, check: Callable[[], None]) -> tuple[Entry, float]:
        """Wait for one's turn, then take: the entry, and the seconds waited. What `check` raises ends the wait."""
        ticket, start = object(), time.monotonic()
        with self._changed:
            self._queue.append(ticket)
            try:
                while True:
                    check()
                    now = time.monotonic()
                    wait = self.wait_for(tokens, now) if self._queue[0] is ticket else _SLICE
                    if wait <= 0:
                        return self.take(tokens, now), now - start
                    self._changed.wait(min(wait, _SLICE))
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()

    def correct(self, entry: Entry, tokens: int) -> None:
        """The entry turned out to have `tokens`."""
        with self._changed:
            entry.tokens = tokens
            self._changed.notify_all()
