"""Communities of the graph by hierarchical Leiden, and a report on each, bottom-up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import attrs
import numpy as np
from dougong import estimate_tokens
from dougong_analyzer import sentences
from graspologic_native import hierarchical_leiden
from scipy import sparse

from dougong_retriever_graph.asking import Asking
from dougong_retriever_graph.graph import Evidence, Graph

SEED = 0xDEADBEEF
REPORT, INPUT = 2_000, 8_000  # tokens of a report, and of what a model is given for one


@attrs.frozen
class Community:
    """`members`: entity numbers; `level` 0 is the coarsest; `parent` and `children`: numbers of communities."""

    number: int
    level: int
    parent: int | None
    members: tuple[int, ...]
    children: tuple[int, ...] = ()


@attrs.frozen
class Report:
    """What there is to say of a community. `evidence`: the spans it was written from, in order."""

    community: int
    title: str
    text: str
    evidence: tuple[Evidence, ...]


def communities(graph: Graph, largest: int = 10, seed: int = SEED) -> list[Community]:
    """Hierarchical Leiden on the largest connected component, coarsest level first.

    Source: Traag, Waltman and van Eck 2019; GraphRAG, ``hierarchical_leiden``, max_cluster_size 10, use_lcc.
    """
    if not graph.edges:
        return []
    ends = np.array([(edge.source, edge.target) for edge in graph.edges])
    n = len(graph.entities)
    _, label = sparse.csgraph.connected_components(
        sparse.csr_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(n, n)), directed=False
    )
    giant = label == np.argmax(np.bincount(label))
    edges = [(f"{e.source:09d}", f"{e.target:09d}", e.weight) for e in graph.edges if giant[e.source]]
    members: defaultdict[int, list[int]] = defaultdict(list)
    about: dict[int, tuple[int, int | None]] = {}
    for found in hierarchical_leiden(edges, max_cluster_size=largest, seed=seed):
        members[found.cluster].append(int(found.node))
        about[found.cluster] = (found.level, found.parent_cluster)
    numbers = {old: new for new, old in enumerate(sorted(about, key=lambda c: (about[c][0], c)))}
    children: defaultdict[int, list[int]] = defaultdict(list)
    for old, (_, parent) in about.items():
        if parent is not None:
            children[parent].append(numbers[old])
    return [
        Community(
            new, about[old][0], None if (parent := about[old][1]) is None else numbers[parent],
            tuple(sorted(members[old])), tuple(sorted(children[old])),
        )
        for old, new in numbers.items()
    ]  # fmt: skip


def reports(
    graph: Graph, found: Sequence[Community], text_of: Callable[[str], tuple[str, int]], asking: Asking | None
) -> list[Report]:
    """A report on each community, the finest first where a model writes them: its children's reports stand in for
    what is too long.

    Without a model, the sentences that the most edges inside rest on, as they stand in the text. `text_of`: a chunk's
    text, and where that begins in its document.
    """
    if asking:
        asking.used["report"] = set()
    done: dict[int, Report] = {}
    inside: defaultdict[int, list[int]] = defaultdict(list)
    of: defaultdict[int, set[int]] = defaultdict(set)
    for community in found:
        for member in community.members:
            of[member].add(community.number)
    for edge in graph.edges:
        for number in of[edge.source] & of[edge.target] if edge.kind != "synonym" else ():
            inside[number].append(edge.number)
    for community in sorted(found, key=lambda c: (-c.level, c.number)):
        degree: defaultdict[int, float] = defaultdict(float)
        for number in inside[community.number]:
            edge = graph.edges[number]
            degree[edge.source] += edge.weight
            degree[edge.target] += edge.weight
        best = sorted(community.members, key=lambda entity: (-degree[entity], entity))
        title = ", ".join(graph.entities[entity].name for entity in best[:3])
        limit = INPUT if asking else REPORT
        quoted, cut = _quoted(graph, inside[community.number], degree, text_of, limit)
        body = "\n".join(quoted.values())
        if asking:
            below = "\n\n".join(done[child].text for child in community.children)
            given = (
                "\n".join(graph.entities[entity].name for entity in best) + "\n\n" + (below if cut and below else body)
            )
            told = asking.ask("report", _cut(given, INPUT))
            title, body = told.strip().partition("\n")[0].strip("# ") or title, _cut(told, REPORT)
        done[community.number] = Report(community.number, title, body, tuple(quoted))
    return [done[community.number] for community in found]


def _quoted(
    graph: Graph, numbers: Sequence[int], degree: Mapping[int, float],
    text_of: Callable[[str], tuple[str, int]], limit: int,
) -> tuple[dict[Evidence, str], bool]:  # fmt: skip
    """Sentences around the evidence of edges, the strongest first, up to `limit` tokens; whether more were left."""
    quoted: dict[Evidence, str] = {}
    used = 0
    strongest = sorted(
        numbers,
        key=lambda e: (
            graph.edges[e].kind == "near",
            -degree[graph.edges[e].source] - degree[graph.edges[e].target],
            e,
        ),
    )
    for number in strongest:
        place = graph.edges[number].evidence[0]
        text, start = text_of(place.chunk)
        around = [(a, b) for a, b in sentences(text) if a < place.end - start and b > place.start - start]
        if not around:
            continue
        said = text[around[0][0] : around[-1][1]].strip()
        first = start + text.index(said, around[0][0])
        whole = Evidence(place.document, first, first + len(said), place.chunk)
        if whole not in quoted:
            used += estimate_tokens(said)
            if used > limit:
                return quoted, True
            quoted[whole] = said
    return quoted, False


def _cut(text: str, limit: int) -> str:
    """The first sentences of `text`, `limit` tokens at most."""
    used, end = 0, 0
    for a, b in sentences(text):
        used += estimate_tokens(text[a:b])
        if used > limit:
            return text[:end] or text[: 2 * limit]
        end = b
    return text
