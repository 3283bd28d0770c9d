"""The writing half: a draft, each of its claims checked, and the figures of the sources compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from dougong import Answer, Citation, Hit, Part, Span
from dougong_pattern_rag.citations import cite, find
from dougong_pattern_rag.statements import Statement, split

from dougong_pattern_agentic_rag import figures, plan
from dougong_pattern_agentic_rag.ask import messages
from dougong_pattern_agentic_rag.desk import Desk, labelled, name_of, passage
from dougong_pattern_agentic_rag.search import Search


class Writer:
    """Writes the answer of a run, from what its search found."""

    def __init__(self, desk: Desk, search: Search) -> None:
        self.desk, self.search = desk, search
        self.draft, self.statements = "", list[Statement]()

    def written(self) -> Answer | None:
        """The checked answer; None where the model declines or no statement stands, the second time too."""
        hits = self.search.passages()
        prompt = self.desk.prompts.answer.replace("{declined}", self.desk.prompts.declined)
        extra: list[Part] = []
        for attempt in (1, 2):
            self.draft, self.statements = "", []
            finish, sent = self._draft(prompt, [*labelled(hits), *extra])
            if finish == "content_filter":
                return self.ended(self.draft, "declined", self.desk.reason("filter"))
            self.statements = statements = split(self.draft, hits)
            if not self.draft.strip() or (
                find(self.desk.prompts.declined.rstrip(".。"), self.draft) and all(s.fault for s in statements)
            ):
                return None
            self._check(statements)
            standing = [s for s in statements if not s.fault]
            dropped = [{"text": s.text.strip(), "fault": s.fault} for s in statements if s.fault]
            self.desk.run.emit("check", standing=len(standing), dropped=dropped)
            self.desk.data.setdefault("dropped", []).extend(dropped)
            if finish == "length":
                return self._stated(standing or statements, hits, sent, "stopped", self.desk.reason("cut"))
            if standing:
                if dropped:
                    self.desk.correct("unsupported claim", "drop")
                return self._stated(standing, hits, sent)
            if attempt == 1:
                self.desk.correct("unsupported claim", "answer again")
                extra = [Part("\n".join(d["text"] for d in dropped), "data", "unsupported")]
                if not self.desk.p.decide:
                    break
        self.desk.correct("unsupported claim", "give up")
        return None

    def replied(self, prompt: str, data: Sequence[Part]) -> Answer:
        """What the model says without passages, as it came."""
        finish, _ = self._draft(prompt, data)
        if finish == "content_filter":
            return self.ended(self.draft, "declined", self.desk.reason("filter"))
        if finish == "length" or not self.draft.strip():
            return self.ended(self.draft, "stopped", self.desk.reason("cut" if finish == "length" else "empty"))
        return self.ended(self.draft, "answered", "")

    def declined(self, reason: str) -> Answer:
        """That nothing supports an answer, and why."""
        return self.ended(self.desk.prompts.declined, "declined", reason)

    def stopped(self, reason: str) -> Answer:
        """What there is when something ran out: of a whole draft what stood so far, of a part of one all, else the
        sub-answers' quotes."""
        hits = self.search.passages()
        statements = [s for s in self.statements if not s.fault] if self.statements else split(self.draft, hits)
        citations = [c for s in statements for c in s.citations]
        text = "".join(s.text for s in statements).strip() if self.statements else self.draft
        if not text:
            quotes = [step.quote for step in self.search.steps if step.quote is not None]
            citations = [cite(hit, Span(start, end), str(_label(hit, hits))) for hit, start, end in quotes]
            text = "\n".join(f"“{c.quote}” [{c.label}]" for c in citations)
        return self.ended(text, "stopped", reason, citations)

    def ended(
        self, text: str, status: Any, reason: str, citations: Sequence[Citation] = (), confidence: float | None = None
    ) -> Answer:
        """The answer, said, with the record of the run."""
        if text:
            self.desk.run.say(text)
        self.desk.data["degraded"].sort(key=lambda d: (d["step"], d["reason"]))
        self.desk.data["steps"] = [
            {"id": s.id, "question": s.question, "answer": s.answer, "queries": [list(pair) for pair in s.tried],
             "passages": len(s.hits)}
            for s in self.search.steps
        ]  # fmt: skip
        return Answer(text, tuple(citations), status, reason, confidence, self.desk.run.usage, self.desk.data)

    def _draft(self, prompt: str, data: Sequence[Part]) -> tuple[str, Mapping[str, Any]]:
        """How the model's reply finished and what it sent along; its text grows in `draft`."""
        finish, sent = "", dict[str, Any]()
        question = [*self.desk.put(), *self.search.answers()] if self.desk.p.decide else []
        for delta in self.desk.p.llm.chat(messages(prompt, [*data, *question], self.desk.task)):
            self.draft += delta.text
            finish = delta.finish or finish
            sent.update(delta.data)
        return finish, sent

    def _check(self, statements: Sequence[Statement]) -> None:
        """Give each statement that does not stand its fault: figures by rule, sense by the model."""
        for s in statements:
            texts = [hit.chunk.text for hit in s.passages]
            if not s.fault and figures.unsupported(s.words, [*texts, self.desk.task, self.desk.question]):
                s.fault = "figure"
        claims = [s for s in statements if not s.fault and not s.bare]
        if not claims or not self.desk.p.decide:
            return
        cited = list({name_of(hit): hit for s in claims for hit in s.passages}.values())
        hits = self.search.passages()
        passages = [passage(hit, _label(hit, hits)) for hit in cited]
        data = [Part(s.text.strip(), "data", f"claim {number}") for number, s in enumerate(claims, 1)]
        read = partial(plan.supported, count=len(claims))
        supported = self.desk.decide("check", self.desk.prompts.check, [*data, *passages], plan.CLAIMS, read)
        for number, s in enumerate(claims, 1):
            if supported is not None and number not in supported:
                s.fault = "not-said"

    def _stated(
        self, statements: Sequence[Statement], hits: Sequence[Hit], sent: Mapping[str, Any], status: str = "answered",
        reason: str = "",
    ) -> Answer:  # fmt: skip
        """The statements that stand, and what contradicts them, with its source."""
        text = "".join(s.text for s in statements).strip()
        citations = [c for s in statements for c in s.citations]
        notes, found = list[str](), list[dict[str, Any]]()
        known = {(c.document, c.span) for c in citations}
        for first in list(citations):
            for number, hit in enumerate(hits, 1):
                for start, end in figures.sentence_conflicts(first.quote, hit.chunk.text):
                    second = cite(hit, Span(start, end), str(number))
                    if any({first.quote, second.quote} == {f["first"], f["second"]} for f in found):
                        continue
                    labels = [first.label, second.label]
                    found.append({"first": first.quote, "second": second.quote, "labels": labels})
                    quotes = {"first": f"“{first.quote}” [{first.label}]", "second": f"“{second.quote}” [{number}]"}
                    notes.append(_filled(self.desk.prompts.disagree, quotes))
                    if (second.document, second.span) not in known:
                        known.add((second.document, second.span))
                        citations.append(second)
        if found:
            self.desk.data["contradictions"] = found
            self.desk.correct("contradiction", "state both")
        return self.ended("\n".join([text, *notes]), status, reason, citations, sent.get("confidence"))


def _label(hit: Hit, hits: Sequence[Hit]) -> int:
    return list(map(name_of, hits)).index(name_of(hit)) + 1


def _filled(text: str, values: Mapping[str, str]) -> str:
    """`text` with its places filled at one go: a quote may hold braces of its own."""
    first, _, rest = text.partition("{first}")
    middle, _, last = rest.partition("{second}")
    return first + values["first"] + middle + values["second"] + last
