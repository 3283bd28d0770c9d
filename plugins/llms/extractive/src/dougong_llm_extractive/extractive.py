"""Answers by quoting: ranks the sentences of the passages, gives the best, or declines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dougong import CallError, Delta, Message, Sampling, Tool, Usage
from dougong_analyzer import language

from dougong_llm_extractive import Params
from dougong_llm_extractive.candidates import tokens
from dougong_llm_extractive.features import CONFIDENCE, FEATURES, Evidence, Passage, gather
from dougong_llm_extractive.meaning import MEANING, with_meaning
from dougong_llm_extractive.weights import CONFIDENCE_WEIGHTS, WEIGHTS

_RANKING = {fit: [row[name] for name in (*FEATURES, *MEANING) if name in row] for fit, row in WEIGHTS.items()}
_CALIBRATION = {fit: [row[name] for name in CONFIDENCE] for fit, row in CONFIDENCE_WEIGHTS.items()}
_MATCHES = FEATURES.index("soft") + 1  # the features that say whether any word is shared come first


class Extractive:
    """A chat model that writes nothing of its own.

    The question is the text of the last user message; passages are the data parts from that message on. Every reply is
    one or more exact slices of the passages, ``“...” [label]``, or the sentence that declines. Candidates are ranked by
    a linear score of `FEATURES`, with an embedder of `MEANING` too; confidence is a logistic of `CONFIDENCE`. Tools and
    sampling change nothing.
    """

    def __init__(self, params: Params) -> None:
        self._params = params

    def chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        schema: Mapping[str, Any] | None = None,
        sampling: Sampling = Sampling(),
    ) -> Iterator[Delta]:
        """One delta a quote; the last delta has usage and ``data``: ``confidence``, ``quotes`` (each ``source``, the
        label; ``start``, ``end`` in that passage's text; ``text``) and, where it declines, ``reason``.

        Raises CallError where a schema is asked for or the messages hold no question.
        """
        if schema is not None:
            raise CallError("llm.extractive quotes sentences and cannot fill a schema", hint="use a generating model")
        question, passages = _read(messages)
        evidence = gather(question, passages, self._params.max_tokens)
        confidence, chosen = self._choose(evidence, question)
        quotes = [_quote(evidence, i) for i in chosen]
        data: dict[str, Any] = {"confidence": confidence, "quotes": quotes}
        if quotes:
            pieces = [f"“{quote['text']}” [{quote['source']}]" for quote in quotes]
            pieces[1:] = [f"\n{piece}" for piece in pieces[1:]]
        else:
            declined, data["reason"] = self._decline(evidence)
            pieces = [declined]
        for piece in pieces:
            yield Delta(piece)
        read = len(tokens(question)) + sum(len(tokens(passage.text)) for passage in passages)
        yield Delta(finish="stop", usage=Usage(read, sum(len(tokens(piece)) for piece in pieces)), data=data)

    def _choose(self, evidence: Evidence, question: str) -> tuple[float, list[int]]:
        """Confidence in the best candidate, and the candidates to quote, best first: none below the threshold."""
        if not any(any(row[:_MATCHES]) for row in evidence.rows):
            return 0.0, []  # nothing to quote, or no word in common
        fit, rows = evidence.question.language, evidence.rows
        if fit == "en" and self._params.embedder is not None:
            fit, rows = "en-meaning", with_meaning(evidence, question, self._params.embedder)
        scores = [_dot(_RANKING[fit], row) for row in rows]
        z = _dot(_CALIBRATION[fit], evidence.confidence_features(scores))
        confidence = round(1 / (1 + math.exp(-z)), 4)
        if confidence < self._params.threshold:
            return confidence, []
        chosen: list[int] = []
        seen: set[object] = set()  # one window of a sentence, and what overlapping chunks share once
        for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
            candidate = evidence.candidates[i]
            if len(chosen) == self._params.quotes or scores[i] < max(scores) - math.log(2):
                break
            same = {(candidate.passage, candidate.sentence), evidence.text(i)}
            if seen.isdisjoint(same):
                seen |= same
                chosen.append(i)
        return confidence, chosen

    def _decline(self, evidence: Evidence) -> tuple[str, str]:
        """What to reply, and why."""
        p = self._params
        ours = evidence.question.language
        theirs = language(" ".join(passage.text[:2000] for passage in evidence.passages))
        foreign = bool(evidence.passages) and theirs != language(evidence.question.lower)
        if ours == "zh":
            return p.declined_zh, p.other_language_zh if foreign else p.unsure_zh
        return p.declined_en, p.other_language_en if foreign else p.unsure_en


def _dot(weights: Sequence[float], row: Sequence[float]) -> float:
    return sum(weight * value for weight, value in zip(weights, row))


def _read(messages: Sequence[Message]) -> tuple[str, list[Passage]]:
    last = max((i for i, message in enumerate(messages) if message.role == "user"), default=-1)
    question = messages[last].text.strip() if last >= 0 else ""
    if not question:
        raise CallError("llm.extractive was asked nothing", hint="put the question into the last user message")
    data = [part for message in messages[last:] for part in message.parts if part.kind == "data"]
    return question, [
        Passage(part.source or str(number), part.text, " ".join(part.meta.get("headings", ())))
        for number, part in enumerate(data, 1)
    ]


def _quote(evidence: Evidence, index: int) -> dict[str, Any]:
    c = evidence.candidates[index]
    label = evidence.passages[c.passage].label
    return {"source": label, "start": c.start, "end": c.end, "text": evidence.text(index)}
