"""The graph of a config's library, and what is shown of it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from dougong import load
from dougong.errors import ConfigError
from dougong.kinds import Library
from dougong_retriever_graph.graph import Evidence
from dougong_retriever_graph.index import GraphIndex

from dougong_command_graph.words import w

PLACES, EDGE_PLACES, AROUND = 8, 3, 80


class Held:
    """The first graph among the indexes of the libraries in `config`. A context manager.

    Raises ConfigError where there is none.
    """

    def __init__(self, config: Path, sets: Sequence[str] = (), plugins: Sequence[str] = ()) -> None:
        self.assembly = load(config, set=sets, plugins=plugins)
        for name, plan in self.assembly.document.plans.items():
            if Library in plan.loaded.protocol.__mro__ and (index := _graph_in(self.assembly[name].index)) is not None:
                self.library, self.index = self.assembly[name], index
                return
        cure = w("write library: {{use: retriever.library, sources: [docs/], index: {{use: graph}}}}")
        raise ConfigError(w("the config has no library with a graph"), place=self.assembly.tree.place, hint=cure)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *exception: object) -> None:
        self.assembly.close()

    def sync(self) -> None:
        """Bring library and graph up to date."""
        self.library.sync()
        self.library.search("?", 1)  # an index that is behind catches up at a search

    @cached_property
    def degrees(self) -> Counter[int]:
        return Counter(end for edge in self.index.graph.edges for end in (edge.source, edge.target))

    def best(self, most: int) -> list[int]:
        """Numbers of the entities that most is joined to; then those mentioned most."""
        entities = self.index.graph.entities
        order = sorted(entities, key=lambda e: (-self.degrees[e.number], -len(e.evidence), e.number))
        return [entity.number for entity in order[:most]]

    def figures(self, top: int) -> dict[str, Any]:
        """Counts, the share of entities without an edge, and the `top` entities."""
        graph = self.index.graph
        orphans = sum(not self.degrees[entity.number] for entity in graph.entities)
        return {
            "chunks": len(graph.chunks),
            "entities": len(graph.entities),
            "relations": len(graph.edges),
            "claims": len(graph.claims),
            "communities": len(self.index.communities),
            "aliases": len(graph.aliases),
            "orphans": orphans,
            "orphan_share": round(orphans / max(1, len(graph.entities)), 4),
            "top": [
                {"name": graph.entities[at].name, "kind": graph.entities[at].kind, "degree": self.degrees[at]}
                for at in self.best(top)
            ],
        }

    def data(self, most: int) -> dict[str, Any]:
        """What the page shows: entities, edges and communities as numbers and texts."""
        graph = self.index.graph
        shown = {number: at for at, number in enumerate(self.best(most))}
        community = {number: one.number for one in self.index.communities for number in one.members}
        entities = [graph.entities[number] for number in shown]
        claims: dict[int, list[Any]] = {}
        for claim in graph.claims:
            claims.setdefault(claim.entity, []).append(claim)
        return {
            "nodes": [
                {
                    "name": entity.name, "kind": entity.kind, "names": entity.names,
                    "community": community.get(entity.number, -1), "degree": self.degrees[entity.number],
                    "places": list(self._places(entity.evidence[:PLACES])),
                    "more": max(0, len(entity.evidence) - PLACES),
                    "claims": [
                        [claim.label, claim.value, next(self._places([claim.evidence]))]
                        for claim in claims.get(entity.number, [])[:PLACES]
                    ],
                }
                for entity in entities
            ],
            "edges": [
                [shown[edge.source], shown[edge.target], " / ".join(edge.labels[:3]), edge.kind,
                 list(self._places(edge.evidence[:EDGE_PLACES]))]
                for edge in graph.edges if edge.source in shown and edge.target in shown
            ],
            "titles": {report.community: report.title for report in self.index.reports},
        }  # fmt: skip

    def _places(self, evidence: Iterable[Evidence]) -> Iterator[list[Any]]:
        """``[document, line, before, said, after]`` of each."""
        for place in evidence:
            text, ends = self._text(place.document)
            before = text[max(0, place.start - AROUND) : place.start]
            after = text[place.end : place.end + AROUND]
            yield [place.document, bisect_left(ends, place.start) + 1, before, text[place.start : place.end], after]

    def _text(self, document: str) -> tuple[str, list[int]]:
        if document not in self._texts:
            text = self.library.text(document)
            self._texts[document] = text, [at for at, char in enumerate(text) if char == "\n"]
        return self._texts[document]

    @cached_property
    def _texts(self) -> dict[str, tuple[str, list[int]]]:
        return {}


def _graph_in(index: Any) -> GraphIndex | None:
    """The index, or the part of a hybrid, that is a graph."""
    for part in (index, *getattr(index, "of", ())):
        inner = getattr(part, "_inner", part) if not isinstance(part, GraphIndex) else part
        if isinstance(inner, GraphIndex):
            return inner
    return None
