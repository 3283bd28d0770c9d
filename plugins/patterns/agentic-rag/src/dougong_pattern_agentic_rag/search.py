"""The searching half: steps level by level, each corrected by the cause of its failure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from dougong import Hit, Part
from dougong_pattern_rag.citations import find

from dougong_pattern_agentic_rag import figures, plan
from dougong_pattern_agentic_rag.desk import Desk, labelled, name_of
from dougong_pattern_agentic_rag.plan import Step, Unusable, normal


class Search:
    """The steps of a run, what they found, and what was asked of which source."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.steps: list[Step] = []
        self.hop = 0
        self.found: dict[tuple[str, str], list[Hit]] = {}  # searches made, by source and normalised query

    def level(self, level: Sequence[Step], several: bool) -> None:
        """Work off steps that need nothing of each other, all at the same pace."""
        self.hop += 1
        answers = {step.id: step.answer for step in self.steps}
        self.steps += level
        going = [step for step in level if step.fill(answers)]
        asked = list(going)
        while going:
            going = self._round(going)
        graded = [step for step in asked if step.hits]
        if several and graded:
            for step, hop in zip(graded, self.desk.run.parallel([partial(self._hop, step) for step in graded])):
                if hop is not None:
                    step.answer, step.quote = hop

    def passages(self) -> list[Hit]:
        """What was found of use, each chunk once, in the order of the steps."""
        return list({name_of(hit): hit for step in self.steps for hit in step.hits}.values())

    def answers(self) -> list[Part]:
        """The sub-answers, as data."""
        return [Part(f"{s.filled} {s.answer}", "data", f"#{s.id}") for s in self.steps if s.answer]

    def missing(self) -> str:
        """What the passages lack; empty where they suffice."""
        if not self.desk.p.decide or not self.passages():
            return ""

        def read(data: dict[str, Any]) -> str:
            missing = plan.text(data, "missing")
            return "" if plan.truth(data, "sufficient") else missing or self.desk.question

        data = [*self.desk.put(), *self.answers(), *labelled(self.passages())]
        return self.desk.decide("sufficient", self.desk.prompts.sufficient, data, plan.SUFFICIENT, read) or ""

    def further(self, missing: str) -> list[list[Step]]:
        """What else to search for: further sub-questions; without decisions, the next source. Empty: nothing."""
        if not self.desk.p.decide:
            left = self.steps[-1].sources[1:]
            if left:
                self.desk.correct("not sufficient", "other source", self.steps[-1])
                for step in self.steps:
                    step.hits = []
            return [[Step(len(self.steps) + 1, self.desk.question, left, whole=True)]] if left else []
        hops, count = self.desk.p.hops - self.hop, self.desk.p.questions - len(self.steps)
        if not self.passages() or hops < 1 or count < 1:
            if self.passages():
                self.desk.correct("not sufficient", "give up")
            return []
        done = {step.id: bool(step.answer) for step in self.steps}
        read = partial(plan.steps, sources=list(self.desk.p.sources), done=done, count=count, hops=hops, empty=True)
        prompt = self.desk.limits(self.desk.listed(self.desk.prompts.further), count, hops)
        data = [*self.desk.put(), *self.answers(), Part(missing or self.desk.prompts.declined, "data", "missing")]
        levels = self.desk.decide("further", prompt, data, plan.STEPS, read) or []
        levels = [kept for level in levels if (kept := [step for step in level if not self._known(step)])]
        self.desk.correct("not sufficient", "decompose" if levels else "give up")
        return levels

    def _known(self, step: Step) -> bool:
        """Whether this was asked, of this source, before: it is not asked again."""
        answers = {other.id: other.answer for other in self.steps}
        return step.fill(answers) and self._key(step) in self.found

    def _round(self, steps: Sequence[Step]) -> list[Step]:
        """Search and grade once for each; those that are to try again, with what they try."""
        for step in steps:
            step.tried.append((step.sources[0], step.query))
        wanted: dict[tuple[str, str], Step] = {}
        for step in steps:
            if self._key(step) not in self.found:
                wanted.setdefault(self._key(step), step)
        searches = [partial(self._search, step.sources[0], step.query) for step in wanted.values()]
        self.found.update(zip(wanted, self.desk.run.parallel(searches)))
        full = [step for step in steps if self._fresh(step)]
        causes = {step.id: "off topic" if step in full else "nothing found" for step in steps}
        graded = self.desk.run.parallel([partial(self._graded, step) for step in full])
        for step, relevant in zip(full, graded):
            step.rejected |= set(map(name_of, self._fresh(step)))
            step.hits = relevant
        failed = [step for step in steps if not step.hits and self.desk.p.decide]
        again = [step for step in failed if causes[step.id] == "off topic" and self._elsewhere("off topic", step)]
        rewriting = [step for step in failed if step not in again and step.rewrites < self.desk.p.rewrites]
        rewritten = self.desk.run.parallel([partial(self._rewrite, step) for step in rewriting])
        for step, query in zip(rewriting, rewritten):
            step.rewrites += 1
            same = {normal(query) for source, query in step.tried if source == step.sources[0]}
            if query and normal(query) and normal(query) not in same:
                step.query = query
                self.desk.correct(causes[step.id], "rewrite", step)
                again.append(step)
            else:  # the same query is not asked twice
                causes[step.id] = "repeated"
        for step in failed:
            if step not in again:
                if self._elsewhere(causes[step.id], step):
                    again.append(step)
                else:
                    self.desk.correct(causes[step.id], "give up", step)
        return sorted(again, key=lambda step: step.id)

    def _elsewhere(self, cause: str, step: Step) -> bool:
        """Go to the step's next source; False where there is none."""
        if len(step.sources) == 1:
            return False
        step.sources = step.sources[1:]
        self.desk.correct(cause, "other source", step)
        return True

    def _fresh(self, step: Step) -> list[Hit]:
        """What the step's last search found that it has not turned down before."""
        return [hit for hit in self.found[self._key(step)] if name_of(hit) not in step.rejected]

    def _key(self, step: Step) -> tuple[str, str]:
        return step.sources[0], normal(step.query)

    def _search(self, source: str, query: str) -> list[Hit]:
        return self.desk.p.sources[source].search(query, self.desk.p.k)

    def _graded(self, step: Step) -> list[Hit]:
        hits = self._fresh(step)
        if not self.desk.p.decide:
            return hits
        read = partial(plan.grades, count=len(hits))
        data = [Part(step.filled, "data", "need"), *labelled(hits)]
        relevant = self.desk.decide("grade", self.desk.prompts.grade, data, plan.GRADES, read)
        return hits if relevant is None else [hits[number - 1] for number in relevant]

    def _rewrite(self, step: Step) -> str:
        tried = "\n".join(query for _, query in step.tried)
        data = [Part(step.filled, "data", "need"), Part(tried, "data", "tried")]
        read = partial(plan.text, key="query", empty=False)
        return self.desk.decide("search", self.desk.prompts.search, data, plan.QUERY, read) or ""

    def _hop(self, step: Step) -> tuple[str, tuple[Hit, int, int]] | None:
        """The short answer of a sub-question with the quote that it rests on; None where the passages have none."""

        def read(data: dict[str, Any]) -> tuple[str, tuple[Hit, int, int]] | None:
            answer, quote, number = plan.text(data, "answer"), plan.text(data, "quote"), data.get("passage")
            if not answer:
                return None
            if not isinstance(number, int) or not 1 <= number <= len(step.hits):
                raise Unusable(f"'passage' must be a number from 1 to {len(step.hits)}")
            hit = step.hits[number - 1]
            span = find(quote, hit.chunk.text)
            if span is None:
                raise Unusable(f"'quote' is not in passage {number}, word for word")
            if figures.unsupported(answer, [hit.chunk.text]):
                raise Unusable(f"'answer' has a figure that passage {number} has not")
            return " ".join(answer.split())[:200], (hit, span.start, span.end)

        data = [Part(step.filled, "data", "sub-question"), *labelled(step.hits)]
        return self.desk.decide("hop", self.desk.prompts.hop, data, plan.HOP, read)
