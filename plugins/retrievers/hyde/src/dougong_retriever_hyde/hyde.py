"""Hypothetical document embeddings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from dougong import CallError, Exhausted, Hit, Message, Part, Sampling, report
from dougong.run import active_run
from dougong_analyzer import language

from dougong_retriever_hyde import Params

log = logging.getLogger("dougong.retriever.hyde")


class HyDE:
    """Searches by ``v = (f(query) + sum f(answer_i)) / (n + 1)``, brought to unit length.

    An answer that fails (CallError) or is empty is left out. Where all are, the query is searched as it is; a warning
    is logged and the run told (``progress`` event ``hyde``). A budget's end (Exhausted) and Cancelled are raised.

    Source: Gao et al. 2023, equation 8, and ``src/hyde/hyde.py`` of its authors.
    """

    def __init__(self, params: Params) -> None:
        self._params = params
        if not callable(getattr(params.of, "search_vector", None)):
            raise ValueError("of has no search_vector(vector, k, where); use a dense index")
        self._index: Any = params.of

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        if not query.strip():
            return []
        answers = self._answers(query)
        if not answers:
            return self._params.of.search(query, k, where)
        found: list[Hit] = self._index.search_vector(self._vector(query, answers), k, where)
        return found

    def _vector(self, query: str, answers: list[str]) -> np.ndarray:
        embedder = self._params.embedder
        vectors = np.concatenate([embedder.embed([query], "query"), embedder.embed(answers)])
        mean = vectors.mean(axis=0)
        length = np.linalg.norm(mean)
        unit: np.ndarray = (mean / length if length > 0 else vectors[0]).astype(np.float32)
        return unit

    def _answers(self, query: str) -> list[str]:
        """What the model wrote, in the order of the calls."""
        run = active_run()
        calls = [partial(self._answer, query)] * self._params.answers
        replies = run.parallel(calls) if run is not None else [call() for call in calls]
        answers = [reply for reply in replies if isinstance(reply, str)]
        if len(answers) < len(replies):
            failed = next(reply for reply in replies if not isinstance(reply, str))
            told = f"{len(replies) - len(answers)} of {len(replies)} answers are missing: {failed}"
            log.warning("%s", told if answers else f"the query is searched as it is: {told}")
            report("hyde", len(answers), len(replies), told)
        return answers

    def _answer(self, query: str) -> str | CallError:
        p = self._params
        prompt = p.prompt_zh if language(query) == "zh" else p.prompt_en
        messages = [Message("system", prompt), Message("user", (Part(query),))]
        sampling = Sampling(temperature=p.temperature, max_tokens=p.max_tokens)
        try:
            reply = "".join(delta.text for delta in p.llm.chat(messages, sampling=sampling)).strip()
        except Exhausted:
            raise
        except CallError as error:
            return error
        return reply or CallError("the reply is empty")
