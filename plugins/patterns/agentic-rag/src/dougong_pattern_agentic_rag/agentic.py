"""The pattern: what belongs to all runs, and the conversation that a session remembers."""

from __future__ import annotations

import uuid
from functools import partial

from dougong import Answer, CallError, Exhausted, Run
from dougong_pattern_chat.store import Conversations

from dougong_pattern_agentic_rag import Params
from dougong_pattern_agentic_rag.work import Work


class AgenticRAG:
    """Retrieval that decides: which way, which source, what to ask next, whether it suffices, what may be said.

    Route (none, single, multi, tool, unclear), put the question in full, divide it into a graph of sub-questions with
    slots, search and grade level by level, judge whether it suffices, answer with quotes, check each claim: its quote
    by its span, its figures by rule, its sense by the model; compare the figures of the sources. What failed decides
    what is done about it:

    ==================  ==================================================================
    nothing was found   another query, then another source
    off topic           another source, then another query
    not sufficient      further sub-questions, while hops are left
    unsupported claim   dropped; where none is left, answered again, once
    contradiction       both figures are stated, with their sources
    question unclear    the person is asked; where nobody can be, the question is the answer
    malformed reply     asked once more with the reason, then the step is left out, named in ``degraded``
    ==================  ==================================================================

    `Answer.data`: ``route``, ``steps`` (``id question answer queries passages``), ``corrections`` (``cause action``),
    ``degraded`` (``step reason``), ``dropped`` (``text fault``), ``contradictions`` (``first second labels``),
    ``unsupported`` (figures of a tool answer that are not in its result), ``ask``, ``question`` as it was put in full.
    Nothing is said before it is checked. Everything but the person's words travels as data parts.
    """

    def __init__(self, params: Params) -> None:
        names = [tool.name for tool in params.tools]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two tools are called {min(twice)!r}; give each a name of its own")
        if unknown := sorted(set(params.about) - set(params.sources)):
            raise ValueError(f"about names {unknown[0]!r}, which is none of the sources")
        if not params.sources and (not params.tools or not params.decide):
            raise ValueError("sources is empty; name one, or tools for a model that decides")
        self._params, self._conversations = params, Conversations(params.memory)

    def run(self, task: str, run: Run) -> Answer:
        """The answer to `task`. Declined where the sources do not bear one out; stopped where something ran out, with
        what there is. Raises CallError for an empty task, and what model, sources and memory raise."""
        question = task.strip()
        if not question:
            raise CallError("the question is empty", hint="ask something, in words")
        session = run.session if run.session.partition("/")[0] else ""
        turn, past = "", []
        if session:
            turn = run.outside("turn", lambda: uuid.uuid4().hex)
            past = run.outside("conversation", lambda: self._conversations.load(session))
        work = Work(self._params, question, past[-self._params.turns :], run)
        try:
            answer = work.answer()
        except Exhausted as limit:
            answer = work.stopped(limit.message)
        if session and answer.text and answer.status != "stopped":
            line = {"turn": turn, "user": task, "assistant": answer.text}
            run.outside("remembered", partial(self._conversations.append, session, line))
        return answer
