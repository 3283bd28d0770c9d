"""Right retrievers, and plausible wrong ones, each with the check that must catch it. Run by test_kit_knowledge.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from dougong import Chunk, Hit, Retriever, Technique, hookimpl, where
from dougong.testing import MemoryIndex, RetrieverConformance, chunks

DECLARED: list[Technique] = []
CAUGHT: dict[str, str] = {}


@attrs.frozen
class Params:
    """of: what is searched."""

    of: Retriever


def judged(check: str = "") -> Any:
    """Make the class a technique with a suite of its own; `check` must fail, no check where it is empty."""

    def declare(cls: type) -> type:
        name = cls.__name__.lower()
        DECLARED.append(Technique(name, Params, f"{__name__}:{cls.__name__}", f"{cls.__doc__}", "none"))
        suite = {"name": f"retriever.{name}", "plugin": __file__, "params": {"of": MemoryIndex(chunks())}}
        globals()[f"Test{cls.__name__}"] = type(f"Test{cls.__name__}", (RetrieverConformance,), suite)
        CAUGHT[f"Test{cls.__name__}"] = check
        return cls

    return declare


@hookimpl
def dougong_retrievers() -> list[Technique]:
    return DECLARED


@judged()
class Right:
    """Gives half the score."""

    def __init__(self, params: Params) -> None:
        self.of = params.of

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        return [Hit(hit.chunk, hit.score / 2) for hit in self.of.search(query, k, where)]


@judged("test_hits_come_best_first")
class WorstFirst(Right):
    """Sorts by score, ascending."""

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        return super().search(query, k, where)[::-1]


@judged("test_hits_come_best_first")
class Ties(Right):
    """Leaves equal scores in the order of arrival."""

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        hits = [Hit(hit.chunk, float(round(hit.score))) for hit in super().search(query, k, where)]
        return sorted(hits, key=lambda hit: -hit.score)


@judged("test_hits_come_best_first")
class Twice(Right):
    """Joins two lists and gives a chunk of both twice."""

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        hits = [hit for hit in super().search(query, k, where) for _ in range(2)]
        return hits[:k]


@judged("test_there_are_at_most_k")
class AllOfThem(Right):
    """Gives whatever it has."""

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        return super().search(query, k + 3, where)


@judged("test_k_below_one_is_refused")
class ZeroIsNothing(Right):
    """Gives nothing for k = 0."""

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        return super().search(query, max(k, 1), where)[: max(k, 0)]


@judged("test_an_empty_query_finds_nothing")
class EmptyIsAll(Right):
    """Gives everything for an empty query."""

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        return super().search(query if query.strip() else "斗拱", k, where)


@judged("test_hits_hold_the_chunks_themselves")
class Bare(Right):
    """Makes its chunks out of id and text."""

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        hits = super().search(query, k, where)
        return [Hit(Chunk(h.chunk.id, h.chunk.document, h.chunk.text, h.chunk.span), h.score) for h in hits]


@judged("test_a_filter_holds_and_only_filters")
class NoFilter(Right):
    """Does not pass the filter on."""

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        self.of.search(query, k, where)
        return super().search(query, k)


@judged("test_a_filter_holds_and_only_filters")
class FiltersAfter(Right):
    """Filters the k hits that it has."""

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        return [hit for hit in super().search(query, k) if _where(where)(hit.chunk.meta)]


@judged("test_a_wrong_filter_is_refused")
class Lenient(Right):
    """Passes over operators that it does not know."""

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        try:
            return super().search(query, k, where)
        except ValueError:
            if k < 1:
                raise
            return []


@judged("test_a_passage_finds_itself")
class EnglishOnly(Right):
    """Reads Latin letters only."""

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        return super().search("".join(c if c.isascii() else " " for c in query), k, where)


@judged("test_any_query_can_be_asked")
class Operators(Right):
    """Takes a star for an operator, and fails where nothing stands before it."""

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        if query.startswith("*"):
            raise RuntimeError("fts5: syntax error")
        return super().search(query, k, where)


@judged("test_fewer_are_the_first_of_more")
class CutsEarly(Right):
    """Sorts only what it has cut."""

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        hits = sorted(super().search(query, 100, where), key=lambda hit: hit.chunk.id)[: 2 * k]
        return sorted(hits, key=lambda hit: (-hit.score, hit.chunk.id))[:k]


@judged("test_calls_leave_nothing_behind")
class Adapts(Right):
    """Makes what was found before score more."""

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.seen: dict[str, int] = {}

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        hits = [Hit(hit.chunk, hit.score + self.seen.get(hit.chunk.id, 0)) for hit in super().search(query, k, where)]
        for hit in hits:
            self.seen[hit.chunk.id] = self.seen.get(hit.chunk.id, 0) + 1
        return sorted(hits, key=lambda hit: (-hit.score, hit.chunk.id))


@judged("test_threads_may_share_it")
class NotForThreads(Right):
    """Keeps the query in itself."""

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        self.query = query
        self.hits: list[Hit] = []
        for hit in self.of.search(self.query, k, where):
            self.hits.append(Hit(hit.chunk, hit.score / 2))
        return self.hits


@judged("test_what_it_builds_meets_its_protocol")
class FiveByDefault(Right):
    """Gives five where ten are promised."""

    def search(self, query: str, k: int = 5, where: Mapping[str, Any] | None = None) -> list[Hit]:
        return super().search(query, k, where)


_where = where
