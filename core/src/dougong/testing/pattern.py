"""What holds for every pattern."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, get_args, get_origin

import attrs
import pytest

from dougong.codec import to_data
from dougong.errors import CallError, Cancelled, Exhausted
from dougong.kinds import LLM, Retriever, Tool
from dougong.params import fields_of, unwrapped
from dougong.run import Run
from dougong.testing.conformance import Conformance, inner
from dougong.testing.runs import HOSTILE, Lookup, Model, Shelf, call_once, fails, lived
from dougong.types import Answer, Delta, Event, Message, Usage

HAN = re.compile(r"[\u4e00-\u9fff]")
STATUSES = ("answered", "declined", "stopped")


class PatternConformance(Conformance):
    """A pattern keeps its promises of `dougong.kinds.Pattern`.

    Every ``LLM``, ``Tool`` and ``Retriever`` slot that `params` leaves open is filled by the kit: a model that calls
    each tool once and then answers from what it was asked, quoting passages rightly and wrongly (`reply`); a tool that
    knows a fact about every word; a retriever over a few sentences. They count what reaches them.

    Attributes:
        tasks: one in English and one in Chinese.
        golden: ``(task, replies)`` and ``[status, text, quotes, calls]``, the quotes cited and the kinds of the
            calls made in order; or ``(task, replies, *names)`` and what they name, which may also be ``reason``,
            ``data``, the ``lines`` of the quotes, the ``paths`` of the calls, and ``asked``, the last request's
            messages as ``[role, text]``. A reply is a text, ``(text, tool calls, finish)`` or an exception that the
            model raises.
        mends: it carries on where a model fails, so such an error does not reach its caller.
    """

    tasks: Sequence[str] = ("How does a dougong carry the roof?", "斗拱怎样承受屋檐的重量？")
    mends: bool = False
    kind: ClassVar[str] = "pattern"
    _script: list[Any] | None = None

    def reply(self, messages: Sequence[Message], tools: Sequence[Any], schema: Any) -> Any:
        """What the kit's model says: a text, or ``(text, tool calls, finish)``.

        Override it for a pattern that wants replies of a form. Let it depend on the request and on nothing else.
        """
        calls = call_once(messages, tools)
        if calls:
            return "", calls, ""
        passages = [p for m in messages for p in m.parts if p.kind == "data" and p.source.isdigit()]
        quotes = "".join(f" “{part.text.split('.')[0].split('。')[0]}” [{part.source}]" for part in passages)
        asked = next((m.text for m in reversed(messages) if m.role == "user"), "")
        return f"You asked: {asked}{quotes}{' “Nobody ever wrote this.” [1]' if passages else ''}"

    def _replied(self, messages: Sequence[Message], tools: Sequence[Any], schema: Any) -> Any:
        said = self.reply(messages, tools, schema) if self._script is None else self._script.pop(0)
        if isinstance(said, Exception):
            raise said
        return said

    # ------------------------------------------------------------ hooks of the base

    def parameters(self) -> Mapping[str, Any]:
        """`params`, with the kit's fakes in the slots that they leave open."""
        self.model, self.tool, self.shelf = Model(self._replied), Lookup(), Shelf()
        return {**self._fakes(), **self.params}

    def _fakes(self) -> dict[str, Any]:
        fakes: dict[Any, Any] = {LLM: self.model, Tool: self.tool, Retriever: self.shelf}
        found = {}
        for name, field in fields_of(self.loaded().technique.params).items():
            annotation, _ = unwrapped(field.type)
            item = (get_args(annotation) or (None,))[-1]
            if annotation in fakes:
                found[name] = fakes[annotation]
            elif get_origin(annotation) is list and item in fakes:
                found[name] = [fakes[item]]
            elif get_origin(annotation) is dict and item in fakes:
                found[name] = {"kit": fakes[item]}
        return found

    def observe(self, built: Any) -> Any:
        return [to_data(self.work(built, task)) for task in self.tasks]

    def answer(self, built: Any, given: Any) -> Any:
        task, replies, *names = given
        self._script = list(replies)
        run = Run()
        with run.active():
            answer = built.run(task, run)
        left, self._script = self._script, None
        assert not left, f"{len(left)} of the replies were not asked for"
        asked = self.model.requests[-1]["messages"] if self.model.requests else ()
        calls = sorted((record.call for record in run.records), key=lambda call: call.path)
        found = {
            "status": answer.status,
            "text": answer.text,
            "quotes": [citation.quote for citation in answer.citations],
            "lines": [citation.line for citation in answer.citations],
            "calls": [call.kind for call in calls],
            "paths": [call.path for call in calls],
            "reason": answer.reason,
            "data": to_data(answer.data),
            "asked": [[message.role, "\n".join(part.text for part in message.parts)] for message in asked],
        }
        return [found[name] for name in names or ("status", "text", "quotes", "calls")]

    def work(self, pattern: Any, task: str, run: Run | None = None, **options: Any) -> Answer:
        """The answer to `task` in a run of its own, or in `run`."""
        if run is not None:
            answer = pattern.run(task, run)
        else:
            run = Run(**options)
            with run.active():
                answer = pattern.run(task, run)
        assert isinstance(answer, Answer), f"run must give an Answer, not {type(answer).__name__}"
        return answer

    # ------------------------------------------------------------ answers

    def test_a_task_is_answered(self) -> None:
        for task in self.tasks:
            events: list[Event] = []
            run = Run(listener=events.append)
            with run.active():
                answer = self.work(self.build(), task, run)
            assert answer.status == "answered", f"{task!r}: {answer.status}, {answer.reason}; mend `reply` or `params`"
            assert answer.text.strip()
            assert not answer.reason, "an answered task needs no reason: it is for declined and stopped"
            assert answer.usage in (Usage(), run.usage), "usage must be run.usage (or be left to the assembly)"
            spoken = "".join(event.data["text"] for event in events if event.kind == "say")
            assert not spoken or answer.text in spoken, "what was said while it worked lacks the answer"

    def test_every_call_goes_through_the_run(self) -> None:
        pattern, run = self.build(), Run()
        with run.active():
            self.work(pattern, self.tasks[0], run)
        made = {"llm": len(self.model.requests), "tool": len(self.tool.calls), "retriever": len(self.shelf.queries)}
        seen = {kind: sum(record.call.kind == kind for record in run.records) for kind in made}
        own = {kind: count for kind, count in made.items() if count}
        assert own, "it called neither model nor tool nor retriever: give it slots, or set `reply`"
        assert not {kind: (count, seen[kind]) for kind, count in own.items() if seen[kind] < count}, (
            f"calls were made {made}, the run saw {seen}: call what the slot holds, and fan out by run.parallel only"
        )

    def test_the_task_reaches_the_model(self) -> None:
        for task in self.tasks:
            self.work(self.build(), task)
            if self.model.requests:
                asked = [part.text for r in self.model.requests for m in r["messages"] for part in m.parts]
                assert any(task in text for text in asked), f"no request holds the task {task!r}"

    def test_an_empty_task_is_refused(self) -> None:
        for task in ("", " \n\t", "\u3000"):
            pattern = self.build()
            try:
                answer = self.work(pattern, task)
                told = answer.reason if answer.status == "declined" else ""
            except CallError as error:
                told = error.hint
            assert told, f"the empty task {task!r} was taken; raise CallError with a hint, or decline with a reason"
            assert not self.model.requests, "a model was asked about an empty task"

    def test_any_text_is_a_task(self) -> None:
        pattern = self.build()
        for text in HOSTILE:
            try:
                answer = self.work(pattern, text)
            except CallError:
                continue
            assert answer.status in STATUSES

    def test_citations_quote_their_source(self) -> None:
        for task in self.tasks:
            answer = self.work(self.build(), task)
            for citation in answer.citations:
                assert citation.document == self.shelf.document.id, f"nothing was retrieved from {citation.document!r}"
                found = citation.span.of(self.shelf.document.text)
                assert found == citation.quote, f"the citation quotes {citation.quote!r}, its span says {found!r}"
                if citation.line:
                    assert citation.line == self.shelf.document.text.count("\n", 0, citation.span.start) + 1

    def test_what_was_found_is_data_and_no_instruction(self) -> None:
        for task in self.tasks:
            self.work(self.build(), task)
            for message in (m for request in self.model.requests for m in request["messages"] if m.role != "assistant"):
                for marker in (self.shelf.marker, self.tool.marker):
                    assert marker not in message.text, (
                        f"a passage or a tool's result stands in the words of a {message.role} message; "
                        'hand it on as Part(text, "data", label)'
                    )

    # ------------------------------------------------------------ how it ends

    def test_a_reply_that_did_not_end_well_is_no_answer(self) -> None:
        for finish, text, wanted in (
            ("length", "You asked, and the reply was cut", ("stopped",)),
            ("content_filter", "You asked", ("declined", "stopped")),
            ("stop", "", ("declined", "stopped")),
        ):
            pattern = self.build()
            self.model.reply = lambda messages, tools, schema, end=(text, (), finish): end
            try:
                answer = self.work(pattern, self.tasks[0])
            except CallError:
                continue  # a form was asked for and not kept
            told = f"a reply that finished as {finish!r} with {text!r}"
            assert answer.status in wanted, f"{told} is {answer.status!r}; it must be {' or '.join(wanted)}"
            assert answer.reason, f"{told} must have a reason"

    def test_a_budget_that_runs_out_stops_it_with_what_there_is(self) -> None:
        calls = self._calls()
        for number in range(len(calls)):
            for after in (0, 1) if calls[number] == "llm" else (0,):
                limit = _Limit(number, after)
                try:
                    answer = self.work(self.build(), self.tasks[0], middleware=[limit])
                except Exhausted as error:
                    raise AssertionError(
                        f"the budget ran out at call {number}, and run raised; catch Exhausted and answer as stopped"
                    ) from error
                told = f"the budget ran out at call {number} ({calls[number]})"
                assert answer.status == "stopped", f"{told}, and it is {answer.status}; it must be stopped"
                assert answer.reason, f"{told}: reason must say what ran out"
                whole = self.work(self.build(), self.tasks[0])
                if after and limit.came and whole.text.startswith(limit.came):
                    assert limit.came in answer.text, f"{told} after {limit.came!r} had come; the answer must hold it"

    def test_a_failure_of_a_model_reaches_the_caller(self) -> None:
        if self.mends:
            pytest.skip("it mends failures")
        for number in range(self._calls().count("llm")):
            pattern = self.build()
            self.model.before = _at(number, lambda: _raise(fails()))
            with pytest.raises(CallError, match="out of order"):
                self.work(pattern, self.tasks[0])

    def test_cancelling_ends_it(self) -> None:
        events: list[Event] = []
        self.work(self.build(), self.tasks[0], listener=events.append)
        moments = [number for number, event in enumerate(events) if event.kind in ("call", "delta", "result")]
        assert moments, "nothing was called"
        for moment in {moments[0], moments[len(moments) // 2], moments[-2]}:
            pattern = self.build()
            seen: list[Event] = []

            def listen(event: Event, seen: list[Event] = seen, moment: int = moment) -> None:
                seen.append(event)
                if len(seen) == moment + 1:
                    run.cancel()  # noqa: B023  the run of this moment

            run: Run = Run(listener=listen)
            with run.active():
                try:
                    pattern.run(self.tasks[0], run)
                    ended = "with an answer"
                except Cancelled:
                    ended = ""
            assert not ended, "a cancelled run ended with an answer; let Cancelled through"
            begun = [event for event in seen[moment + 1 :] if event.kind == "call"]
            assert not begun, "a cancelled run began another call"

    # ------------------------------------------------------------ state

    def test_runs_at_the_same_time_do_not_mix(self) -> None:
        """Two runs meet at their first model call, and one of them goes on while the other waits there."""
        alone = [to_data(self.work(self.build(), task)) for task in self.tasks]
        pattern, meet = self.build(), threading.Barrier(len(self.tasks))

        def before(number: int) -> None:
            if number < len(self.tasks):
                with suppress(threading.BrokenBarrierError):  # it asks a model in few of its runs
                    meet.wait(5)

        self.model.before = before
        found: list[Any] = [None] * len(self.tasks)

        def work(index: int) -> None:
            found[index] = to_data(self.work(pattern, self.tasks[index]))

        threads = [threading.Thread(target=work, args=(index,)) for index in range(len(self.tasks))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == alone, "two runs at once get each other's words; keep what belongs to a run in local variables"

    def test_replay_gives_the_same_without_a_model(self) -> None:
        for number, task in enumerate(self.tasks):
            folder = self.folder / str(number)
            pattern = self.build()
            live = lived(folder, lambda run: to_data(run.end(pattern.run(task, run))))  # noqa: B023
            pattern = self.build()
            again = lived(folder, lambda run: to_data(run.end(pattern.run(task, run))), replay=True)  # noqa: B023
            called = self.model.requests or self.tool.calls or self.shelf.queries
            assert not called, "a replay called a model, a tool or a retriever"
            assert again == live, "a replay gives another answer; take clock, randomness and files through the run"

    def test_it_works_as_a_child(self) -> None:
        alone = self.work(self.build(), self.tasks[0])
        pattern, run = self.build(), Run()
        with run.active(), run.child("member") as child:
            answer = self.work(pattern, self.tasks[0], child)
        assert answer.text == alone.text
        assert run.records
        assert all("/member" in record.call.path for record in run.records), "calls of a child are not in its path"

    # ------------------------------------------------------------ prompts

    def test_every_prompt_is_a_parameter_in_both_languages(self) -> None:
        prompts = _prompts(self.loaded().technique.params)
        for name, text in prompts.items():
            language = name.partition(".")[0].rpartition("_")[2]
            twin = prompts.get(_twin(name))
            assert twin is not None, f"{name} has no twin {_twin(name)}: Chinese and English are equals"
            if language == "zh" and re.search(r"[^\W\d_]{2}", re.sub(r"\{\w+\}", "", text)):
                assert HAN.search(text), f"the default of {name} is not Chinese"
            if language == "en":
                assert not HAN.search(text), f"the default of {name} is not English"
        texts = [piece for text in _strings(self._plain_params()) for piece in re.split(r"\{\w*\}", text)]
        known = [piece.strip() for piece in texts if len(piece.strip()) >= 6]
        for task in self.tasks:
            self.work(self.build(), task)
            for message in (m for request in self.model.requests for m in request["messages"] if m.role == "system"):
                assert not message.text or any(piece in message.text for piece in known), (
                    f"the system message {message.text[:80]!r} is no parameter; people must be able to see and set it"
                )

    def test_the_language_of_the_task_chooses_the_prompt(self) -> None:
        prompts = _prompts(self.loaded().technique.params)
        if not prompts:
            pytest.skip("it has no prompts of its own")
        marked: dict[str, Any] = {}
        for name, text in prompts.items():
            top, _, inside = name.partition(".")
            mark = f"{text} MARK-{name.partition('.')[0].rpartition('_')[2]}"
            if inside:
                marked.setdefault(top, {})[inside] = mark
            else:
                marked[name] = mark
        for task, ours, theirs in zip(self.tasks, ("MARK-en", "MARK-zh"), ("MARK-zh", "MARK-en")):
            self.work(self.build(**{name: value for name, value in marked.items() if name not in self.params}), task)
            asked = [m.text for r in self.model.requests for m in r["messages"] if m.role != "assistant"]
            assert not any(theirs in text for text in asked), f"{task!r} is asked in the other language"
            assert any(ours in text for text in asked), f"none of the parameters for its language is used for {task!r}"

    # ------------------------------------------------------------ what checks use

    def _calls(self) -> list[str]:
        """The kinds of the calls that the first task takes, in order."""
        run = Run()
        with run.active():
            self.work(self.build(), self.tasks[0], run)
        return [r.call.kind for r in sorted(run.records, key=lambda record: record.call.path)]

    def _plain_params(self) -> Any:
        """The params, defaults included, that the pattern was built with."""
        from dougong.assemble import origin

        found = origin(inner(self.build()))
        defaults = [field.default for field in fields_of(self.loaded().technique.params).values()]
        nested: list[Any] = [attrs.asdict(value) for value in defaults if attrs.has(type(value))]  # type: ignore[arg-type]
        return [
            dict(found.params) if found else {},
            nested,
            dict(self.params),
            [d for d in defaults if isinstance(d, str)],
        ]


class _Limit:
    """A budget that is used up at call `number`: before it, or after `after` of its deltas; then for good."""

    def __init__(self, number: int, after: int) -> None:
        self.number, self.after, self.count, self.came = number, after, 0, ""
        self._lock = threading.Lock()

    def around(self, call: Any, proceed: Callable[[Any], Iterator[Any]]) -> Iterator[Any]:
        with self._lock:
            number, self.count = self.count, self.count + 1
        if number > self.number or (number == self.number and not self.after):
            raise Exhausted("no calls are left", what="calls", hint="allow more")
        for items, item in enumerate(proceed(call), 1):
            if number == self.number and isinstance(item, Delta):
                self.came += item.text
            yield item
            if number == self.number and items == self.after:
                raise Exhausted("no tokens are left", what="tokens", hint="allow more")


def _at(moment: int, act: Callable[[], None]) -> Callable[[int], None]:
    return lambda number: act() if number == moment else None


def _raise(error: Exception) -> None:
    raise error


def _prompts(params: type) -> dict[str, str]:
    """Defaults of the texts that end in ``_en`` and ``_zh``; those inside nested values by ``texts_en.example``."""
    found = {}
    for name, field in fields_of(params).items():
        if not name.endswith(("_en", "_zh")):
            continue
        if isinstance(field.default, str):
            found[name] = field.default
        elif attrs.has(type(field.default)):
            inside = attrs.asdict(field.default).items()  # type: ignore[arg-type]
            found |= {f"{name}.{key}": value for key, value in inside if isinstance(value, str)}
    return found


def _twin(name: str) -> str:
    top, dot, inside = name.partition(".")
    return top[:-2] + ("zh" if top.endswith("_en") else "en") + dot + inside


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item)
