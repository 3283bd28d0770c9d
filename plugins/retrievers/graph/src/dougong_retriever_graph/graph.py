"""The graph: entities, the edges between them and the chunks they are in, each with the spans that say so.

It is made anew from what the chunks say, in order of chunk id, so that it is the same whatever was added and
deleted before.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any
from unicodedata import combining, normalize

import attrs
import numpy as np
import regex
from dougong_analyzer import words
from scipy import sparse

from dougong_retriever_graph.extract import Extraction, Mention, c_values, key
from dougong_retriever_graph.resolve import Alias, Confirm, Pair, resolve, within

Array = np.ndarray[Any, Any]
SYNONYM = 0.8  # cosine of two names from which they are joined; HippoRAG


@attrs.frozen
class Record:
    """What is held of a chunk: its document, where it begins there, a hash of what was read, and what it says."""

    document: str
    start: int
    digest: str
    extraction: Extraction


@attrs.frozen(order=True)
class Evidence:
    """``document.text[start:end]``, read in `chunk`."""

    document: str
    start: int
    end: int
    chunk: str


@attrs.frozen
class Entity:
    """A node. `name`: its most frequent spelling; `names`: all of them."""

    number: int
    name: str
    kind: str
    names: tuple[str, ...]
    evidence: tuple[Evidence, ...]


@attrs.frozen
class Edge:
    """What joins two entities: the labels that were read (best evidence first), and ``near`` ones without a label."""

    number: int
    source: int
    target: int
    labels: tuple[str, ...]
    kind: str  # the strongest of its evidence: relation, claim, near; synonym
    weight: float
    evidence: tuple[Evidence, ...]


@attrs.frozen
class Claim:
    """What was said of an entity that is no other entity: Mercury *is* "the smallest planet"."""

    entity: int
    label: str
    value: str
    evidence: Evidence


class Graph:
    """Entities, edges, claims and the alias log of `records` (by chunk id).

    `near`: weight of an edge between entities for each sentence that joins them, three at most. `terms`: C-value from
    which a run of nouns or plain words is an entity. `embed`: names to unit rows, or None.
    """

    def __init__(
        self,
        records: Mapping[str, Record],
        near: float = 0.5,
        terms: float = 4.0,
        apart: frozenset[Pair] = frozenset(),
        embed: Any = None,
        confirm: Confirm | None = None,
    ) -> None:
        self.chunks = sorted(records)
        good = _Kept(records, terms)
        mentions = {id: _kept(records[id].extraction.mentions, good) for id in self.chunks}
        counts = Counter(key(mention.name) for found in mentions.values() for mention in found)
        kinds = {
            name: max(sorted(told), key=told.__getitem__)
            for name, told in _tally((key(m.name), m.kind) for found in mentions.values() for m in found).items()
        }
        named = sorted(name for name, kind in kinds.items() if kind not in ("date", "quantity", "term"))
        synonyms = _near(named, embed(named)) if embed and named else []
        self.aliases = resolve({name: kinds[name] for name in named}, counts, synonyms, confirm, apart)
        whole = {alias.alias: alias.name for alias in self.aliases}
        first: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for id in self.chunks:
            for mention in mentions[id]:
                name, at = whole.get(key(mention.name), key(mention.name)), records[id].start + mention.start
                there = first[records[id].document]
                there[name] = min(at, there.get(name, at))
        local: dict[tuple[str, str], str] = {}
        for document in sorted(first):
            some = {name: at for name, at in first[document].items() if kinds[name] not in ("date", "quantity", "term")}
            log = within(document, some, apart)
            self.aliases += log
            local.update({(document, alias.alias): alias.name for alias in log})

        def name_of(document: str, text: str) -> str:
            name = whole.get(key(text), key(text))
            return local.get((document, name), name)

        spans: defaultdict[str, set[Evidence]] = defaultdict(set)
        spellings: defaultdict[str, Counter[str]] = defaultdict(Counter)
        leads: set[tuple[str, str]] = set()
        for id in self.chunks:
            record = records[id]
            for mention in mentions[id]:
                name = name_of(record.document, mention.name)
                begin = record.start + mention.start
                spans[name].add(Evidence(record.document, begin, record.start + mention.end, id))
                spellings[name][" ".join(mention.name.split())] += 1
                if not mention.start:
                    leads.add((id, name))
        names = sorted(spans)
        self.number = {name: at for at, name in enumerate(names)}
        self.entities = [
            Entity(
                at,
                max(sorted(spellings[name]), key=lambda told: (key(told) == name, spellings[name][told])),
                kinds.get(name, "term"),
                tuple(sorted(spellings[name])),
                tuple(sorted(spans[name])),
            )
            for at, name in enumerate(names)
        ]
        self._join(records, name_of, synonyms if embed else [], near, whole)
        self._leads = leads
        self._lookup(records)

    def _join(
        self, records: Mapping[str, Record], name_of: Any, synonyms: Any, near: float, whole: Mapping[str, str]
    ) -> None:
        told: defaultdict[tuple[int, int], list[tuple[int, str, Evidence]]] = defaultdict(list)
        self.claims: list[Claim] = []
        for id in self.chunks:
            record = records[id]
            for relation in record.extraction.relations:
                place = Evidence(record.document, record.start + relation.start, record.start + relation.end, id)
                one, two = (
                    self.number.get(name_of(record.document, end)) for end in (relation.subject, relation.object)
                )
                rank = ("relation", "claim", "near").index(relation.kind)
                if one is not None and two is not None and one != two:
                    told[one, two].append((rank, relation.label, place))
                elif one is not None and two is None and relation.label:
                    self.claims.append(Claim(one, relation.label, relation.object, place))
        both: defaultdict[tuple[int, int], list[tuple[int, str, Evidence, bool]]] = defaultdict(list)
        for (one, two), found in told.items():
            both[min(one, two), max(one, two)] += [(*item, one > two) for item in found]
        self.edges: list[Edge] = []
        for one, two in sorted(both):
            read = sorted(both[one, two], key=lambda item: (item[0], item[2], item[1], item[3]))
            places = tuple(dict.fromkeys(place for _, _, place, _ in read))
            labels = tuple(dict.fromkeys(label for _, label, _, _ in read if label))
            source, target = (two, one) if read[0][3] else (one, two)
            kind = ("relation", "claim", "near")[read[0][0]]
            self.edges.append(Edge(len(self.edges), source, target, labels, kind, near * min(len(places), 3), places))
        for one, two, cosine in synonyms:
            a, b = (self.number.get(whole.get(name, name)) for name in (one, two))
            if a is not None and b is not None and a != b:
                places = (self.entities[a].evidence[0], self.entities[b].evidence[0])
                self.edges.append(Edge(len(self.edges), a, b, (), "synonym", cosine, places))

    # ------------------------------------------------------------ the walk

    @cached_property
    def transition(self) -> Any:
        """Sparse ``(n, n)``, columns summing to 1 or 0: entities first, then chunks.

        An entity and its chunks are joined by idf, ``ln(1 + chunks / chunks with it)``. No walk enters an entity
        of one chunk
        from there: it would only lead back.
        """
        n, size = len(self.entities), len(self.entities) + len(self.chunks)
        rows: list[int] = []
        columns: list[int] = []
        weights: list[float] = []
        at = {id: n + i for i, id in enumerate(self.chunks)}
        for entity in self.entities:
            within_ids = sorted({place.chunk for place in entity.evidence})
            weight = math.log(1 + len(self.chunks) / len(within_ids))
            for id in within_ids:
                rows.append(at[id])
                columns.append(entity.number)
                weights.append(weight)
                if len(within_ids) > 1 or (id, key(entity.name)) in self._leads:
                    rows.append(entity.number)
                    columns.append(at[id])
                    weights.append(weight)
        for edge in self.edges:
            rows += [edge.source, edge.target]
            columns += [edge.target, edge.source]
            weights += [edge.weight, edge.weight]
        matrix = sparse.csr_array((weights, (rows, columns)), shape=(size, size))
        sums = np.asarray(matrix.sum(axis=0)).ravel()
        return matrix @ sparse.diags_array(np.divide(1, sums, out=np.zeros(size), where=sums > 0))

    @cached_property
    def frequency(self) -> Array:
        """Chunks of each entity, int64 ``(n,)``."""
        return np.array([len({place.chunk for place in entity.evidence}) for entity in self.entities], np.int64)

    @cached_property
    def neighbours(self) -> dict[int, list[tuple[int, float, int]]]:
        """Of each entity ``(entity, length, edge)``; a length is 1 / weight, twice that for mere nearness."""
        best: dict[tuple[int, int], tuple[float, int]] = {}
        for edge in self.edges:
            length = (2 if edge.kind == "near" else 1) / max(edge.weight, 1e-9)
            for pair in ((edge.source, edge.target), (edge.target, edge.source)):
                best[pair] = min(best.get(pair, (math.inf, 0)), (length, edge.number))
        found: dict[int, list[tuple[int, float, int]]] = {}
        for (one, two), (length, number) in sorted(best.items()):
            found.setdefault(one, []).append((two, length, number))
        return found

    # ------------------------------------------------------------ names in a query

    def _lookup(self, records: Mapping[str, Record]) -> None:
        self._named: defaultdict[tuple[str, ...], set[int]] = defaultdict(set)
        for entity in self.entities:
            if entity.kind in ("quantity",):
                continue
            for name in entity.names:
                # "Brand (play)" and "Springfield, Illinois" are asked for as Brand and Springfield, too
                for said in {name, regex.sub(r"\s*[(（].*[)）]$", "", name), name.split(", ")[0]}:
                    self._named[folded(said)].add(entity.number)
        self._longest = max(map(len, self._named), default=0)

    def named_in(self, query: str) -> list[int]:
        """Entities that `query` names, in its order: the longest names, capitals as the query has them."""
        spans = [match.span() for match in _UNIT.finditer(query)]
        units = [unit for start, end in spans for unit in folded(query[start:end])[:1] or ("",)]
        cased = query != query.lower()
        found: dict[int, None] = {}
        at = 0
        while at < len(units):
            for size in range(min(self._longest, len(units) - at), 0, -1):
                part = tuple(units[at : at + size])
                said = query[spans[at][0] : spans[at + size - 1][1]]
                marked = regex.search(r"[\p{Lu}\p{Nd}]" if cased and said.isascii() else r"\p{L}|\p{Nd}", said)
                if part in self._named and marked and not _FUNCTIONAL.fullmatch(said):
                    found.update(dict.fromkeys(sorted(self._named[part])))
                    at += size - 1
                    break
            at += 1
        return list(found)


_UNIT = regex.compile(r"\p{Han}|[\p{L}\p{Nd}][\p{L}\p{M}\p{Nd}]*")
_FUNCTIONAL = regex.compile(
    r"(?i)(?:who|what|which|when|where|how|why|whose|in|the|a|an|is|was|did|does|of|and|[\p{Han}])"
)


def folded(text: str) -> tuple[str, ...]:
    """Units that names are met by: case, accents and punctuation gone, Chinese character by character."""
    plain = "".join(char for char in normalize("NFD", key(text)) if not combining(char))
    return tuple(_UNIT.findall(normalize("NFC", plain)))


class _Kept:
    """Which mentions of the collection are entities: firm ones, those of a firm one's name, terms of high C-value."""

    def __init__(self, records: Mapping[str, Record], terms: float) -> None:
        mentions = [mention for record in records.values() for mention in record.extraction.mentions]
        self.firm = {key(mention.name) for mention in mentions if mention.firm}
        runs = [_parts(mention.name)[0] for mention in mentions if mention.kind == "term" and not mention.firm]
        self.terms = {gram: value for gram, value in c_values(runs).items() if value >= terms}

    def __call__(self, mention: Mention) -> Mention | None:
        if mention.firm or (mention.kind != "term" and key(mention.name) in self.firm):
            return mention
        if mention.kind != "term":
            return None
        parts, spans = _parts(mention.name)
        grams = [(i, j) for i in range(len(parts)) for j in range(i + 2, len(parts) + 1) if parts[i:j] in self.terms]
        if not grams:
            return None
        i, j = max(grams, key=lambda gram: (self.terms[parts[gram[0] : gram[1]]], gram[1] - gram[0], -gram[0]))
        start, end = spans[i][0], spans[j - 1][1]
        return Mention(mention.name[start:end], "term", mention.start + start, mention.start + end)


def _kept(mentions: Sequence[Mention], good: _Kept) -> list[Mention]:
    return [kept for mention in mentions if (kept := good(mention)) is not None]


def _parts(run: str) -> tuple[tuple[str, ...], list[tuple[int, int]]]:
    spans = words(run)
    return tuple(run[start:end].casefold() for start, end in spans), spans


def _tally(pairs: Any) -> dict[str, Counter[str]]:
    told: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, kind in pairs:
        told[name][kind] += 1
    return told


def _near(names: Sequence[str], vectors: Array) -> list[tuple[str, str, float]]:
    """Pairs of names of cosine >= .8 with the same digits; a block of rows at a time."""
    digits = ["".join(regex.findall(r"\p{Nd}+", name)) for name in names]
    found = []
    for first in range(0, len(names), 512):
        cosines = vectors[first : first + 512] @ vectors.T
        for row, column in zip(*(part.tolist() for part in np.nonzero(cosines >= SYNONYM))):
            if first + row < column and digits[first + row] == digits[column]:
                found.append((names[first + row], names[column], round(float(cosines[row, column]), 4)))
    return found


__all__ = ["Alias", "Claim", "Edge", "Entity", "Evidence", "Graph", "Record", "folded"]
