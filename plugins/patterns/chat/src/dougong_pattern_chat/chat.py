"""One message of a conversation: recall, answer, remember."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from dougong import Answer, CallError, Exhausted, Message, Part, Run
from dougong_analyzer import language

from dougong_pattern_chat import Params
from dougong_pattern_chat.store import Conversations

Turn = Mapping[str, Any]


class Chat:
    """A conversation that the run's session remembers.

    What was said before is read, and the new turn written, as values from outside the run: a run that is resumed reads
    its journal instead, and a turn has an id, so that none is stored twice. A turn is stored once it is answered.
    `Answer.data`: ``session``, ``turns`` (so many came before), ``shown`` (so many of them the model saw) and
    ``summary``, where one stood for the others.
    """

    def __init__(self, params: Params) -> None:
        self._params, self._conversations = params, Conversations(params.path)

    def run(self, task: str, run: Run) -> Answer:
        """The reply to the message `task`. Raises CallError for an empty one, StoreError where the conversation cannot
        be read or written, and what the model raises."""
        if not task.strip():
            raise CallError("the message is empty", hint="say something")
        p = self._params
        # "/writer" is a child of a run that has no session: nobody else's memory
        session = run.session if run.session.partition("/")[0] else p.session and p.session + run.session
        chinese = language(task) == "zh"
        turn, past = self._recalled(session, run) if session else ("", [])
        turns = [line for line in past if "summary" not in line]
        data: dict[str, Any] = {"session": session, "turns": len(turns), "shown": 0}
        reply: list[str] = []
        finish = ""
        try:
            shown, summary = self._window(session, turn, turns, past, chinese, run)
            data["shown"] = len(shown)
            messages = self._messages(shown, summary, task, chinese)
            if summary:
                data["summary"] = summary
            for delta in p.llm.chat(messages):
                finish = delta.finish or finish
                if delta.text:
                    reply.append(delta.text)
                    run.say(delta.text)
        except Exhausted as error:
            return Answer("".join(reply), status="stopped", reason=error.message, usage=run.usage, data=data)
        text = "".join(reply)
        if finish == "content_filter":
            reason = "模型的内容过滤拦下了回答。" if chinese else "The model's content filter withheld the answer."
            return Answer(text, status="declined", reason=reason, usage=run.usage, data=data)
        if not text.strip():
            reason = "模型的回复是空的。" if chinese else "The model replied with nothing."
            return Answer(text, status="stopped", reason=reason, usage=run.usage, data=data)
        self._remember(session, {"turn": turn, "user": task, "assistant": text}, run)
        if finish == "length":
            reason = "回答达到长度上限而被截断。" if chinese else "The reply was cut at its maximum of tokens."
            return Answer(text, status="stopped", reason=reason, usage=run.usage, data=data)
        return Answer(text, usage=run.usage, data=data)

    def _recalled(self, session: str, run: Run) -> tuple[str, Sequence[Turn]]:
        """A fresh id for this turn, and what was said before."""
        turn = run.outside("turn", lambda: uuid.uuid4().hex)
        return turn, run.outside("conversation", lambda: self._conversations.load(session))

    def _window(
        self, session: str, turn: str, turns: Sequence[Turn], past: Sequence[Turn], chinese: bool, run: Run
    ) -> tuple[Sequence[Turn], str]:
        """The turns that the model is shown, and a summary of those before them; empty where there is none."""
        p = self._params
        if p.older == "drop":
            return turns[len(turns) - self._fitting(turns, p.max_tokens, p.max_turns) :], ""
        last: Turn = next((line for line in reversed(past) if "summary" in line), {"summary": "", "turns": 0})
        summary, covered = last["summary"], last["turns"]
        recent = turns[covered:]
        if self._fitting(recent, p.max_tokens, p.max_turns) == len(recent):
            return recent, summary
        # Half the limits, so that a summary serves several turns before it must be renewed.
        keep = self._fitting(recent, p.max_tokens // 2, p.max_turns // 2)
        summary = self._summary(summary, recent[: len(recent) - keep], chinese)
        line = {"turn": turn, "summary": summary, "turns": len(turns) - keep}
        self._remember(session, line, run)
        return recent[len(recent) - keep :], summary

    def _fitting(self, turns: Sequence[Turn], max_tokens: int, max_turns: int) -> int:
        """How many of the last turns keep within both limits."""
        tokens = 0
        for number, line in enumerate(reversed(turns)):
            tokens += self._params.tokenizer.count(line["user"]) + self._params.tokenizer.count(line["assistant"])
            if tokens > max_tokens or number == max_turns:
                return number
        return len(turns)

    def _summary(self, before: str, turns: Sequence[Turn], chinese: bool) -> str:
        p = self._params
        names = ("用户：", "助手：") if chinese else ("User: ", "Assistant: ")
        said = [f"{names[0]}{line['user']}\n{names[1]}{line['assistant']}" for line in turns]
        parts = [
            Part(text, "data", source) for text, source in ((before, "summary"), ("\n".join(said), "turns")) if text
        ]
        wish = Part(p.summary_zh if chinese else p.summary_en)
        text = "".join(delta.text for delta in p.llm.chat([Message("user", (*parts, wish))])).strip()
        if not text:
            raise CallError(
                "the model's summary of the conversation is empty", hint="set older: drop, or another model"
            )
        return text

    def _messages(self, turns: Sequence[Turn], summary: str, task: str, chinese: bool) -> list[Message]:
        p = self._params
        system = p.system_zh if chinese else p.system_en
        content = (Part(system), Part(summary, "data", "summary")) if summary else system
        said = [
            message
            for line in turns
            for message in (Message("user", line["user"]), Message("assistant", line["assistant"]))
        ]
        return [Message("system", content), *said, Message("user", task)]

    def _remember(self, session: str, line: Turn, run: Run) -> None:
        if session:
            run.outside("remembered", partial(self._conversations.append, session, line))
