"""pattern.agentic-rag: route, decompose, retrieve, grade, answer, check, correct by cause, ask back, or abstain."""

from __future__ import annotations

from pathlib import Path

import attrs
from attrs.validators import ge
from dougong import LLM, Retriever, Technique, Tool, hookimpl

from dougong_pattern_agentic_rag.prompts import Prompts, PromptsZh


@attrs.frozen
class Params:
    """From where, by whom, and how far it goes.

    sources: where passages come from, by name; the first is taken where the model names none.
    llm: decides and answers.
    tools: what the model may call in place of a search; no two of one name.
    about: what a source holds, by its name: the model chooses by this.
    decide: whether the model takes decisions. False for a model that fills no schema (``extractive``): then one search,
        in one source after the other until the model answers; quotes and figures are checked all the same.
    k: passages a search.
    hops: searches in sequence, of sub-questions that need each other and of those that follow on what is missing.
    questions: sub-questions in all.
    rewrites: of a query that found nothing of use.
    memory: folder of the conversations, a file a session; a run without a session remembers nothing.
    turns: of the conversation that the model sees to put the question in full.
    prompts_en, prompts_zh: every prompt, for a task in English and in Chinese.
    """

    sources: dict[str, Retriever]
    llm: LLM
    tools: list[Tool] = attrs.field(factory=list)
    about: dict[str, str] = attrs.field(factory=dict)
    decide: bool = True
    k: int = attrs.field(default=8, validator=ge(1))
    hops: int = attrs.field(default=4, validator=ge(1))
    questions: int = attrs.field(default=8, validator=ge(1))
    rewrites: int = attrs.field(default=2, validator=ge(0))
    memory: Path = Path(".dougong/agentic-rag")
    turns: int = attrs.field(default=6, validator=ge(1))
    prompts_en: Prompts = Prompts()  # noqa: RUF009  frozen
    prompts_zh: PromptsZh = PromptsZh()  # noqa: RUF009  frozen


@hookimpl
def dougong_patterns() -> list[Technique]:
    return [
        Technique(
            "agentic-rag",
            Params,
            "dougong_pattern_agentic_rag.agentic:AgenticRAG",
            summary="Route, decompose into a graph, retrieve, grade, answer, check claims, and correct by cause.",
            source="Jeong et al. 2024 (Adaptive-RAG), arXiv:2403.14403; Yan et al. 2024 (CRAG), arXiv:2401.15884; "
            "Press et al. 2023 (self-ask), arXiv:2210.03350; slots as in QDMR, Wolfson et al. 2020",
        )
    ]
