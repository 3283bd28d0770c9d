"""The middleware: take from the window, let the call through, put right what it took."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from fnmatch import fnmatchcase

from dougong import Call, Delta, Result, estimate_tokens
from dougong.run import active_run

from dougong_middleware_rate_limit import Params, Rule
from dougong_middleware_rate_limit.window import Entry, Window

Items = Iterator[Delta | Result]
_windows: dict[Rule, Window] = {}  # of the process: a provider counts what a key sends, whichever run sends it
_lock = threading.Lock()


class RateLimit:
    """Holds calls back so that no stretch of a minute sees more of them, or of their tokens, than a rule allows.

    A reply's tokens are estimated while it is under way and put right by its `Usage`. A wait ends when the run is
    cancelled. The wait is in the journal: a resumed or replayed run does not wait for what is done.
    """

    def __init__(self, params: Params) -> None:
        self._params = params
        with _lock:
            self._windows = [
                (rule.name, _windows.setdefault(rule, Window(rule.calls, rule.tokens, rule.seconds)))
                for rule in params.rules
            ]

    def around(self, call: Call, proceed: Callable[[Call], Items]) -> Items:
        """The call's items, when it is its turn. Raises Cancelled."""
        run = active_run()
        assert run is not None, "middleware stands in a run"
        window = next((window for name, window in self._windows if fnmatchcase(call.name, name)), None)
        if window is None or call.kind not in self._params.kinds:
            yield from proceed(call)
            return
        taken: list[Entry] = []

        def wait() -> float:
            entry, seconds = window.acquire(self._estimate(call), run.check)
            taken.append(entry)
            return round(seconds, 6)

        run.outside("rate-limit", wait)
        source = proceed(call)
        with closing(source):  # type: ignore[type-var]  # what core hands on are generators
            for item in source:
                if taken and isinstance(item, Delta) and item.usage is not None:
                    window.correct(taken[0], item.usage.input_tokens + item.usage.output_tokens)
                yield item

    def _estimate(self, call: Call) -> int:
        """Tokens of a request and its reply."""
        if call.kind != "llm":
            return 0
        text = "\n".join(part.text for message in call.arguments["messages"] for part in message.parts)
        sampling = call.arguments.get("sampling")
        reply = (sampling and sampling.max_tokens) or self._params.max_output
        return estimate_tokens(text) + int(reply)
