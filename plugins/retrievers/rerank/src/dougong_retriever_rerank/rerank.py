"""Listwise ranking in sliding windows."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dougong import CallError, Exhausted, Hit, Message, Part, Sampling, report
from dougong_analyzer import language

from dougong_retriever_rerank import Params

log = logging.getLogger("dougong.retriever.rerank")

# A character of Chinese, Japanese or Korean, or a run of others.
_CJK = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_CJK}]|[^\s{_CJK}]+")
_NUMBER = re.compile(r"\d+")  # full-width digits, too


class Rerank:
    """The best of `pool` candidates, as a model ranks them; scores are ``1 / rank``.

    Windows go from the tail to the head and overlap, the last one ending at the head: every candidate is in one, at any
    length. (RankGPT's own code asks nothing for fewer than `window` candidates, and leaves out the head where what
    is above the window is no multiple of `step`.)

    Where the model fails (CallError) or names no number, the hits are those of the wrapped retriever, scores included;
    a warning is logged and the run told (``progress`` event ``rerank``). A budget's end (Exhausted) and Cancelled are
    raised: what to do without a ranking is for the pattern to say.

    Source: Sun et al. 2023, section 3.2, and ``rank_gpt.py`` of its authors.
    """

    def __init__(self, params: Params) -> None:
        self._params = params

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        p = self._params
        found = p.of.search(query, max(p.pool, k), where)
        ranked = found[: p.pool]
        spans = list(windows(len(ranked), p.window, p.step))
        try:
            for done, (start, end) in enumerate(spans):
                report("rerank", done, len(spans))
                ranked[start:end] = self._rank(query, ranked[start:end])
        except Exhausted:
            raise
        except CallError as error:
            log.warning("hits are in the order of the wrapped retriever: the model did not rank them (%s)", error)
            report("rerank", 0, len(spans), f"not ranked: {error.message}")
            return found[:k]
        ranked += found[p.pool :]
        return [Hit(hit.chunk, 1 / rank) for rank, hit in enumerate(ranked[:k], 1)]

    def _rank(self, query: str, hits: Sequence[Hit]) -> list[Hit]:
        p = self._params
        prompt = p.prompt_zh if language(query) == "zh" else p.prompt_en
        passages = (
            Part(beginning(hit.chunk.index_text, p.words), "data", str(number)) for number, hit in enumerate(hits, 1)
        )
        messages = [
            Message("system", prompt.replace("{count}", str(len(hits)))),
            Message("user", (*passages, Part(query))),
        ]
        reply = "".join(delta.text for delta in p.llm.chat(messages, sampling=Sampling(temperature=0.0)))
        return [hits[at] for at in order(reply, len(hits))]


def windows(count: int, window: int, step: int) -> Iterator[tuple[int, int]]:
    """``[start, end)`` of each window, tail first, the last at 0. None for fewer than two candidates."""
    end = count
    while count > 1:
        start = max(0, end - window)
        yield start, end
        if start == 0:
            return
        end -= step


def order(reply: str, count: int) -> list[int]:
    """Positions from 0, each once: those that the reply numbers (from 1), then the others as they stood.

    Numbers out of range and repeated ones are passed over. Raises CallError where the reply has none that counts.
    """
    numbers = (int(digits) for digits in _NUMBER.findall(reply) if len(digits) < 10)
    named = [number - 1 for number in numbers if 1 <= number <= count]
    if not named:
        raise CallError("the model's ranking names no passage", hint="use a model that follows the prompt")
    return list(dict.fromkeys([*named, *range(count)]))


def beginning(text: str, words: int) -> str:
    """The first `words` words of a text, as they stand in it."""
    for number, word in enumerate(_WORD.finditer(text), 1):
        if number == words:
            return text[: word.end()]
    return text
