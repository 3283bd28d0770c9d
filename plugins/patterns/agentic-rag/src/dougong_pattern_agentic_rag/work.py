"""One run of the pattern: which way it goes, and the loop of searching and writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from dougong import Answer, CallError, Cancelled, Diverged, Exhausted, Hit, Part, Run, StoreError, Tool

from dougong_pattern_agentic_rag import Params, figures, plan
from dougong_pattern_agentic_rag.ask import messages
from dougong_pattern_agentic_rag.desk import Desk, listing
from dougong_pattern_agentic_rag.plan import Route, Step
from dougong_pattern_agentic_rag.search import Search
from dougong_pattern_agentic_rag.writing import Writer


class Work:
    """The state of one run, in three parts: what is known, what was found, what is written."""

    def __init__(self, params: Params, question: str, past: Sequence[Mapping[str, Any]], run: Run) -> None:
        self.desk = Desk(params, question, run)
        self.search = Search(self.desk)
        self.writer = Writer(self.desk, self.search)
        self.past, self.sources = past, list(params.sources)

    def answer(self) -> Answer:
        """The answer. Raises Exhausted; `stopped` then gives what there is."""
        if not self.desk.p.decide:
            return self._searched([[Step(1, self.desk.question, self.sources, whole=True)]])
        if self.past:
            self._in_full([Part(f"{line['user']}\n{line['assistant']}", "data", "conversation") for line in self.past])
        route = self._route()
        if route.kind == "unclear":
            try:
                told = self.desk.run.ask(route.ask)
            except Exhausted:
                raise
            except CallError:
                self.desk.data["ask"] = route.ask
                return self.writer.ended(route.ask, "declined", self.desk.reason("unclear"))
            self.desk.correct("unclear", "asked")
            self._in_full([Part(f"{self.desk.question}\n{route.ask}\n{told}", "data", "conversation")])
            route = self._route()
        self.desk.data["route"] = kind = route.kind if route.kind != "unclear" else "single"
        self.desk.run.emit("route", way=kind, source=route.source, tool=route.tool)
        if kind == "none":
            return self.writer.replied(self.desk.prompts.direct, [])
        if kind == "tool":
            tool = next(tool for tool in self.desk.p.tools if tool.name == route.tool)
            answer = self._from_tool(tool)
            if answer is not None:
                return answer
        first = [[Step(1, self.desk.question, plan.ordered(self.sources, route.source), whole=True)]]
        return self._searched(self._divided(first) if kind == "multi" else first)

    def _searched(self, levels: list[list[Step]]) -> Answer:
        """Search by levels, and again for what is missing, until it suffices; then the checked answer."""
        seen: tuple[list[Hit], list[Part]] = ([], [])
        missing = ""
        while True:
            several = self.desk.p.decide and len(self.search.steps) + sum(map(len, levels)) > 1
            for level in levels:
                self.search.level(level, several)
            known = (self.search.passages(), self.search.answers())
            if known != seen:  # asked the same, a model says the same
                seen, missing = known, self.search.missing()
                answer = self.writer.written() if seen[0] and not missing else None
                if answer is not None:
                    return answer
            levels = self.search.further(missing)
            if not levels:
                if not self.search.passages():
                    return self.writer.declined(self.desk.reason("nothing"))
                detail = f": {missing}" if missing else ""
                return self.writer.declined(self.desk.reason("missing").rstrip("。") + detail)

    def _in_full(self, conversation: Sequence[Part]) -> None:
        read = partial(plan.text, key="question", empty=False)
        put = self.desk.decide("standalone", self.desk.prompts.standalone, conversation, plan.QUESTION, read)
        self.desk.question = put or self.desk.question
        self.desk.data["question"] = self.desk.question

    def _route(self) -> Route:
        tools = {tool.name: tool.description for tool in self.desk.p.tools}
        prompt = self.desk.listed(self.desk.prompts.route).replace("{tools}", listing(tools))
        read = partial(plan.route, sources=self.sources, tools=list(tools))
        route = self.desk.decide("route", prompt, self.desk.put(), plan.ROUTE, read)
        return route or Route("single" if self.sources else "none")

    def _divided(self, whole: list[list[Step]]) -> list[list[Step]]:
        """The question as a graph of sub-questions; `whole` where the model makes none."""
        p = self.desk.p
        read = partial(plan.steps, sources=self.sources, done={}, count=p.questions, hops=p.hops, empty=False)
        prompt = self.desk.limits(self.desk.listed(self.desk.prompts.decompose), p.questions, p.hops)
        levels = self.desk.decide("decompose", prompt, self.desk.put(), plan.STEPS, read) or whole
        self.desk.run.emit("plan", levels=[[step.question for step in level] for level in levels])
        return levels

    def _from_tool(self, tool: Tool) -> Answer | None:
        """The answer from a tool's result; None where there is none and a source can be searched."""
        request = messages(self.desk.prompts.call, self.desk.put(), self.desk.task)
        calls = [call for delta in self.desk.p.llm.chat(request, [tool]) for call in delta.tool_calls]
        failed = "the model did not call it"
        if calls and calls[0].name == tool.name:
            try:
                result = tool.call(calls[0].arguments)
            except (Cancelled, Diverged, StoreError, Exhausted):
                raise
            except Exception as error:  # read back from a journal it is a CallError with the same text
                failed = str(error)
            else:
                if not result.error:
                    text = f"{dict(calls[0].arguments)}\n{result.text}"
                    answer = self.writer.replied(self.desk.prompts.result, [Part(result.text, "data", tool.name)])
                    known = [text, self.desk.task, self.desk.question]
                    self.desk.data["unsupported"] = figures.unsupported(answer.text, known)
                    return answer
                failed = result.text
        self.desk.data["tool"] = failed
        self.desk.correct("tool failed", "search" if self.sources else "declined")
        return None if self.sources else self.writer.declined(f"{self.desk.reason('tool')}: {failed}")

    def stopped(self, reason: str) -> Answer:
        """What there is when something ran out."""
        return self.writer.stopped(reason)
