"""Local, global and DRIFT search over a graph and the reports on its communities.

Source: GraphRAG, ``packages/graphrag/graphrag/config/defaults.py`` and ``query/structured_search``; arXiv:2404.16130.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import attrs
from dougong import estimate_tokens
from dougong_analyzer import terms

from dougong_retriever_graph.asking import read
from dougong_retriever_graph.communities import SEED, Report
from dougong_retriever_graph.graph import Edge, Entity

if TYPE_CHECKING:
    from dougong_retriever_graph.index import GraphIndex

T = TypeVar("T")

ENTITIES = RELATIONS = 10
TEXTS, REPORTS = 0.5, 0.15  # shares of the budget
FOLDS, FOLLOW_UPS, DEPTH = 5, 20, 3


@attrs.frozen
class Context:
    """What a local search puts before a model. `texts`: chunk id to its text, best first."""

    entities: tuple[Entity, ...]
    relations: tuple[Edge, ...]
    reports: tuple[Report, ...]
    texts: Mapping[str, str]


@attrs.frozen
class Point:
    """What a report adds to an answer. `score`: 1 to 100; `reports`: numbers of the communities it rests on."""

    text: str
    score: float
    reports: tuple[int, ...]


class Searching:
    """The searches of one index, as it is now."""

    def __init__(self, index: GraphIndex) -> None:
        self.index, self.graph = index, index.graph

    def chunks(self, query: str, mode: str) -> dict[str, float]:
        """Chunks that the search of that name rests on, with a score above 0."""
        if mode == "local":
            return {id: 1 / rank for rank, id in enumerate(self.local(query).texts, 1)}
        if mode == "drift":
            return self.drift(query)
        found: defaultdict[str, float] = defaultdict(float)
        for point in self.points(query):
            for number in point.reports:
                for rank, place in enumerate(self.index.reports[number].evidence, 1):
                    found[place.chunk] += point.score / rank
        return dict(found)

    # ------------------------------------------------------------ local

    def entities(self, query: str) -> list[int]:
        """The ten entities nearest to the query: those it names, then those in most of the chunks that fit it best."""
        named = self.graph.named_in(query)
        held: dict[int, float] = {}
        seeds = self.index.seeds(query)
        for entity in self.graph.entities:
            weight = sum(seeds.get(id, 0.0) for id in {place.chunk for place in entity.evidence})
            if weight:
                held[entity.number] = weight / math.log(2 + len(entity.evidence))
        rest = sorted(held, key=lambda number: (-held[number], number))
        return list(dict.fromkeys((*named, *rest)))[:ENTITIES]

    def local(self, query: str) -> Context:
        """Ten entities, ten relations, the reports on them (15 % of the budget) and the chunks that say so (50 %)."""
        chosen = self.entities(query)
        among = set(chosen)
        edges = [edge for edge in self.graph.edges if edge.kind != "synonym" and {edge.source, edge.target} & among]
        edges.sort(key=lambda e: (-len({e.source, e.target} & among), e.kind == "near", -e.weight, e.number))
        told: Counter[str] = Counter()
        for rank, number in enumerate(chosen):
            told.update({place.chunk: ENTITIES - rank for place in self.graph.entities[number].evidence})
        for edge in edges[:RELATIONS]:
            told.update({place.chunk: ENTITIES for place in edge.evidence})
        seeds = self.index.seeds(query)
        ids = sorted({*told, *seeds}, key=lambda id: (-told[id] * (0.1 + seeds.get(id, 0.0)), -seeds.get(id, 0.0), id))
        best = sorted(self.index.communities, key=lambda c: (-c.level, -len(among & set(c.members)), c.number))
        near = [self.index.reports[c.number] for c in best if among & set(c.members)]
        kept = list(_within(near, [report.text for report in near], REPORTS * self.index.params.budget))
        texts = ((id, self.index.text_of(id)[0]) for id in ids)
        some: dict[str, str] = {}
        left = TEXTS * self.index.params.budget
        for id, text in texts:
            left -= estimate_tokens(text)
            if left < 0 and some:
                break
            some[id] = text
        return Context(tuple(self.graph.entities[n] for n in chosen), tuple(edges[:RELATIONS]), tuple(kept), some)

    # ------------------------------------------------------------ global

    def points(self, query: str) -> list[Point]:
        """Map: the reports, shuffled, in batches of the budget; what each adds, scored; best first, 0 dropped.

        Without a model a report is a point as it stands, scored by the share of the query's terms, weighed by idf,
        in it.
        """
        reports = list(self.index.reports)
        random.Random(SEED).shuffle(reports)
        found = self._asked(query, reports) if self.index.params.llm is not None else self._shares(query, reports)
        return sorted((point for point in found if point.score > 0), key=lambda p: (-p.score, p.reports, p.text))

    def _shares(self, query: str, reports: Sequence[Report]) -> Iterator[Point]:
        held = {report.community: set(terms(f"{report.title}\n{report.text}")) for report in reports}
        counts = Counter(term for some in held.values() for term in some)
        idf = {term: math.log(1 + len(reports) / (1 + counts[term])) for term in set(terms(query))}
        for report in reports:
            share = math.fsum(idf[term] for term in sorted(idf) if term in held[report.community])
            size = 1 + math.log1p(len(held[report.community])) / 10  # of two that hold the same terms, the shorter
            whole = math.fsum(sorted(idf.values())) or 1.0
            yield Point(f"{report.title}\n{report.text}", 100 * share / whole / size, (report.community,))

    def _asked(self, query: str, reports: Sequence[Report]) -> Iterator[Point]:
        batches: list[list[Report]] = [[]]
        used = 0
        for report in reports:
            size = estimate_tokens(report.text)
            if used + size > self.index.params.budget and batches[-1]:
                batches.append([])
                used = 0
            batches[-1].append(report)
            used += size
        for batch in filter(None, batches):
            listed = "\n\n".join(f"{n}. {report.title}\n{report.text}" for n, report in enumerate(batch, 1))
            told = read(self.index.asking.ask("map", f"{query}\n\n{listed}", keep=False)) or {}
            for point in told.get("points") or ():
                try:
                    named = [batch[int(n) - 1].community for n in point["reports"] if 0 < int(n) <= len(batch)]
                    if named:  # a point that rests on no report rests on nothing
                        yield Point(str(point["text"]), min(max(float(point["score"]), 0.0), 100.0), tuple(named))
                except (KeyError, TypeError, ValueError):
                    continue

    def overview(self, query: str) -> str:
        """Reduce: an answer from the points, by the model; without one, the points themselves."""
        points = self.points(query)
        texts = list(_within([p.text for p in points], [p.text for p in points], self.index.params.budget))
        if self.index.params.llm is None or not texts:
            return "\n\n".join(texts)
        listed = "\n\n".join(f"{n}. {text}" for n, text in enumerate(texts, 1))
        return self.index.asking.ask("reduce", f"{query}\n\n{listed}", keep=False)

    # ------------------------------------------------------------ DRIFT

    def drift(self, query: str) -> dict[str, float]:
        """The query, then follow-up questions from the best reports and from what each search finds; three deep,
        twenty.

        A chunk's score adds ``1 / (rank * depth)`` over the searches. Without a model, the follow-ups are names in
        the best reports (five folds of them, the best of each) and at the other end of the relations found, joined to
        the query.
        Source: GraphRAG, DRIFT search: primer, follow-ups, local search of each.
        """
        points = self.points(query)
        folds = [points[at::FOLDS][:1] for at in range(FOLDS)]
        primer = [point for fold in folds for point in fold]
        first = self._follow(query, [point.text for point in primer], self._members(primer))
        waiting = deque([(query, 1), *((question, 2) for question in first)])
        asked = {query, *first}
        scores: defaultdict[str, float] = defaultdict(float)
        while waiting:
            question, depth = waiting.popleft()
            context = self.local(question)
            for rank, id in enumerate(context.texts, 1):
                scores[id] += 1 / (rank * depth)
            if depth < DEPTH and len(asked) <= FOLLOW_UPS:
                ends = [end for edge in context.relations for end in (edge.source, edge.target)]
                follow = self._follow(query, list(context.texts.values())[:5], ends)
                new = [said for said in follow if said not in asked][: FOLLOW_UPS + 1 - len(asked)]
                asked.update(new)
                waiting += [(said, depth + 1) for said in new]
        return dict(scores)

    def _members(self, points: Sequence[Point]) -> list[int]:
        numbers = dict.fromkeys(number for point in points for number in point.reports)
        return [member for number in numbers for member in self.index.communities[number].members[:2]]

    def _follow(self, query: str, texts: Sequence[str], entities: Sequence[int]) -> list[str]:
        if self.index.params.llm is None:
            known = set(self.graph.named_in(query))
            names = [self.graph.entities[n].name for n in dict.fromkeys(entities) if n not in known]
            return [f"{query} {name}" for name in names[:5]]
        found = "\n\n".join(_within(list(texts), list(texts), self.index.params.budget))
        told = read(self.index.asking.ask("follow", f"{query}\n\n{found}", keep=False)) or {}
        questions = told.get("questions")
        return [q for q in questions if isinstance(q, str) and q.strip()][:5] if isinstance(questions, list) else []


def _within(items: Sequence[T], texts: Sequence[str], tokens: float) -> Iterator[T]:
    """The first items whose texts fit in `tokens`; the first one in any case."""
    used = 0
    for number, (item, text) in enumerate(zip(items, texts)):
        used += estimate_tokens(text)
        if used > tokens and number:
            return
        yield item
