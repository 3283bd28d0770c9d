"""What holds for every middleware."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from dougong.call import Call
from dougong.codec import to_data
from dougong.errors import CallError, Cancelled, Diverged, Exhausted
from dougong.run import Run
from dougong.testing.conformance import Conformance
from dougong.testing.runs import Lookup, Model, Shelf, fails, lived, outcome, said, through, together
from dougong.types import Delta, Message, Result, Sampling, ToolResult, Usage

Items = Iterator[Any]
TEXTS = ("How does a dougong carry the roof?", "斗拱怎样承受屋檐的重量？", "mixed 中文 and 👩‍👩‍👧‍👦")
FAILS = "Fail, the first time that you are asked this."


class MiddlewareConformance(Conformance):
    """A middleware keeps its promises of `dougong.kinds.Middleware` around calls of a model, a tool and a retriever.

    Attributes:
        changes: arguments of a call that it may change on the plain path (``sampling``, say).
        may_repeat: it may make a call again that failed before its first item.
        tight: params with which a run of ten calls meets what it is there for (a limit that is used up, say).
        person: what the person says who is asked, if one is.
        golden: exchanges ``(kind, asked, *given)`` one after the other in one run, and for each what reached the model,
            tool or retriever, attempt by attempt, and what came back. A text stands for a message, a reply, a query or
            a tool's word and result; an exception for a failure, in what came back by the name of its class. A
            ``writer`` is a tool that writes; a list of deltas stands for itself, and a function for what it gives, so
            that a call can be made inside another. Two are no exchanges: after ``("person", text)`` a person answers
            so, and ``("seen", *kinds)`` gives ``{"slept": seconds, "asked": questions}`` so far, and how many events
            there were of these kinds. Nobody really sleeps, and a random number is the largest that it may be.
    """

    changes: Sequence[str] = ()
    may_repeat: bool = False
    tight: Mapping[str, Any] | None = None
    person: str = "yes"
    kind: ClassVar[str] = "middleware"

    # ------------------------------------------------------------ hooks of the base

    def observe(self, built: Any) -> Any:
        run = self.run(built)
        with run.active():
            return self.session()

    def answer(self, built: Any, given: Any) -> Any:
        says, events, found = [self.person], Counter[str](), list[Any]()
        asked: list[str] = []

        def ask(question: str, choices: Sequence[str]) -> str:
            asked.append(question)
            return says[-1]

        run = _Still([built], lambda event: events.update([event.kind]), ask=ask)
        with run.active():
            for kind, *rest in given:
                if kind == "person":
                    says.append(rest[0])
                elif kind == "seen":
                    found.append({"slept": run.slept, "asked": asked, **{name: events[name] for name in rest}})
                else:
                    found.append(list(self._exchange(kind, *rest)))
        return found

    def run(self, *middleware: Any, **options: Any) -> Run:
        return Run(list(middleware), ask=lambda question, choices: self.person, **options)

    def session(self) -> list[Any]:
        """What ten calls of the active run give: of each kind, whole, cut and failing."""
        model, write = Model(_fails_once()), Lookup()
        write.effect = "write"
        llm, tool = through("llm", model), through("tool", Lookup())
        writer, shelf = through("tool", write, "kit.writer"), through("retriever", Shelf())
        asks = [Message("system", "Be short.")], [Message("user", TEXTS[0])], [Message("user", TEXTS[1])]
        return [
            outcome(lambda: list(llm.chat([*asks[0], *asks[1]]))),
            outcome(lambda: tool.call({"word": "roof"})),
            outcome(lambda: list(llm.chat(asks[2], sampling=Sampling(max_tokens=90)))),
            outcome(lambda: shelf.search(TEXTS[0], 2)),
            outcome(lambda: list(llm.chat([Message("user", FAILS)]))),
            outcome(lambda: writer.call({"word": "柱"})),
            outcome(lambda: _first(llm.chat(asks[1]))),  # closed by its reader
            outcome(lambda: shelf.search("", 1)),
            outcome(lambda: tool.call({})),  # a result with error=True
            outcome(lambda: list(llm.chat(asks[2]))),
        ]

    def _exchange(self, kind: str, asked: Any, *given: Any) -> Iterator[Any]:
        reached: list[Any] = []
        replies = list(given)

        def next_reply() -> Any:
            reply = replies.pop(0)
            if isinstance(reply, Exception):
                raise reply
            return reply() if callable(reply) else reply

        def chat(messages: Any, tools: Any = (), schema: Any = None, sampling: Any = None) -> Items:
            reached.append("\n".join(part.text for message in messages for part in message.parts))
            text = next_reply()
            if isinstance(text, list):
                yield from text
                return
            yield from (Delta(text[at : at + 3]) for at in range(0, len(text), 3))
            yield Delta(finish="stop", usage=Usage(1, 1))

        def call(arguments: Any) -> ToolResult:
            reached.append(arguments["word"])
            return ToolResult(next_reply())

        def search(query: str, k: int = 10, where: Any = None) -> Any:
            reached.append(query)
            return next_reply()

        effect = "write" if kind == "writer" else "read"
        fake = type("Fake", (), {"chat": staticmethod(chat), "call": staticmethod(call), "search": staticmethod(search),
                                 "name": kind, "description": "", "parameters": {}, "effect": effect})()  # fmt: skip
        part = through("tool" if kind == "writer" else kind, fake, f"kit.{kind}")
        try:
            if kind == "llm":
                came: Any = said(list(part.chat([Message("user", asked)])))
            elif kind == "retriever":
                came = part.search(asked)
            else:
                came = part.call({"word": asked}).text
        except Exception as error:
            came = type(error).__name__
        yield reached
        yield came

    # ------------------------------------------------------------ the plain path

    def test_what_passes_is_not_changed(self) -> None:
        """A call's arguments on their way in, but for `changes`, and all that comes back."""
        for call in _calls():
            seen: list[Call] = []
            items, given = self._passed(self.build(), call, lambda call: iter(_items(call)), seen)
            assert to_data(items) == to_data(given), f"a {call.kind} call's items are changed on the plain path"
            (sent,) = seen
            where = (sent.path, sent.kind, sent.name, sent.effect)
            assert where == (call.path, call.kind, call.name, call.effect), (
                "pass on attrs.evolve(call, arguments=...): path, kind, name and effect say which call it is"
            )
            assert set(sent.arguments) == set(call.arguments), "a call has the arguments of its method, all of them"
            for name in set(call.arguments) - set(self.changes):
                assert to_data(sent.arguments[name]) == to_data(call.arguments[name]), f"it changes {name!r}"

    def test_a_call_is_not_changed_in_place(self) -> None:
        for call in _calls():
            before = to_data(dict(call.arguments))
            self._passed(self.build(), call, lambda call: iter(_items(call)))
            assert to_data(dict(call.arguments)) == before, "arguments are the caller's: make new ones"

    def test_extras_of_a_model_pass(self) -> None:
        call = _calls()[0]
        extras = [Delta("a", data={"reasoning": "since"}), Delta(finish="stop", usage=Usage(3, 4, 1, money=0.5))]
        items, _ = self._passed(self.build(), call, lambda call: iter(extras))
        assert to_data([item.data for item in items if item.data]) == [{"reasoning": "since"}]
        assert [item.usage for item in items if item.usage] == [extras[1].usage], "usage must pass as it is, once"

    def test_nothing_is_called_before_it_is_read(self) -> None:
        called: list[Call] = []

        def proceed(call: Call) -> Items:
            called.append(call)
            return iter(())

        with self.run().active():
            made = self.build().around(_calls()[0], proceed)
            assert callable(getattr(made, "close", None)), "around must be a generator: yield what proceed yields"
            assert not called, "the call is made before its items are asked for"
            made.close()
        assert not called

    def test_a_call_is_made_once(self) -> None:
        for call in _calls():
            seen: list[Call] = []
            self._passed(self.build(), call, lambda call: iter(_items(call)), seen)
            assert len(seen) == 1, f"a {call.kind} call that succeeds is made {len(seen)} times"

    def test_a_stream_is_handed_on_as_it_comes(self) -> None:
        made: list[int] = []

        def source(call: Call) -> Items:
            for number, item in enumerate(_items(call)):
                made.append(number)
                yield item

        with self.run().active():
            stream = self.build().around(_calls()[0], source)
            next(stream)
            assert len(made) <= 2, "the whole reply is read before its first piece is handed on"
            stream.close()

    # ------------------------------------------------------------ ends

    def test_a_stream_that_is_closed_closes_what_is_inside(self) -> None:
        personal = {**_calls()[0].arguments, "messages": [Message("user", "Write to li@example.com, 请快。")]}
        for call in (*_calls(), attrs.evolve(_calls()[0], arguments=personal)):
            closed: list[bool] = []
            source = _watched(call, closed)  # held here: a generator that nobody holds closes by itself
            with self.run().active():
                stream = self.build().around(call, lambda call, source=source: source)
                next(stream)
                stream.close()
            assert closed, (
                f"a {call.kind} call goes on inside when its reader closes it: yield from proceed(call), "
                "or hold it in contextlib.closing"
            )

    def test_errors_pass_as_they_are(self) -> None:
        """At the start and in the middle; what ends a run is never tried again."""
        final = (Exhausted("out", what="calls"), Cancelled("stop"), Diverged("other"), KeyboardInterrupt())
        for error in (fails(), ValueError("a fault"), *final):
            for items in (0, 1):
                for call in _calls():
                    attempts: list[Call] = []
                    with pytest.raises(type(error)) as caught:
                        self._passed(self.build(), call, lambda call: _breaks(call, items, error), attempts)  # noqa: B023
                    assert caught.value is error or str(error) in str(caught.value), "the error is another one"
                    again = len(attempts) > 1
                    assert not (again and items), "a call is made again after its first item was handed on"
                    assert not (again and error in final), f"a call is made again after {type(error).__name__}"
                    assert not again or self.may_repeat, "a call is made again; say may_repeat = True if it should be"

    def test_items_before_an_error_are_not_lost(self) -> None:
        for call in _calls()[:1]:
            came: list[Any] = []
            with self.run().active(), pytest.raises(CallError):
                came.extend(self.build().around(call, lambda call: _breaks(call, 2, fails())))
            assert to_data(came) == to_data(_items(call)[:2])

    # ------------------------------------------------------------ runs

    def test_a_run_starts_anew(self) -> None:
        """What it keeps, it keeps by run.memory: the next run finds nothing of it."""
        for params in (self.tight or {}, {}):
            middleware = self.build(**params)
            first = self._session(middleware)
            assert self._session(middleware) == first, "the second run is not like the first; keep state in run.memory"
            at_once = together(lambda index: self._session(middleware), 4)  # noqa: B023
            assert at_once == [first] * 4, "runs at the same time are not alike; keep state in run.memory"

    def test_what_it_is_there_for_shows(self) -> None:
        if self.tight is None:
            pytest.skip("no `tight` params")
        plain = self._session(None)
        assert self._session(self.build(**self.tight)) != plain, "`tight` changes nothing in ten calls"

    def test_branches_and_children_get_their_own_answers(self) -> None:
        llm = through("llm", Model(_reply))
        tool = through("tool", Lookup())

        def branch(number: int) -> Any:
            text = said(llm.chat([Message("user", f"{TEXTS[number % 3]} {number}")]))
            return text, tool.call({"word": f"w{number}"}).text

        def work(run: Run) -> Any:
            branches = run.parallel([lambda number=number: branch(number) for number in range(8)])  # type: ignore[misc]
            with run.child("member"):
                return branches, branch(9)

        with self.run().active() as run:
            alone = work(run)
        with self.run(self.build()).active() as run:
            assert work(run) == alone, "branches of a run get each other's answers; keep what belongs to a call local"

    def test_replay_rebuilds_it(self) -> None:
        for number, params in enumerate((self.tight or {}, {})):
            folder = self.folder / f"replay{number}"
            live = self._lived(folder, self.build(**params))
            assert self._lived(folder, self.build(**params), replay=True) == live, (
                "a replay ends otherwise; take clock, randomness and people's answers through run.outside"
            )

    def test_a_run_that_died_goes_on_like_one_that_did_not(self) -> None:
        for number, params in enumerate((self.tight or {}, {})):
            folder = self.folder / f"whole{number}"
            live = self._lived(folder, self.build(**params))
            lines = (folder / "run.jsonl").read_bytes().splitlines(keepends=True)
            for part in (len(lines) // 3, 2 * len(lines) // 3):
                broken = self.folder / f"part{number}-{part}"
                broken.mkdir()
                shutil.copytree(folder, broken, dirs_exist_ok=True)
                (broken / "run.jsonl").write_bytes(b"".join(lines[:part]))
                resumed = self._lived(broken, self.build(**params), person="yes")
                assert _unasked(resumed) == _unasked(live), (
                    f"resumed after line {part} of its journal it ends otherwise"
                )

    def test_two_of_them_stand_around_a_call(self) -> None:
        with self.run(self.build(), self.build()).active():
            assert [kind for kind in map(_kind, self.session()) if kind == "reply"], "no call gets through two of them"

    # ------------------------------------------------------------ what checks use

    def _passed(
        self, middleware: Any, call: Call, proceed: Callable[[Call], Items], seen: list[Call] | None = None
    ) -> tuple[list[Any], list[Any]]:
        def inside(call: Call) -> Items:
            if seen is not None:
                seen.append(call)
            yield from proceed(call)

        with self.run().active():
            return list(middleware.around(call, inside)), _items(call)

    def _session(self, middleware: Any) -> Any:
        with self.run(*([middleware] if middleware else [])).active():
            return self.session()

    def _lived(self, folder: Path, middleware: Any, replay: bool = False, person: str = "") -> Any:
        folder.mkdir(exist_ok=True)
        ask = lambda question, choices: person or self.person  # noqa: E731
        return lived(folder, lambda run: self.session(), replay=replay, middleware=[middleware], ask=ask)


class _Still(Run):
    """A run in which nobody waits and nothing is left to chance."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))

    def random(self) -> random.Random:
        return _Largest()


class _Largest(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return max(a, b)

    def random(self) -> float:
        return 1.0


def _calls() -> list[Call]:
    asked = (Message("system", "Be short. 简短。"), Message("user", TEXTS[2]))
    chat = {"messages": asked, "tools": (), "schema": None, "sampling": Sampling(temperature=0.5)}
    return [
        Call("0", "llm", "kit.llm", chat),
        Call("1", "tool", "kit.tool", {"arguments": {"word": "roof"}}),
        Call("2", "tool", "kit.writer", {"arguments": {"word": "柱"}}, "write"),
        Call("3", "retriever", "kit.retriever", {"query": TEXTS[1], "k": 3, "where": None}),
    ]


def _items(call: Call) -> list[Any]:
    if call.kind == "llm":
        pieces = ["Inter", "locking ", "斗拱", " 👍", "[1]"]
        return [*map(Delta, pieces), Delta(finish="stop", usage=Usage(12, 7))]
    return [Result(ToolResult("roof is a fact", {"n": [1, 2]}) if call.kind == "tool" else Shelf().search("roof", 2))]


def _watched(call: Call, closed: list[bool]) -> Items:
    try:
        yield from _items(call)
        yield from _items(call)
    finally:
        closed.append(True)


def _breaks(call: Call, items: int, error: BaseException) -> Items:
    yield from _items(call)[:items]
    raise error


def _reply(messages: Sequence[Message], tools: Any, schema: Any) -> str:
    return f"You asked: {messages[-1].text}"


def _first(stream: Iterator[Delta]) -> Delta:
    first = next(stream)
    stream.close()  # type: ignore[attr-defined]
    return first


def _fails_once() -> Callable[..., str]:
    """A reply that is a failure the first time that `FAILS` is asked for: asked again, the model answers."""
    failed: list[bool] = []

    def reply(messages: Sequence[Message], tools: Any, schema: Any) -> str:
        if messages[-1].text == FAILS and not failed:
            failed.append(True)
            raise fails()
        return _reply(messages, tools, schema)

    return reply


def _kind(result: Any) -> str:
    return "error" if isinstance(result, str) else "reply"


def _unasked(results: Any) -> Any:
    """Results but for that of the writing tool: a resumed run asks a person whether it was carried out."""
    return [result for number, result in enumerate(results) if number != 5]
