"""llm.extractive: the documents' own sentences as answers, quoted and cited, or that they do not answer. No model."""

from __future__ import annotations

from typing import Any

import attrs
from dougong import Embedder, Technique, hookimpl


def _not_blank(instance: Any, attribute: Any, value: str) -> None:
    if not value.strip():
        raise ValueError("must be a text; leave the parameter out for its default")


def _share(instance: Any, attribute: Any, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError("must be from 0 to 1; 0 answers always")


def _positive(instance: Any, attribute: Any, value: int) -> None:
    if value < 1:
        raise ValueError("must be at least 1")


@attrs.frozen
class Params:
    """How much to quote, when to decline, and in which words.

    quotes: sentences quoted at most; the second and third only where they are at least half as likely as the first.
    threshold: confidence, 0 to 1, below which the question is declined. Confidence is the probability that the first
        quote holds the answer, where every second question has an answer at all.
    embedder: compares meanings besides words, for questions in English: the weights were fitted with ``minilm``, which
        reads English. None: words alone.
    max_tokens: length of a quote at most, in words and punctuation marks; a longer sentence is cut to its best clauses.
    declined_en, declined_zh: the reply where the passages do not answer, to a question in English and in Chinese.
    unsure_en, unsure_zh: the reason given then. other_language_en, other_language_zh: the reason where passages are in
        another language than the question.
    """

    quotes: int = attrs.field(default=3, validator=_positive)
    threshold: float = attrs.field(default=0.07, validator=_share)
    max_tokens: int = attrs.field(default=60, validator=_positive)
    embedder: Embedder | None = None
    declined_en: str = attrs.field(default="The documents do not answer this.", validator=_not_blank)
    declined_zh: str = attrs.field(default="文档没有回答这个问题。", validator=_not_blank)
    unsure_en: str = "No sentence of the passages answers the question clearly enough."
    unsure_zh: str = "检索到的段落中没有哪一句足够明确地回答这个问题。"
    other_language_en: str = (
        "The question and the documents are in different languages; the extractive model compares words and does not "
        "translate. Ask in the documents' language, or use a generating model."
    )
    other_language_zh: str = (
        "提问与文档的语言不同；摘录模型只比较词语，不会翻译。请用文档的语言提问，或改用生成式模型。"
    )


@hookimpl
def dougong_llms() -> list[Technique]:
    return [
        Technique(
            "extractive",
            Params,
            "dougong_llm_extractive.extractive:Extractive",
            summary="The sentences that answer, quoted and cited, or 'not found': no model, offline.",
            source="dougong; answer sentence selection by conditional logit, fitted on halves of SQuAD and CMRC2018",
        )
    ]
