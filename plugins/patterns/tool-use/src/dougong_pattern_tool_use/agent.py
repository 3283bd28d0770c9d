"""The loop: model, tool calls, results, model, until there is an answer or a reason to stop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import attrs
from dougong import (
    Answer,
    CallError,
    Cancelled,
    Diverged,
    DougongError,
    Exhausted,
    Message,
    Part,
    Run,
    StoreError,
    Tool,
    ToolCall,
    ToolResult,
)
from dougong_analyzer import language

from dougong_pattern_tool_use import Notes, Params
from dougong_pattern_tool_use.guard import Guard


@attrs.define
class Turn:
    """What the model said and called in one turn, and what the calls gave."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    malformed: dict[str, str] = attrs.field(factory=dict)
    finish: str = ""
    results: Sequence[ToolResult | Exhausted | None] = ()  # none where the turn was broken off before

    def data(self) -> dict[str, Any]:
        calls = [
            {"name": call.name, "arguments": call.arguments, "result": result.text, "error": result.error}
            for call, result in zip(self.calls, self.results)
            if isinstance(result, ToolResult)
        ]
        return {"text": self.text, "calls": calls}


class ToolUse:
    """A model with tools. The answer's text is what the model says in its last turn; all turns are said as they come.

    Stops: the model calls no tool (``answered``); the steps are used up, the model repeats a forbidden call, the
    budget runs out, or the reply is cut or empty (``stopped``, with the reason); a content filter (``declined``).
    Unknown tools, malformed and wrong arguments and failing tools are told to the model, which may mend them.
    `Answer.data` holds ``steps``: text and calls of each turn. Calls of one turn run at the same time where all of
    them only read; else in order. A tool's output is a data part, never an instruction.
    """

    def __init__(self, params: Params) -> None:
        self._params = params
        self._tools: dict[str, Tool] = {}
        for tool in params.tools:
            if tool.name in self._tools:
                raise ValueError(f"two tools are called {tool.name!r}; give each a name of its own")
            self._tools[tool.name] = tool

    def run(self, task: str, run: Run) -> Answer:
        """The answer to `task`. Raises CallError for an empty task, and what the model raises."""
        question = task.strip()
        if not question:
            raise CallError("the task is empty", hint="say what is to be done")
        p = self._params
        chinese = language(question) == "zh"
        notes = p.notes_zh if chinese else p.notes_en
        messages = [Message("system", p.instruction_zh if chinese else p.instruction_en), Message("user", question)]
        guard, turns = Guard(p.repeats), list[Turn]()
        try:
            reason = ""
            for number in range(1, p.steps + 1):
                run.emit("step", number=number, of=p.steps)
                turn = self._ask(messages, p.tools, turns, run)
                if not turn.calls:
                    return _ended(turns, run, chinese)
                messages.append(Message("assistant", turn.text, turn.calls))
                messages += self._results(turn, guard, notes, run)
                if guard.finished:
                    reason = "模型反复发出同一个调用。" if chinese else "The model kept repeating one call."
                    break
            messages.append(Message("user", notes.finish))
            self._ask(messages, (), turns, run)
            limit = f"{p.steps} 步已用完。" if chinese else f"The {p.steps} steps were used up."
            return _stopped(turns, run, reason or limit)
        except Exhausted as error:
            return _stopped(turns, run, error.message)

    def _ask(self, messages: Sequence[Message], tools: Sequence[Tool], turns: list[Turn], run: Run) -> Turn:
        """The model's next turn, said piece by piece. It joins `turns` first, so that what was said stays said."""
        between = "\n\n" if any(turn.text for turn in turns) else ""
        turns.append(turn := Turn())
        for delta in self._params.llm.chat(tuple(messages), tools):
            if delta.text:
                run.say(delta.text if turn.text else between + delta.text)
                turn.text += delta.text
            turn.calls += delta.tool_calls if tools else ()
            turn.malformed.update(delta.data.get("malformed", {}))
            turn.finish = delta.finish or turn.finish
        return turn

    def _results(self, turn: Turn, guard: Guard, notes: Notes, run: Run) -> list[Message]:
        """A tool message for each call of `turn`. Raises Exhausted; what was made before stands in the turn."""
        forbidden = {index for index, call in enumerate(turn.calls) if guard.forbids(call)}
        refused = {index: ToolResult(notes.forbidden, error=True) for index in forbidden}
        for index, call in enumerate(turn.calls):
            if index in forbidden:
                continue
            if call.name not in self._tools:
                text = notes.unknown.replace("{tools}", ", ".join(self._tools)).replace("{name}", call.name)
                refused[index] = ToolResult(text, error=True)
            elif call.id in turn.malformed:
                refused[index] = ToolResult(notes.malformed.replace("{reason}", turn.malformed[call.id]), error=True)
        for index in sorted(refused):
            run.emit("refused", call=turn.calls[index], result=refused[index])
        made = {**refused, **self._made(turn.calls, [i for i in range(len(turn.calls)) if i not in refused], run)}
        turn.results = [made.get(index) for index in range(len(turn.calls))]
        messages = []
        for index, call in enumerate(turn.calls):
            result = turn.results[index]
            if result is None or isinstance(result, Exhausted):
                raise next(item for item in made.values() if isinstance(item, Exhausted))
            repeated = index not in forbidden and guard.repeated(call, result)
            messages.append(self._message(call, result, notes.repeated if repeated else "", notes.cut))
        return messages

    def _made(self, calls: Sequence[ToolCall], indices: Sequence[int], run: Run) -> dict[int, ToolResult | Exhausted]:
        """The results of the calls at `indices`: at the same time where all only read, else in order until one fails
        for want of budget."""
        if len(indices) > 1 and all(self._tools[calls[index].name].effect == "read" for index in indices):
            return dict(zip(indices, run.parallel([partial(self._call, calls[i]) for i in indices]), strict=True))
        made: dict[int, ToolResult | Exhausted] = {}
        for index in indices:
            made[index] = self._call(calls[index])
            if isinstance(made[index], Exhausted):
                break
        return made

    def _call(self, call: ToolCall) -> ToolResult | Exhausted:
        try:
            return self._tools[call.name].call(call.arguments)
        except (Cancelled, Diverged, StoreError):
            raise
        except Exhausted as error:
            return error  # handed on as a value, so that the other calls of the turn keep their results
        except DougongError as error:
            return ToolResult(f"{error.message}; {error.hint}" if error.hint else error.message, error=True)
        except Exception as error:  # a read-back error is a CallError with this text: the model is told the same
            return ToolResult(f"{type(error).__name__}: {error}", error=True)

    def _message(self, call: ToolCall, result: ToolResult, warning: str, cut: str) -> Message:
        text, limit = result.text, self._params.max_result
        if len(text) > limit:
            text = f"{text[:limit]}\n{cut.replace('{count}', str(len(text) - limit))}"
        data = Part(text, "data", call.name, {"error": True} if result.error else {})
        content = (Part(warning), data) if warning else (data,)
        return Message("tool", content, tool_call_id=call.id, name=call.name)


def _ended(turns: Sequence[Turn], run: Run, chinese: bool) -> Answer:
    """The model called nothing: its last turn is the answer, unless it says otherwise how it ended."""
    last = turns[-1]
    if last.finish == "content_filter":
        reason = "模型的内容过滤拦下了回答。" if chinese else "The model's content filter withheld the answer."
        return Answer(last.text, status="declined", reason=reason, usage=run.usage, data=_data(turns))
    if last.finish == "length":
        reason = "回答达到长度上限而被截断。" if chinese else "The reply was cut at its maximum of tokens."
        return _stopped(turns, run, reason)
    if not last.text.strip():
        return _stopped(turns, run, "模型的回复是空的。" if chinese else "The model replied with nothing.")
    return Answer(last.text, usage=run.usage, data=_data(turns))


def _stopped(turns: Sequence[Turn], run: Run, reason: str) -> Answer:
    """What there is: the last words that the model said, and every result so far."""
    text = next((turn.text for turn in reversed(turns) if turn.text.strip()), "")
    return Answer(text, status="stopped", reason=reason, usage=run.usage, data=_data(turns))


def _data(turns: Sequence[Turn]) -> dict[str, Any]:
    return {"steps": [turn.data() for turn in turns]}
