"""One system in three frameworks: hybrid search (BM25 and vectors, fused by reciprocal rank) over the same chunks.

All contenders get the same texts and vectors: those of all-MiniLM-L6-v2, computed before by `embedder.minilm` and
looked up, by ours in the embedder's cache, by the peers in memory. The peers are handed ready chunks; ours starts from
the files, and loads, cuts and stores them too. Each is a process of its own, by turns; the peers' Python is ``--peers``
(``requirements-rag.txt``).
"""

from __future__ import annotations

import argparse
import inspect
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _bench import data, row, skipped

TOP = 5
QUESTIONS = 100
CONFIG = """main:
  use: retriever.library
  sources: [{docs}]
  path: {store}
  chunker: {{use: recursive, size: 120}}
  index:
    use: hybrid
    fuse: rrf
    of: [{{use: bm25}}, {{use: {dense}, embedder: {{use: minilm, cache: {cache}}}}}]
"""


def ours(root: Path, store: Path) -> Any:
    import dougong

    library = dougong.load(root / f"{store.name}.yaml")["main"]
    library.sync()
    return lambda query: [hit.chunk.id for hit in library.search(query, TOP)]


# ---------------------------------------------------------------- peers: run by the Python of --peers


def read(root: Path) -> tuple[list[dict[str, str]], dict[str, list[float]]]:
    """Chunks, and the vector of each text and query."""
    import numpy as np

    given = json.loads((root / "given.json").read_text(encoding="utf-8"))
    vectors = np.load(root / "vectors.npy").tolist()
    texts = [chunk["text"] for chunk in given["chunks"]] + given["queries"]
    return given["chunks"], dict(zip(texts, vectors, strict=True))


def llamaindex(chunks: list[dict[str, str]], vectors: dict[str, list[float]], store: Path) -> Any:
    from llama_index.core import VectorStoreIndex
    from llama_index.core.embeddings import BaseEmbedding
    from llama_index.core.llms import MockLLM
    from llama_index.core.retrievers import QueryFusionRetriever
    from llama_index.core.schema import TextNode
    from llama_index.retrievers.bm25 import BM25Retriever

    class Given(BaseEmbedding):
        def _get_text_embedding(self, text: str) -> list[float]:
            return vectors[text]

        def _get_query_embedding(self, query: str) -> list[float]:
            return vectors[query]

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return vectors[query]

    nodes = [TextNode(id_=chunk["id"], text=chunk["text"]) for chunk in chunks]
    index = VectorStoreIndex(nodes, embed_model=Given())
    words = BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=200)
    parts = [words, index.as_retriever(similarity_top_k=200)]
    fused = QueryFusionRetriever(
        parts, llm=MockLLM(), mode="reciprocal_rerank", similarity_top_k=TOP, num_queries=1, use_async=False
    )
    index.storage_context.persist(str(store / "vectors"))
    words.persist(str(store / "words"))
    return lambda query: [hit.node.node_id for hit in fused.retrieve(query)]


def haystack(chunks: list[dict[str, str]], vectors: dict[str, list[float]], store: Path) -> Any:
    from haystack import Document
    from haystack.components.joiners import DocumentJoiner
    from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    memory = InMemoryDocumentStore(embedding_similarity_function="cosine")
    memory.write_documents([Document(id=c["id"], content=c["text"], embedding=vectors[c["text"]]) for c in chunks])
    words = InMemoryBM25Retriever(memory, top_k=200)
    near = InMemoryEmbeddingRetriever(memory, top_k=200)
    join = DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=TOP)
    memory.save_to_disk(str(store / "store.json"))

    def search(query: str) -> list[str]:
        found = [words.run(query)["documents"], near.run(vectors[query])["documents"]]
        return [document.id for document in join.run(found)["documents"]]

    return search


PEERS = {
    "LlamaIndex": (
        llamaindex,
        "finds no changed files; its BM25 cannot grow, every change indexes all again; saves vectors as JSON, whole; "
        "no exact spans of the source; Chinese not cut",
    ),
    "Haystack": (
        haystack,
        "finds no changed files; saves one JSON file, whole, in place of the last; words as they are, no stems; no "
        "exact spans of the source",
    ),
}


def contend(name: str, root: Path, store: Path) -> dict[str, Any]:
    """Seconds until everything is indexed and saved, and of a query; the whole process's memory (MB)."""
    if name in PEERS:
        chunks, vectors = read(root)
        of = PEERS[name][0]
        (store / "trial").mkdir(parents=True)
        search = of(chunks[:3], vectors, store / "trial")  # imports
    queries = json.loads((root / "given.json").read_text(encoding="utf-8"))["queries"]
    if name not in PEERS:
        import dougong  # noqa: F401

    began, used = time.perf_counter(), time.process_time()
    search = of(chunks, vectors, store) if name in PEERS else ours(root, store)
    ready, cpu = time.perf_counter() - began, time.process_time() - used
    search(queries[0])
    times, found = [], []
    for query in queries:
        start = time.perf_counter()
        found.append(search(query))
        times.append(time.perf_counter() - start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"ready": ready, "cpu": cpu, "query": statistics.median(times), "memory": memory, "found": found}


