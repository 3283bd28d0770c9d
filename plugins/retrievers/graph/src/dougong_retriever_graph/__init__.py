"""retriever.graph: a knowledge graph of the chunks, searched by PageRank, locally, globally or by DRIFT."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs
from dougong import LLM, Embedder, Index, Technique, hookimpl, slot

from dougong_retriever_graph import prompts


def _not_blank(instance: Any, attribute: Any, value: str) -> None:
    if not value.strip():
        raise ValueError("must be a text; leave it out for its default")


def _prompt(default: str) -> Any:
    return attrs.field(default=default, validator=_not_blank)


@attrs.frozen
class Params:
    """Parameters of the graph.

    mode: how it is searched. ``ppr``: from the query's entities and best chunks along the edges; ``local``: the query's
        entities, what they are related to, and the chunks that say so; ``global``: reports on all communities;
        ``drift``: from reports to follow-up questions, each searched locally.
    embedder: embeds chunks and names: chunks from which a walk starts, and names that mean the same; None for neither.
    lexical: finds the chunks from which a walk starts, where there is no embedder.
    llm: extracts, confirms that two names are one, and writes reports, once for each text; None for rules and
        statistics.
    triples: a JSONL file of ready-made ones, ``{"document" or "text": ..., "triples": [[subject, relation,
        object], ...], "entities": [...]}``: they take the place of extraction for chunks of that document, or text.
    gleanings: how often a model is asked for what it missed.
    damping: share of a walk's steps that follow an edge; the others begin anew.
    passage_weight: what the chunks from which a walk begins weigh beside the query's entities.
    near_weight: weight of the edge between two entities for each sentence with both, three at most.
    term_value: C-value from which a run of nouns, or of plain words, is an entity.
    community: entities in a community, at most; larger ones are divided, level by level.
    budget: tokens of the context of ``local`` and ``drift``, and of a batch of reports in ``global``.
    apart: pairs of names that are never one, whatever rules or a model say.
    extract_en, extract_zh, glean_en, glean_zh: the prompts of extraction, by the language of the text.
    same_en, same_zh: whether two names are one. report_en, report_zh: a report on a community.
    map_en, map_zh, reduce_en, reduce_zh: the two steps of ``global``. follow_en, follow_zh: follow-ups of ``drift``.
    """

    mode: Literal["ppr", "local", "global", "drift"] = "ppr"
    embedder: Embedder | None = None
    lexical: Index = slot("bm25")
    llm: LLM | None = None
    triples: Path | None = None
    gleanings: int = attrs.field(default=1, validator=attrs.validators.ge(0))
    damping: float = attrs.field(default=0.5)
    passage_weight: float = attrs.field(default=0.05, validator=attrs.validators.ge(0))
    near_weight: float = attrs.field(default=0.5, validator=attrs.validators.gt(0))
    term_value: float = attrs.field(default=4.0, validator=attrs.validators.gt(0))
    community: int = attrs.field(default=10, validator=attrs.validators.ge(2))
    budget: int = attrs.field(default=12_000, validator=attrs.validators.ge(100))
    apart: list[tuple[str, str]] = attrs.field(factory=list)
    extract_en: str = _prompt(prompts.EXTRACT_EN)
    extract_zh: str = _prompt(prompts.EXTRACT_ZH)
    glean_en: str = _prompt(prompts.GLEAN_EN)
    glean_zh: str = _prompt(prompts.GLEAN_ZH)
    same_en: str = _prompt(prompts.SAME_EN)
    same_zh: str = _prompt(prompts.SAME_ZH)
    report_en: str = _prompt(prompts.REPORT_EN)
    report_zh: str = _prompt(prompts.REPORT_ZH)
    map_en: str = _prompt(prompts.MAP_EN)
    map_zh: str = _prompt(prompts.MAP_ZH)
    reduce_en: str = _prompt(prompts.REDUCE_EN)
    reduce_zh: str = _prompt(prompts.REDUCE_ZH)
    follow_en: str = _prompt(prompts.FOLLOW_EN)
    follow_zh: str = _prompt(prompts.FOLLOW_ZH)

    @damping.validator
    def _damping_is_a_share(self, attribute: object, value: float) -> None:
        if not 0 <= value < 1:
            raise ValueError("must be at least 0 and below 1; 0.5 is usual")


@hookimpl
def dougong_retrievers() -> list[Technique]:
    return [
        Technique(
            "graph",
            Params,
            "dougong_retriever_graph.index:GraphIndex",
            summary="A knowledge graph, evidence on every edge: PageRank, local, global, DRIFT; no model needed.",
            source="Gutiérrez et al. 2024, HippoRAG, arXiv:2405.14831; Edge et al. 2024, GraphRAG, arXiv:2404.16130",
            protocol=Index,
        )
    ]
