"""The index: what chunks say is kept; graph, communities and reports are made of it when they are needed."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from dougong import Chunk, Hit, LoadError, Place, StoreError
from dougong import where as compile_where

from dougong_retriever_graph import Params
from dougong_retriever_graph.asking import Asking, as_json, from_json, placed, ready_made
from dougong_retriever_graph.communities import Community, Report, communities, reports
from dougong_retriever_graph.extract import Extraction, extract, key
from dougong_retriever_graph.graph import Graph, Record
from dougong_retriever_graph.paths import Path as Walk
from dougong_retriever_graph.paths import pagerank, shortest_paths
from dougong_retriever_graph.resolve import Alias, Pair
from dougong_retriever_graph.search import Searching

VERSION = 1
_HEADER = "graph.json"
_SEEDS = 50  # chunks from which a walk begins
_AT_ONCE = 256


class GraphIndex:
    """Entities and relations of chunks. Searches may share it between threads; changes need the caller's lock.

    The first search after a change makes the graph anew, from what is kept of each chunk: no text is read, and no model
    asked, again. Source: HippoRAG (arXiv:2405.14831, 2502.14802), GraphRAG (arXiv:2404.16130).
    """

    def __init__(self, params: Params) -> None:
        self.params = params
        self._lock = threading.RLock()
        self._apart = frozenset(_pair(one, two) for one, two in params.apart)
        self._ready: dict[tuple[str, str], dict[str, Any]] = {}
        if params.triples is not None:
            try:
                lines = params.triples.read_text("utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as problem:
                raise LoadError(f"the triples cannot be read: {problem}", place=Place(str(params.triples)),
                                hint="name a JSONL file in UTF-8") from problem  # fmt: skip
            self._ready = ready_made(lines, str(params.triples))
        self._reset({}, {}, {}, {})

    def _reset(
        self, records: dict[str, Record], stored: Mapping[str, Chunk], vectors: dict[str, Any], told: dict[str, str]
    ) -> None:
        self._records, self._stored, self._vectors = records, stored, vectors
        self._added: dict[str, Chunk] = {}
        self._names: dict[str, Any] = {}  # name to its vector
        self._gone: dict[str, Extraction] = {}  # by a model, of texts deleted since the last save
        self._undone: frozenset[Pair] = frozenset()
        self.asking = Asking(self.params, told)
        self._changed()

    def _changed(self) -> None:
        self._graph: Graph | None = None
        self._communities: list[Community] | None = None
        self._reports: list[Report] | None = None

    def __len__(self) -> int:
        return len(self._records)

    # ------------------------------------------------------------ change

    def add(self, chunks: Iterable[Chunk]) -> None:
        chunks = iter(chunks)
        while batch := list(islice(chunks, _AT_ONCE)):
            records = {chunk.id: self._record(chunk) for chunk in batch}
            if self.params.embedder is not None:
                rows = self.params.embedder.embed([chunk.index_text for chunk in batch])
                self._vectors |= {chunk.id: row for chunk, row in zip(batch, rows)}
            self.params.lexical.add(batch)
            self._records |= records
            self._added |= {chunk.id: chunk for chunk in batch}
            self._changed()

    def _record(self, chunk: Chunk) -> Record:
        digest = hashlib.sha256(chunk.text.encode("utf-8", "surrogatepass")).hexdigest()
        held = self._records.get(chunk.id)
        if held is not None and held.digest == digest:
            extraction = held.extraction if held.extraction.by == "model" else self._extraction(chunk)
        else:  # a text that only moved is not asked about again
            extraction = self._gone.get(digest) or self._extraction(chunk)
        return Record(chunk.document, chunk.span.start, digest, extraction)

    def _extraction(self, chunk: Chunk) -> Extraction:
        ready = self._ready.get(("text", chunk.text)) or self._ready.get(("document", chunk.document))
        if ready is not None:
            here = chunk.text.casefold()
            triples = [t for t in ready["triples"] if all(end.casefold() in here for end in (t[0], t[2]))]
            if ("text", chunk.text) in self._ready:
                triples = ready["triples"]
            names = [name for name in ready["entities"] if name.casefold() in here]
            title = extract(chunk.text.partition("\n")[0] + "\n ", "").mentions[:1]
            made = placed(chunk.text, [(name, "name") for name in names], triples, "triples")
            return attrs.evolve(made, mentions=tuple(dict.fromkeys(title + made.mentions)))
        if self.params.llm is not None:
            return self.asking.extraction(chunk.text) if chunk.text.strip() else Extraction(by="model")
        return extract(chunk.text, chunk.headings[-1] if chunk.headings else "")

    def delete(self, ids: Iterable[str]) -> None:
        ids = list(ids)
        self.params.lexical.delete(ids)
        for id in ids:
            record = self._records.get(id)
            if record is not None and record.extraction.by == "model":
                self._gone[record.digest] = record.extraction
            for held in (self._records, self._added, self._vectors):
                held.pop(id, None)
        self._changed()

    def undo(self, one: str, two: str) -> None:
        """Take back, for good, that two names are one: an entry of `aliases`, say."""
        self._undone |= {_pair(one, two)}
        self._changed()

    # ------------------------------------------------------------ what it holds

    @property
    def graph(self) -> Graph:
        graph = self._graph
        if graph is None:
            with self._lock:
                if self._graph is None:
                    self.asking.used["same"] = set()
                    confirm = self.asking.same if self.params.llm is not None else None
                    embed = self._embed_names if self.params.embedder is not None else None
                    self._graph = Graph(
                        self._records, self.params.near_weight, self.params.term_value,
                        self._apart | self._undone, embed, confirm,
                    )  # fmt: skip
                graph = self._graph
        return graph

    @property
    def aliases(self) -> list[Alias]:
        """The log of what names were taken to be one; `undo` takes an entry back."""
        return self.graph.aliases

    @property
    def communities(self) -> list[Community]:
        with self._lock:
            if self._communities is None:
                self._communities = communities(self.graph, self.params.community)
            return self._communities

    @property
    def reports(self) -> list[Report]:
        """One a community; written at first use, by the model if there is one."""
        with self._lock:
            if self._reports is None:
                asking = self.asking if self.params.llm is not None else None
                self._reports = reports(self.graph, self.communities, self.text_of, asking)
            return self._reports

    def chunk(self, id: str) -> Chunk:
        if id in self._added:
            return self._added[id]
        try:
            return self._stored[id]
        except KeyError:
            raise StoreError(f"the graph names the chunk {id}, which the store lacks", hint="index again") from None

    def text_of(self, id: str) -> tuple[str, int]:
        chunk = self.chunk(id)
        return chunk.text, chunk.span.start

    def _embed_names(self, names: Sequence[str]) -> Any:
        missing = [name for name in names if name not in self._names]
        if missing:
            assert self.params.embedder is not None
            self._names |= dict(zip(missing, self.params.embedder.embed(missing)))
        self._names = {name: self._names[name] for name in names}
        return np.stack([self._names[name] for name in names])

    # ------------------------------------------------------------ search

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        matches = compile_where(where)
        hits: list[Hit] = []
        if not query.strip() or not self._records:
            return hits
        found = self.rank(query) if self.params.mode == "ppr" else Searching(self).chunks(query, self.params.mode)
        for id, score in sorted(found.items(), key=lambda item: (-item[1], item[0])):
            chunk = self.chunk(id)
            if matches(chunk.meta):
                hits.append(Hit(chunk, score))
                if len(hits) == k:
                    break
        return hits

    def seeds(self, query: str) -> dict[str, float]:
        """Chunks from which a walk begins, by the square of their cosine, or of its share of the best lexical score."""
        if self.params.embedder is None:
            hits = self.params.lexical.search(query, _SEEDS)
            return {hit.chunk.id: (hit.score / hits[0].score) ** 2 for hit in hits if hit.score > 0}
        ids = self.graph.chunks
        cosines = self._matrix(ids) @ self.params.embedder.embed([query], "query")[0]
        best = np.argsort(-cosines, kind="stable")[:_SEEDS].tolist()
        return {ids[at]: max(float(cosines[at]), 0.0) ** 2 for at in best}

    def _matrix(self, ids: Sequence[str]) -> Any:
        return np.stack([self._vectors[id] for id in ids])

    def rank(self, query: str) -> dict[str, float]:
        """Chunks that a walk from the query comes to, with their share of it: personalised PageRank.

        Source: HippoRAG 2 (arXiv:2502.14802): entity seeds by specificity 1 / chunks, chunk seeds times
        `passage_weight`.
        """
        graph = self.graph
        n = len(graph.entities)
        reset = np.zeros(n + len(graph.chunks))
        named = graph.named_in(query)
        if named:
            reset[named] = 1 / graph.frequency[named]
            reset[:n] /= reset[:n].sum()
        at = {id: n + number for number, id in enumerate(graph.chunks)}
        for id, weight in self.seeds(query).items():
            reset[at[id]] = (self.params.passage_weight or 1e-9) * weight
        rank = pagerank(graph.transition, reset, self.params.damping)
        return {id: float(rank[n + number]) for number, id in enumerate(graph.chunks) if rank[n + number] > 0}

    def paths(self, one: str, two: str, k: int = 3, hops: int = 3) -> list[Walk]:
        """The `k` shortest simple paths between the entities of two names; each edge names its evidence."""
        ends = [self.graph.named_in(name.title() if name.islower() else name) for name in (one, two)]
        if not all(ends):
            return []
        return list(islice(shortest_paths(self.graph.neighbours, ends[0][0], ends[1][0], hops), k))

    # ------------------------------------------------------------ on disk

    def _settings(self) -> dict[str, Any]:
        """What stored extractions and vectors depend on."""
        p = self.params
        asked = (
            "\0".join((p.extract_en, p.extract_zh, p.glean_en, p.glean_zh, str(p.gleanings)))
            if p.llm is not None
            else ""
        )
        ready = json.dumps(sorted((*by, told) for by, told in self._ready.items()), default=str) if self._ready else ""
        read = hashlib.sha256(f"{asked}\0{ready}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return {"read": read, "dim": 0 if p.embedder is None else p.embedder.dim}

    def save(self, folder: Path) -> None:
        graph = self.graph  # names are embedded and confirmed now, and kept
        self._gone = {}
        content = {
            "format": "dougong.graph", "version": VERSION, "settings": self._settings(),
            "chunks": [
                [id, record.document, record.start, record.digest, as_json(record.extraction)]
                for id, record in sorted(self._records.items())
            ],
            "told": {
                of: {name: self.asking.told[name] for name in sorted(used)} for of, used in self.asking.used.items()
            },
            "undone": sorted(self._undone), "names": sorted(self._names),
        }  # fmt: skip
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.params.lexical.save(folder / "lexical")
            if self.params.embedder is not None:
                dim = self.params.embedder.dim
                rows = [self._vectors[id] for id in graph.chunks] + [self._names[name] for name in sorted(self._names)]
                with open(folder / "vectors.npy", "xb") as file:
                    np.save(file, np.stack(rows) if rows else np.zeros((0, dim), np.float32), allow_pickle=False)
                    _settle(file)
            with open(folder / _HEADER, "x", encoding="utf-8", errors="surrogatepass") as file:
                json.dump(content, file, ensure_ascii=False, separators=(",", ":"))
                _settle(file)
        except OSError as problem:
            raise StoreError(f"cannot save the graph in {folder}: {problem}", hint="give an empty folder") from problem

    def load(self, folder: Path, chunks: Mapping[str, Chunk]) -> None:
        try:
            content = json.loads((folder / _HEADER).read_text("utf-8", errors="surrogatepass"))
            if content["format"] != "dougong.graph":
                raise ValueError("another format")
            version, settings = int(content["version"]), content["settings"]
            if version <= VERSION and settings == self._settings():
                records = {
                    str(id): Record(str(document), int(start), str(digest), from_json(rows))
                    for id, document, start, digest, rows in content["chunks"]
                }
                told = {
                    of: {str(n): str(reply) for n, reply in content["told"][of].items()} for of in ("same", "report")
                }
                undone = frozenset(_pair(one, two) for one, two in content["undone"])
                names = list(map(str, content["names"]))
                vectors = self._rows(folder, len(records) + len(names))
        except (OSError, ValueError, KeyError, TypeError, EOFError, AttributeError) as problem:
            raise StoreError(f"{folder} holds no complete graph: {problem}", hint="index again") from problem
        if version > VERSION:
            raise StoreError(f"{folder} was written by a newer version", hint="pip install -U dougong-retriever-graph")
        if settings != self._settings():
            raise StoreError(f"{folder} was saved with another embedder, model, prompts or triples", hint="index again")
        self.params.lexical.load(folder / "lexical", chunks)
        self._reset(records, chunks, dict(zip(sorted(records), vectors)), told["same"] | told["report"])
        self._names = dict(zip(names, vectors[len(records) :]))
        self._undone = undone
        self.asking.used = {of: set(replies) for of, replies in told.items()}

    def _rows(self, folder: Path, count: int) -> Any:
        if self.params.embedder is None:
            return np.zeros((0, 0), np.float32)
        rows = np.load(folder / "vectors.npy", allow_pickle=False)
        if rows.shape != (count, self.params.embedder.dim):
            raise ValueError(f"vectors.npy holds {rows.shape}, not {count} vectors")
        return rows


def _settle(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _pair(one: str, two: str) -> Pair:
    a, b = sorted((key(one), key(two)))
    return a, b
