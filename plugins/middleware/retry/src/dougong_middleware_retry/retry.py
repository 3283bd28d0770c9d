"""Whether a failed call is made again, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from fnmatch import fnmatchcase
from typing import Any

from dougong import Call, Cancelled, Delta, Diverged, Exhausted, Result
from dougong.run import active_run

from dougong_middleware_retry import Params

Items = Iterator[Delta | Result]


class Retry:
    """Makes a failed call again, up to `attempts` times.

    Never once its first item was handed on: what was said cannot be unsaid. Never after `Exhausted`, `Cancelled` or
    `Diverged`, whatever `on` says. The decision is written into the journal, and a resumed run does not wait again.
    Source: Brooker 2015, full jitter: ``sleep = random_between(0, min(cap, base * 2 ** attempt))``.
    """

    def __init__(self, params: Params) -> None:
        self._params, self._on = params, frozenset(params.on)

    def around(self, call: Call, proceed: Callable[[Call], Items]) -> Items:
        """The items of the first attempt that does not fail; else the last failure, with a note of the attempts."""
        run = active_run()
        assert run is not None, "middleware stands in a run"
        p = self._params
        if not any(fnmatchcase(call.name, name) for name in p.names) or (call.effect == "write" and not p.writes):
            yield from proceed(call)
            return
        for attempt in range(1, p.attempts + 1):
            begun = live = False
            try:
                source = proceed(call)
                with closing(source):  # type: ignore[type-var]  # what core hands on are generators
                    for item in source:
                        begun = True
                        yield item
                return
            except (Cancelled, Diverged, Exhausted):
                raise
            except Exception as problem:
                error = problem
                if begun or attempt == p.attempts:
                    if attempt > 1:
                        error.add_note(f"attempt {attempt} of {p.attempts}")
                    raise

                def decide(error: Exception = error) -> dict[str, Any]:
                    nonlocal live
                    live = True
                    return {"again": self._again(error), "after": getattr(error, "retry_after", None) or 0.0}

                decision = run.outside("retry", decide)
                if not decision["again"]:
                    raise
                wait = run.random().uniform(0, min(p.longest, p.base * 2 ** (attempt - 1)))
                wait = min(max(p.longest, decision["after"]), decision["after"] + wait)
            run.emit("retry", call=call, attempt=attempt, seconds=wait, error=error)
            if live:
                run.sleep(wait)

    def _again(self, error: Exception) -> bool:
        names = {cls.__name__ for cls in type(error).__mro__}
        marks = {str(getattr(error, mark, "")) for mark in ("kind", "status")}
        return not self._on.isdisjoint(names | marks) and (getattr(error, "retry_after", None) or 0) <= (
            self._params.longest
        )
