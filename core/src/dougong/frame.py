"""The place in a run where the code that runs now stands."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

from dougong.types import Delta, Result

if TYPE_CHECKING:
    from dougong.run import Run


class Frame:
    """A place in a run that counts the calls made directly in it."""

    __slots__ = ("path", "position", "run")

    def __init__(self, run: Run, path: str) -> None:
        self.run, self.path, self.position = run, path, 0

    def next_path(self) -> str:
        path = f"{self.path}.{self.position}" if self.path else str(self.position)
        self.position += 1
        return path


current: ContextVar[Frame | None] = ContextVar("dougong_frame", default=None)


def within(frame: Frame, source: Iterator[Delta | Result]) -> Generator[Delta | Result, None, None]:
    """`source`, made in `frame`; set only while the callee computes, as a generator shares its reader's context."""
    source = iter(source)
    try:
        while True:
            token = current.set(frame)
            try:
                item = next(source, None)
            finally:
                current.reset(token)
            if item is None:
                return
            yield item
    finally:
        if isinstance(source, Generator):
            source.close()
