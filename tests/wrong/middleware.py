"""A right middleware, and plausible wrong ones, each with the check that must catch it. Run by test_kit_agents.py."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import attrs
from dougong import Delta, Exhausted, Message, Result
from dougong.run import active_run
from dougong.testing import MiddlewareConformance


def judged(check: str = "", **attributes: Any) -> Any:
    """Give the class a suite; `check` must fail, no check where it is empty."""

    def declare(cls: type) -> type:
        suite = {
            "name": "middleware.otel",  # what is declared of it is right
            "build": lambda self, **overrides: cls(**overrides),
            "tight": {"most": 3},
            "golden": (([("llm", "a", "b"), ("llm", "a", "b")], [[["a"], "b"], [[], "Exhausted"]], {"most": 1}),),
        }
        globals()[f"Test{cls.__name__}"] = type(
            f"Test{cls.__name__}", (MiddlewareConformance,), {**suite, **attributes}
        )
        return cls

    return declare


LOTS = random.Random(7)


class Count:
    def __init__(self) -> None:
        self.calls = 0


@judged()
class Right:
    """Lets so many calls of a model through in a run."""

    def __init__(self, most: int = 100) -> None:
        self.most = most

    def count(self) -> Any:
        run = active_run()
        assert run is not None
        return run.memory(self, Count)

    def around(self, call: Any, proceed: Any) -> Iterator[Any]:
        if call.kind == "llm":
            count = self.count()
            count.calls += 1
            if count.calls > self.most:
                raise Exhausted("no calls are left", what="calls", hint="allow more")
        yield from self.passed(call, proceed)

    def passed(self, call: Any, proceed: Any) -> Iterator[Any]:
        with closing(proceed(call)) as items:
            yield from items


@judged("test_a_run_starts_anew")
class Global(Right):
    """Counts in the object, for all runs together."""

    def __init__(self, most: int = 100) -> None:
        super().__init__(most)
        self.counted = Count()

    def count(self) -> Any:
        return self.counted


@judged("test_a_stream_is_handed_on_as_it_comes")
class Gathers(Right):
    """Reads the whole reply before it hands on a piece."""

    def passed(self, call: Any, proceed: Any) -> Iterator[Any]:
        yield from list(proceed(call))


@judged("test_a_stream_that_is_closed_closes_what_is_inside")
class Loops(Right):
    """A for loop, which leaves the call open when it is left."""

    def passed(self, call: Any, proceed: Any) -> Iterator[Any]:
        for item in proceed(call):  # noqa: UP028  that is the mistake
            yield item


@judged("test_errors_pass_as_they_are", may_repeat=True)
class Again(Right):
    """Tries again after a part of the reply was handed on."""

    def passed(self, call: Any, proceed: Any) -> Iterator[Any]:
        try:
            yield from super().passed(call, proceed)
        except Exhausted:
            raise
        except Exception:
            yield from super().passed(call, proceed)


@judged("test_errors_pass_as_they_are", may_repeat=True)
class Stubborn(Right):
    """Tries again what a cancelled run or an empty budget refused."""

    def passed(self, call: Any, proceed: Any) -> Iterator[Any]:
        begun = False
        try:
            for item in super().passed(call, proceed):
                begun = True
                yield item
        except Exception:
            if begun:
                raise
            yield from super().passed(call, proceed)


@judged("test_errors_pass_as_they_are")
class Swallows(Right):
    """An empty reply instead of an error."""

    def passed(self, call: Any, proceed: Any) -> Iterator[Any]:
        try:
            yield from super().passed(call, proceed)
        except Exception:
            yield Delta("", finish="stop")


@judged("test_what_passes_is_not_changed")
class Renames(Right):
    """Another path for the call: the journal will not find it again."""

    def passed(self, call: Any, proceed: Any) -> Iterator[Any]:
        return super().passed(attrs.evolve(call, path=f"{call.path}.retry"), proceed)


@judged("test_what_passes_is_not_changed")
class Insists(Right):
    """Adds a message, and does not say that it does."""

    def passed(self, call: Any, proceed: Any) -> Iterator[Any]:
        if call.kind == "llm":
            messages = [Message("system", "Think."), *call.arguments["messages"]]
            call = attrs.evolve(call, arguments={**call.arguments, "messages": messages})
        return super().passed(call, proceed)


@judged("test_what_passes_is_not_changed")
class Strips(Right):
    """Takes white space off pieces of a reply."""

    def passed(self, call: Any, proceed: Any) -> Iterator[Any]:
        for item in super().passed(call, proceed):
            yield attrs.evolve(item, text=item.text.strip()) if isinstance(item, Delta) else item


@judged("test_extras_of_a_model_pass")
class Plain(Right):
    """Makes new deltas of text, finish and usage."""

    def passed(self, call: Any, proceed: Any) -> Iterator[Any]:
        for item in super().passed(call, proceed):
            yield item if isinstance(item, Result) else Delta(item.text, item.tool_calls, item.finish, item.usage)


@judged("test_nothing_is_called_before_it_is_read")
class Eager:
    """No generator: the call is made when the chain is put together."""

    def __init__(self, most: int = 100) -> None:
        pass

    def around(self, call: Any, proceed: Any) -> Any:
        return iter(list(proceed(call)))


@judged("test_a_call_is_made_once")
class Twice(Right):
    """Makes sure by asking twice."""

    def passed(self, call: Any, proceed: Any) -> Iterator[Any]:
        list(proceed(call))
        return super().passed(call, proceed)


@judged("test_items_before_an_error_are_not_lost")
class Holds(Right):
    """Holds a piece back, and loses it when the stream breaks."""

    def passed(self, call: Any, proceed: Any) -> Iterator[Any]:
        held: list[Any] = []
        for item in super().passed(call, proceed):
            yield from held
            held = [item]
        yield from held


@judged("test_replay_rebuilds_it", tight=None)
class Lottery(Right):
    """Refuses by chance, and a replay draws other lots."""

    def passed(self, call: Any, proceed: Any) -> Iterator[Any]:
        if active_run() is not None and call.name == "kit.llm" and LOTS.random() < 0.5:
            raise Exhausted("no luck", what="luck", hint="try again")
        return super().passed(call, proceed)


@judged("test_branches_and_children_get_their_own_answers")
class Last(Right):
    """Keeps the call that it works on in the object."""

    def passed(self, call: Any, proceed: Any) -> Iterator[Any]:
        self.call = call
        time.sleep(0.002)
        return super().passed(self.call, proceed)


@judged("test_it_keeps_its_own_promises")
class Generous(Right):
    """One more than it says."""

    def __init__(self, most: int = 100) -> None:
        super().__init__(most + 1)