# ---------------------------------------------------------------- figures


def give(root: Path, source: Path, copies: int, cache: Path) -> int:
    """Files, configs, and the chunks and vectors that the library makes of them; gives the number of chunks."""
    import dougong
    import numpy as np

    for number in range(copies):
        for file in sorted(path for path in source.rglob("*") if path.suffix in (".md", ".txt", ".html")):
            target = root / "docs" / f"{number:02}" / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    for dense in ("exact", "hnsw"):
        config = CONFIG.format(docs=root / "docs", store=root / dense, dense=dense, cache=cache)
        (root / f"{dense}.yaml").write_text(config, encoding="utf-8")
    library = dougong.make(
        "retriever.library",
        sources=[str(root / "docs")],
        path=str(root / "given"),
        chunker={"use": "recursive", "size": 120},
    )
    library.sync()
    stored = list(library._store.chunks.values())
    chunks = [{"id": chunk.id, "text": chunk.index_text} for chunk in stored]
    step = max(1, len(stored) // QUESTIONS)
    queries = [" ".join(chunk.text.split()[3:11]) or "what" for chunk in stored[::step]][:QUESTIONS]
    embedder = dougong.make("embedder.minilm", cache=str(cache))
    passages = embedder.embed([chunk["text"] for chunk in chunks])
    np.save(root / "vectors.npy", np.concatenate([passages, embedder.embed(queries, role="query")]))
    (root / "given.json").write_text(json.dumps({"chunks": chunks, "queries": queries}), encoding="utf-8")
    return len(chunks)


def lines(text: str) -> int:
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in text.splitlines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of the public data (or DOUGONG_DATA)")
    parser.add_argument("--peers", help="Python of the environment that the peers are installed in")
    parser.add_argument("--copies", type=int, default=1, help="how often each document is copied (1.1 MB each time)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cache", type=Path, help="file of MiniLM's vectors, kept for the next time")
    parser.add_argument("--contender", choices=("exact", "hnsw", *PEERS))
    parser.add_argument("--root", type=Path)
    parser.add_argument("--give", type=Path, help="write what the contenders are given, from this folder of documents")
    arguments = parser.parse_args()
    if arguments.contender:
        name = arguments.contender
        print(json.dumps(contend(name, arguments.root, arguments.root / name)))
        return
    if arguments.give:
        print(give(arguments.root, arguments.give, arguments.copies, arguments.cache))
        return
    if (source := data("documents")) is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        cache = (arguments.cache or root / "vectors.db").absolute()
        # In a process of its own: a child's peak memory starts at its parent's, which so has to stay small.
        options = ["--give", str(source), "--root", str(root), "--copies", str(arguments.copies), "--cache", str(cache)]
        done = subprocess.run([sys.executable, __file__, *options], check=True, stdout=subprocess.PIPE, text=True)
        measure(root, int(done.stdout), arguments.peers, arguments.rounds)


def measure(root: Path, chunks: int, peers: str | None, rounds: int) -> None:
    pythons = {"exact": sys.executable, "hnsw": sys.executable}
    if peers is None:
        skipped("assembly: peers", "give --peers PYTHON of an environment with requirements-rag.txt")
    else:
        pythons |= dict.fromkeys(PEERS, peers)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in pythons}
    for turn in range(rounds):
        for name in [*pythons][turn % len(pythons) :] + [*pythons][: turn % len(pythons)]:
            shutil.rmtree(root / name, ignore_errors=True)
            command = [pythons[name], __file__, "--contender", name, "--root", str(root)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
            runs[name].append(json.loads(done.stdout.splitlines()[-1]))
    figures = {
        name: {key: statistics.median(run[key] for run in of) for key in ("ready", "cpu", "query", "memory")}
        for name, of in runs.items()
    }
    config = lines(CONFIG) + lines(inspect.getsource(ours)) - 1
    units = {"ready": ("indexed and saved", "s"), "cpu": ("processor time of that, without workers", "s")}
    units |= {"query": ("a query, median", "ms"), "memory": ("peak memory", "MB")}
    for name, of in figures.items():
        shown = f"dougong, bm25 and {name}" if name not in PEERS else name
        what = "from files, which it loads, cuts and stores" if name not in PEERS else PEERS[name][1]
        for key, (title, unit) in units.items():
            row(f"{shown}: {chunks:,} chunks, {title}", of[key] * (1e3 if key == "query" else 1), unit, against=what)
        count = config if name not in PEERS else lines(inspect.getsource(PEERS[name][0])) - 1
        row(f"{shown}: lines of config and code", count, "lines")
    for name in figures.keys() & PEERS.keys():
        for key, (title, unit) in units.items():
            ratio = figures[name][key] / figures["exact"][key]
            own = figures["exact"][key] * (1e3 if key == "query" else 1)
            row(f"dougong, bm25 and exact: {title}", own, unit, against=name, ratio=ratio)
        pairs = zip(runs[name][0]["found"], runs["exact"][0]["found"], strict=True)
        shared = [len(set(theirs) & set(our)) / TOP for theirs, our in pairs]
        row(f"{name}: of its {TOP} hits, ours has", statistics.mean(shared), "share")


if __name__ == "__main__":
    main()
