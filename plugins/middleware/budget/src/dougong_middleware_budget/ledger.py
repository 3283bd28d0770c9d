"""What a run has used up, what its calls under way may still use, and whether a further one fits."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

_SLICE = 0.05  # seconds between two looks at whether the run was cancelled
_STALE = 1.0  # seconds after which a stream that nobody reads on is not waited for


@attrs.define(eq=False)
class Hold:
    """A model call under way: `need` is its estimate, `worst` what it takes at most; `idle` since when unread."""

    need: Mapping[str, float]
    worst: Mapping[str, float]
    thread: int
    idle: float | None = None


class Ledger:
    """The account of one run. Calls are counted when they begin and stay counted; tokens and money are held, then
    replaced by what the call took.

    Beside others a call begins only if even the worst case of all fits, alone if its estimate does. So what is used
    exceeds a limit by no more than one call's estimation error, however many threads there are.
    """

    def __init__(self, limits: Mapping[str, float]) -> None:
        self._limits = limits
        self._used: dict[str, float] = dict.fromkeys(limits, 0)
        self._holds: dict[str, Hold] = {}
        self._open: dict[str, str] = {}
        self._changed = threading.Condition()
        self._before, self._since = 0.0, time.monotonic()

    @property
    def used(self) -> dict[str, float]:
        return {**self._used, **({"seconds": self.seconds()} if "seconds" in self._used else {})}

    def seconds(self) -> float:
        return self._before + time.monotonic() - self._since

    def out_of_time(self) -> bool:
        return self.seconds() >= self._limits.get("seconds", float("inf"))

    def begin(
        self, path: str, kind: str, need: Mapping[str, float], worst: Mapping[str, float], check: Callable[[], None]
    ) -> dict[str, Any]:
        """Count and hold, waiting for calls under way where that can help: ``{"out": limit or "", "seconds": s}``."""
        with self._changed:
            counts = self._counts(path, kind)
            while True:
                check()
                out = next((name for name, n in counts.items() if self._used[name] + n > self._limits[name]), "")
                if out or self.out_of_time():
                    return {"out": out or "seconds", "seconds": self.seconds()}
                out = self._lacking(need, "need")
                if not self._holds or not self._lacking(worst, "worst") or not need:
                    break
                if not any(self._moves(hold) for hold in self._holds.values()):
                    break
                self._changed.wait(_SLICE)
            if not out:
                self._enter(path, kind, counts, need, worst)
            return {"out": out, "seconds": self.seconds()}

    def begin_again(
        self, path: str, kind: str, need: Mapping[str, float], worst: Mapping[str, float], verdict: Mapping[str, Any]
    ) -> None:
        """What `begin` did when the call was first made; its clock goes on from there."""
        with self._changed:
            now = max(self.seconds(), verdict["seconds"])
            self._before, self._since = now, time.monotonic()
            counts = self._counts(path, kind)
            if not verdict["out"]:
                self._enter(path, kind, counts, need, worst)

    def resting(self, path: str, rests: bool) -> None:
        """The consumer of the stream has it between two deltas, or reads on."""
        hold = self._holds.get(path)
        if hold is not None:
            hold.idle = time.monotonic() if rests else None

    def end(self, path: str, took: Mapping[str, float]) -> None:
        """Replace what was held by what the call took; nothing for a call that only passed on to others."""
        with self._changed:
            self._open.pop(path, None)
            if self._holds.pop(path, None) is not None:
                for name, amount in took.items():
                    self._used[name] += amount
            self._changed.notify_all()

    def _enter(
        self, path: str, kind: str, counts: Mapping[str, int], need: Mapping[str, float], worst: Mapping[str, float]
    ) -> None:
        for name, n in counts.items():
            self._used[name] += n
        self._open[path] = kind
        if kind == "llm":
            self._holds[path] = Hold(need, worst, threading.get_ident())

    def _counts(self, path: str, kind: str) -> dict[str, int]:
        """What the call counts as. A model that asks another one was no call itself: it hands its place on."""
        if kind == "tool":
            counts = {"tool_calls": 1}
        elif kind == "llm":
            around = [outer for outer in _enclosing(path) if self._open.get(outer) in ("llm", "retriever")]
            counts = {"model_calls": 1, "steps": 0 if around else 1}
            if around and self._holds.pop(around[0], None) is not None and "model_calls" in self._used:
                self._used["model_calls"] -= 1
        else:
            counts = {}
        return {name: n for name, n in counts.items() if name in self._limits}

    def _lacking(self, amounts: Mapping[str, float], which: str) -> str:
        """The first limit that is used up, or that `amounts`, beside all that is used and held, does not fit into."""
        for name, amount in amounts.items():
            held = sum(getattr(hold, which)[name] for hold in self._holds.values())
            used, limit = self._used[name], self._limits[name]
            if used >= limit or used + held + amount > limit:
                return name
        return ""

    @staticmethod
    def _moves(hold: Hold) -> bool:
        """Whether the call will end without us: not a stream that this thread, or one that waits, has yet to read."""
        if hold.idle is None:
            return True
        return hold.thread != threading.get_ident() and time.monotonic() - hold.idle < _STALE


def _enclosing(path: str) -> Iterator[str]:
    """Paths of the calls that `path` may lie in, innermost first; ``2~1.0`` lies in ``2``."""
    while path := path.rpartition(".")[0]:
        yield re.sub(r"~\d+$", "", path)
