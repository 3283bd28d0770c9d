"""Retrieval-augmented generation: search, show the model what was found, answer with checked citations."""

from __future__ import annotations

from typing import Any, Literal

from dougong import Answer, CallError, Delta, Exhausted, Hit, Message, Part, Run
from dougong_analyzer import language

from dougong_pattern_rag import Params
from dougong_pattern_rag.citations import claims, find
from dougong_pattern_rag.statements import split


class RAG:
    """Retrieve k passages, ask, and give out only what the passages bear out as a citation.

    Passages travel as data parts labelled 1 to k, never as text that could instruct. The answer's text is the reply as
    the model wrote it, or what of it stands (``unverified: drop``). `Answer.data` holds ``unverified``, the quotes that
    their passage does not contain, ``uncited``, labels that stand without a quote, ``dropped``, statements left out.
    Source: Lewis et al. 2020 (RAG); Menick et al. 2022 (GopherCite).
    """

    def __init__(self, params: Params) -> None:
        self._params = params

    def run(self, task: str, run: Run) -> Answer:
        """The answer to `task`. Declined where nothing was found or the model declines or its content filter does;
        stopped where the reply was cut; the reason says which.

        Raises CallError for an empty question, and what retriever and model raise.
        """
        question = task.strip()
        if not question:
            raise CallError("the question is empty", hint="ask something, in words")
        p = self._params
        chinese = language(question) == "zh"
        declined = p.declined_zh if chinese else p.declined_en
        try:
            hits = p.retriever.search(question, p.k)
        except Exhausted as limit:
            return Answer("", status="stopped", reason=limit.message, usage=run.usage)
        if not hits:
            run.say(declined)
            reason = "没有检索到与问题相关的段落。" if chinese else "No passage was found for the question."
            return Answer(declined, status="declined", reason=reason, usage=run.usage)
        instruction = (p.instruction_zh if chinese else p.instruction_en).replace("{declined}", declined)
        reply, last, finish, ran_out = self._ask(_messages(instruction, hits, question), run)
        found = claims(reply, hits)
        data = {
            "unverified": [{"label": c.label, "quote": c.quote} for c in found if c.quote and not c.citation],
            "uncited": [c.label for c in found if not c.quote],
        }
        citations = tuple(c.citation for c in found if c.citation)
        status: Literal["answered", "declined", "stopped"] = "answered"
        reason = ""
        if ran_out is not None:
            status, reason = "stopped", ran_out.message
        elif finish == "length":
            status = "stopped"
            reason = "回答达到长度上限而被截断。" if chinese else "The reply was cut at its maximum of tokens."
        elif finish == "content_filter":
            status = "declined"
            reason = "模型的内容过滤拦下了回答。" if chinese else "The model's content filter withheld the answer."
        elif not reply.strip() or (not citations and find(declined.rstrip(".。"), reply)):
            status = "declined"
            reason = str(
                last.get("reason")
                or ("模型未能从检索到的段落中找到答案。" if chinese else "The model found no answer in the passages.")
            )
        if p.unverified == "drop":
            if status != "declined":
                statements = split(reply, hits)
                data["dropped"] = [s.text.strip() for s in statements if s.fault]
                reply = "".join(s.text for s in statements if not s.fault).strip()
            if not reply and status == "answered":
                reply, status = declined, "declined"
                reason = "没有一个论断得到段落的支持。" if chinese else "No statement is borne out by the passages."
            if reply:
                run.say(reply)
        return Answer(reply, citations, status, reason, last.get("confidence"), run.usage, data)

    def _ask(self, messages: list[Message], run: Run) -> tuple[str, dict[str, Any], str, Exhausted | None]:
        """The model's reply, said piece by piece unless some of it may be dropped, the extras it sent along and how it
        finished; and what ran out, if something did."""
        pieces: list[str] = []
        finish = ""
        data: dict[str, Any] = {}
        delta: Delta
        try:
            for delta in self._params.llm.chat(messages):
                if delta.text:
                    pieces.append(delta.text)
                    if self._params.unverified == "mark":
                        run.say(delta.text)
                data.update(delta.data)
                finish = delta.finish or finish
        except Exhausted as limit:
            return "".join(pieces), data, finish, limit
        return "".join(pieces), data, finish, None


def _messages(instruction: str, hits: list[Hit], question: str) -> list[Message]:
    passages = tuple(
        Part(hit.chunk.text, "data", str(label), {"headings": list(hit.chunk.headings), "score": hit.score})
        for label, hit in enumerate(hits, 1)
    )
    return [Message("system", instruction), Message("user", (*passages, Part(question)))]
