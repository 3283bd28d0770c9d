"""A right pattern, and plausible wrong ones, each with the check that must catch it. Run by test_kit_agents.py.

They retrieve, ask once and cite, and have the slots and the prompts of pattern.rag, the only thing taken from there.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dougong import Answer, CallError, Cancelled, Citation, Exhausted, Hit, Message, Part, Span
from dougong.testing import PatternConformance
from dougong.testing.pattern import HAN
from dougong.testing.runs import through
from dougong_pattern_rag import Params
from dougong_pattern_rag.citations import claims


def judged(check: str = "", **attributes: Any) -> Any:
    """Give the class a suite; `check` must fail, no check where it is empty."""

    def declare(cls: type) -> type:
        def build(self: Any, **overrides: Any) -> Any:
            given = {**self.parameters(), **overrides}
            slots = {name: through(kind, given.pop(name)) for name, kind in (("llm",) * 2, ("retriever",) * 2)}
            return cls(Params(**slots, **given))

        golden = (("How?", ["It “carries the roof of a hall” [1]"]),
                  ["answered", "It “carries the roof of a hall” [1]", ["carries the roof of a hall"],
                   ["retriever", "llm"]])  # fmt: skip
        suite = {"name": "pattern.rag", "build": build, "golden": (golden,)}
        globals()[f"Test{cls.__name__}"] = type(f"Test{cls.__name__}", (PatternConformance,), {**suite, **attributes})
        return cls

    return declare


@judged()
class Right:
    """Retrieve, ask, cite."""

    def __init__(self, params: Params) -> None:
        self.p = params

    def run(self, task: str, run: Any) -> Answer:
        if not task.strip():
            raise CallError("the task is empty", hint="ask something")
        text, finish, hits = "", "", []
        try:
            hits = self.find(task)
            for delta in self.p.llm.chat(self.messages(task, hits)):
                text, finish = text + delta.text, delta.finish or finish
                run.say(delta.text)
        except Exhausted as error:
            return Answer(text, self.cited(text, hits), "stopped", error.message)
        return self.answer(text, finish, hits)

    def find(self, task: str) -> list[Hit]:
        return self.p.retriever.search(task, 3)

    def messages(self, task: str, hits: Sequence[Hit]) -> list[Message]:
        parts = [Part(hit.chunk.text, "data", str(number)) for number, hit in enumerate(hits, 1)]
        return [Message("system", self.prompt(task)), Message("user", (*parts, Part(task)))]

    def prompt(self, task: str) -> str:
        return self.p.instruction_zh if HAN.search(task) else self.p.instruction_en

    def answer(self, text: str, finish: str, hits: Sequence[Hit]) -> Answer:
        cited = self.cited(text, hits)
        if finish == "length":
            return Answer(text, cited, "stopped", "the reply was cut")
        if finish == "content_filter" or not text.strip():
            return Answer(text, cited, "declined", "the model did not answer")
        return Answer(text, cited)

    def cited(self, text: str, hits: Sequence[Hit]) -> tuple[Citation, ...]:
        return tuple(claim.citation for claim in claims(text, hits) if claim.citation)


@judged("test_a_task_is_answered")
class Silent(Right):
    """Says the draft, and answers something else."""

    def answer(self, text: str, finish: str, hits: Sequence[Hit]) -> Answer:
        found = super().answer(text, finish, hits)
        return Answer(f"In short: {found.text}", found.citations, found.status, found.reason)


@judged("test_every_call_goes_through_the_run")
class Direct(Right):
    """Takes the proxy off."""

    def find(self, task: str) -> list[Hit]:
        return self.p.retriever._inner.search(task, 3)


@judged("test_every_call_goes_through_the_run")
class OwnThreads(Right):
    """Fans out by itself."""

    def find(self, task: str) -> list[Hit]:
        with ThreadPoolExecutor(2) as pool:
            first, _ = pool.map(lambda query: self.p.retriever.search(query, 3), (task, task.lower()))
        return first


@judged("test_the_task_reaches_the_model")
class Lower(Right):
    """Works on something like the task."""

    def messages(self, task: str, hits: Sequence[Hit]) -> list[Message]:
        return super().messages(task.replace("How", "Why").replace("怎样", "为何"), hits)


@judged("test_an_empty_task_is_refused")
class Willing(Right):
    """Asks a model about nothing."""

    def run(self, task: str, run: Any) -> Answer:
        return super().run(task if task.strip() else "?", run)


@judged("test_any_text_is_a_task")
class Encodes(Right):
    """Cannot take half a pair of surrogates."""

    def find(self, task: str) -> list[Hit]:
        return self.p.retriever.search(task.encode().decode(), 3)


@judged("test_citations_quote_their_source")
class ChunkSpans(Right):
    """Spans count from the chunk's beginning, not the document's."""

    def cited(self, text: str, hits: Sequence[Hit]) -> tuple[Citation, ...]:
        starts = {hit.chunk.document: hit.chunk.span.start for hit in reversed(hits)}
        return tuple(
            Citation(
                c.document, c.source, Span(c.span.start - starts[c.document], c.span.end - starts[c.document]), c.quote
            )
            for c in super().cited(text, hits)
        )


@judged("test_citations_quote_their_source")
class Trusting(Right):
    """Cites what the model says that it quotes."""

    def cited(self, text: str, hits: Sequence[Hit]) -> tuple[Citation, ...]:
        found = [(claim, hits[int(claim.label) - 1].chunk) for claim in claims(text, hits) if claim.quote]
        return tuple(Citation(c.document, c.document, c.span, claim.quote, claim.label) for claim, c in found)


@judged("test_what_was_found_is_data_and_no_instruction")
class Pastes(Right):
    """Passages in the words of the user."""

    def messages(self, task: str, hits: Sequence[Hit]) -> list[Message]:
        passages = "\n".join(hit.chunk.text for hit in hits)
        return [Message("system", self.prompt(task)), Message("user", f"{passages}\n{task}")]


@judged("test_a_reply_that_did_not_end_well_is_no_answer")
class Content(Right):
    """Does not look at how the reply ended."""

    def answer(self, text: str, finish: str, hits: Sequence[Hit]) -> Answer:
        return super().answer(text, "stop", hits)


@judged("test_a_budget_that_runs_out_stops_it_with_what_there_is")
class Unbudgeted(Right):
    """Lets the end of its budget through."""

    def find(self, task: str) -> list[Hit]:
        try:
            return super().find(task)
        except Exhausted as error:
            raise CallError(error.message, hint=error.hint) from error


@judged("test_a_budget_that_runs_out_stops_it_with_what_there_is")
class AllOrNothing(Right):
    """Throws away what had come."""

    def run(self, task: str, run: Any) -> Answer:
        answer = super().run(task, run)
        return Answer("", status="stopped", reason=answer.reason) if answer.status == "stopped" else answer


@judged("test_a_failure_of_a_model_reaches_the_caller")
class Apologises(Right):
    """An answer where there was a failure."""

    def run(self, task: str, run: Any) -> Answer:
        try:
            return super().run(task, run)
        except CallError:
            if not task.strip():
                raise
            return Answer("Sorry, something went wrong.")


@judged("test_cancelling_ends_it")
class Unstoppable(Right):
    """Catches everything."""

    def run(self, task: str, run: Any) -> Answer:
        try:
            return super().run(task, run)
        except Cancelled:
            return Answer("", status="stopped", reason="cancelled")


@judged("test_runs_at_the_same_time_do_not_mix")
class Stateful(Right):
    """Keeps the task in the object."""

    def run(self, task: str, run: Any) -> Answer:
        self.task, self.text = task, ""
        return super().run(task, run)

    def find(self, task: str) -> list[Hit]:
        return super().find(self.task)

    def answer(self, text: str, finish: str, hits: Sequence[Hit]) -> Answer:
        found = super().answer(text, finish, hits)
        return Answer(text, found.citations, found.status, found.reason, data={"task": self.task})


@judged("test_calls_leave_nothing_behind")
class Caches(Right):
    """Learns from the runs before."""

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.count, self.lock = 0, threading.Lock()

    def answer(self, text: str, finish: str, hits: Sequence[Hit]) -> Answer:
        with self.lock:
            self.count += 1
        found = super().answer(text, finish, hits)
        return Answer(text, found.citations, found.status, found.reason, data={"runs": self.count})


@judged("test_replay_gives_the_same_without_a_model")
class Clocked(Right):
    """The time in the prompt, from the machine's clock."""

    def messages(self, task: str, hits: Sequence[Hit]) -> list[Message]:
        system, user = super().messages(task, hits)
        return [system, Message("user", (*user.parts, Part(f"It is {time.time()}, {uuid.uuid4().hex}.")))]


@judged("test_every_prompt_is_a_parameter_in_both_languages")
class HardCoded(Right):
    """Words that nobody can see or set."""

    def prompt(self, task: str) -> str:
        return "You are a careful librarian who answers briefly and well."


@judged("test_the_language_of_the_task_chooses_the_prompt")
class English(Right):
    """One prompt for all."""

    def prompt(self, task: str) -> str:
        return self.p.instruction_en


@judged("test_it_works_as_a_child")
class Rooted(Right):
    """Needs to be the whole run."""

    def run(self, task: str, run: Any) -> Answer:
        if run.name:
            raise CallError("this pattern is no member", hint="run it alone")
        return super().run(task, run)


@judged("test_it_keeps_its_own_promises")
class Searches(Right):
    """Searches twice."""

    def find(self, task: str) -> list[Hit]:
        super().find(task)
        return super().find(task)
