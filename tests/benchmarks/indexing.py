"""``dougong index`` over a folder of Markdown, text and HTML, against LlamaIndex, Haystack and LangChain.

Every contender is a process of its own that goes from files to a searchable BM25 index, in chunks of at most 400
characters, and saves it where it can; processes take turns. The peers get the parsers that ours stands on,
markdown-it-py (blocks) and lexbor, in the shortest code that uses them: a title of Markdown, the text of a page, no
tree. They live in an environment of their own (``pip install -r requirements-rag.txt``), whose Python ``--peers``
names; without it only ours is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from _bench import data, row, skipped

SIZE = 400  # characters a chunk at most
SUFFIXES = (".md", ".txt", ".html")
OLD = 10**18  # a time far enough back to be trusted by a sync
CONFIG = """main: {{use: pattern.rag, retriever: {{ref: library}}, llm: {{use: extractive}}}}
library:
  use: retriever.library
  sources: [{docs}]
  path: {store}
  chunker: {{use: recursive, size: {size}, tokenizer: {{use: characters}}}}
"""


# ---------------------------------------------------------------- peers: run by the Python of --peers


def texts(docs: Path, plain: bool) -> Iterator[tuple[Path, str, str]]:
    """Path, text and title of each file: Markdown and text as written, of HTML what it says."""
    from markdown_it import MarkdownIt
    from selectolax.lexbor import LexborHTMLParser

    markdown = MarkdownIt("commonmark").enable("table")
    markdown.core.ruler.disable("inline")
    for path in sorted(file for file in docs.rglob("*") if file.is_file()):
        text, title = path.read_text(encoding="utf-8"), path.name
        if path.suffix == ".html":
            page = LexborHTMLParser(text)
            text = page.body.text(separator="\n") if page.body else ""
        elif path.suffix == ".md" and not plain:
            tokens = markdown.parse(text)
            title = next((b.content for a, b in pairwise(tokens) if a.type == "heading_open"), title)
        yield path, text, title


def of_langchain(docs: Path, store: Path, plain: bool) -> tuple[list[Any], Callable[[], None] | None]:
    from langchain_community.retrievers import BM25Retriever
    from langchain_core.documents import Document
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(chunk_size=SIZE, chunk_overlap=0, add_start_index=True)
    made = [Document(text, metadata={"source": str(p), "title": title}) for p, text, title in texts(docs, plain)]
    chunks = splitter.split_documents(made)
    BM25Retriever.from_documents(chunks)
    return [(c.metadata["source"], c.page_content, c.metadata["start_index"]) for c in chunks], None


def of_haystack(docs: Path, store: Path, plain: bool) -> tuple[list[Any], Callable[[], None] | None]:
    from haystack import Document
    from haystack.components.preprocessors import RecursiveDocumentSplitter
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    splitter = RecursiveDocumentSplitter(
        split_length=SIZE, split_overlap=0, split_unit="char", separators=["\n\n", "\n", " "]
    )
    made = [Document(content=text, meta={"source": str(p), "title": t}) for p, text, t in texts(docs, plain) if text]
    chunks = splitter.run(made)["documents"]
    memory = InMemoryDocumentStore()
    memory.write_documents(chunks)
    found = [(c.meta["source"], c.content, c.meta["split_idx_start"]) for c in chunks]
    return found, lambda: memory.save_to_disk(str(store / "store.json"))


def of_llamaindex(docs: Path, store: Path, plain: bool) -> tuple[list[Any], Callable[[], None] | None]:
    from llama_index.core import Document
    from llama_index.core.node_parser import SentenceSplitter
    from llama_index.retrievers.bm25 import BM25Retriever

    splitter = SentenceSplitter(chunk_size=SIZE, chunk_overlap=0, tokenizer=list)
    keys = ["source", "title"]  # left out, or they count against the size of a chunk
    hidden = {"excluded_embed_metadata_keys": keys, "excluded_llm_metadata_keys": keys}
    made = [Document(text=t, metadata={"source": str(p), "title": n}, **hidden) for p, t, n in texts(docs, plain)]
    nodes = splitter.get_nodes_from_documents(made)
    retriever = BM25Retriever.from_defaults(nodes=nodes)
    found = [(n.metadata["source"], n.text, -1 if n.start_char_idx is None else n.start_char_idx) for n in nodes]
    return found, lambda: retriever.persist(str(store))


PEERS = {
    "LangChain": (
        of_langchain,
        "saves nothing (pickle aside): every start indexes all again; words are split on white space, with their case "
        "and marks, Chinese not at all",
    ),
    "Haystack": (
        of_haystack,
        "saves one JSON file, all at once and in place of the last; finds no changed files; words as they are, no "
        "stems, Chinese by the character",
    ),
    "LlamaIndex": (
        of_llamaindex,
        "saves all at once; its BM25 cannot grow: a changed file indexes all again; English stems, Chinese not cut",
    ),
}


def contend(name: str, docs: Path, store: Path, plain: bool) -> None:
    """One peer, once: seconds without imports until it can be searched and until it is saved; chunks, exact offsets."""
    of, _ = PEERS[name]
    with tempfile.TemporaryDirectory() as trial:
        (Path(trial) / "one.md").write_text("# One\n\nA page.\n", encoding="utf-8")
        of(Path(trial), store, plain)  # imports
    began = time.perf_counter()
    chunks, save = of(docs, store, plain)
    ready = time.perf_counter() - began
    if save:
        save()
    saved = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = {"ready": ready, "saved": saved, "cpu": used.ru_utime + used.ru_stime, "memory": used.ru_maxrss / 1e3}
    print(json.dumps({**figures, "chunks": len(chunks)}), flush=True)  # here the clock of the whole process stops
    sources = {str(path): text for path, text, _ in texts(docs, plain)}
    exact = sum(start >= 0 and sources[source].startswith(text, start) for source, text, start in chunks)
    print(json.dumps({"exact": exact / len(chunks)}))


# ---------------------------------------------------------------- figures


def write_corpus(source: Path, folder: Path, copies: int) -> tuple[int, int]:
    """The readable documents, `copies` times under different names; gives files and bytes."""
    files, size = 0, 0
    for number in range(copies):
        for file in sorted(path for path in source.rglob("*") if path.suffix in SUFFIXES):
            target = folder / f"{number:02}" / file.relative_to(source).parent / f"{number:02}-{file.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
            os.utime(target, ns=(OLD, OLD))
            files, size = files + 1, size + target.stat().st_size
    return files, size


def timed(command: list[str], log: Path, read: Callable[[IO[str]], str]) -> dict[str, Any]:
    """Wall seconds of a command until `read` has what it waits for; processor seconds and peak memory (MB) of it."""
    environment = {**os.environ, "HAYSTACK_TELEMETRY_ENABLED": "False", "PYTHONWARNINGS": "ignore"}
    with log.open("w+", encoding="utf-8") as errors:
        began = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True)
        assert child.stdout is not None
        with child.stdout as stream:
            printed = read(stream)
            seconds = time.perf_counter() - began
            rest = stream.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            errors.seek(0)
            raise RuntimeError(errors.read()[-2000:])
    measured = {"seconds": seconds, "cpu": used.ru_utime + used.ru_stime, "memory": used.ru_maxrss / 1e3}
    return {**measured, **json.loads(printed), **json.loads(rest or "{}")}


def ours(root: Path) -> dict[str, Any]:
    """The command itself, on whatever store there is."""
    config = root / "rag.yaml"
    config.write_text(CONFIG.format(docs=root / "docs", store=root / "library", size=SIZE), encoding="utf-8")
    command = [sys.executable, "-m", "dougong", "index", str(config), "--json"]
    done = timed(command, root / "ours.log", lambda stream: stream.read())
    seconds = done["library"]["seconds"]  # modules load while it works: they count here, and not for the peers
    return {**done["library"], **done, "ready": seconds, "saved": seconds}


def exact_spans(config: Path) -> float:
    """The share of our chunks whose span names their text: in the file itself, for HTML in what its loader reads anew.

    Not in the stored text: a chunk is read back as a slice of that, and would always agree.
    """
    import dougong

    library = dougong.load(config)["library"]
    html = dougong.make("loader.html")
    texts = {}
    for entry in library.documents():
        path = Path(entry.source)
        with path.open(encoding="utf-8", newline="") as file:
            texts[entry.id] = html.load(path).text if path.suffix == ".html" else file.read()
    chunks = list(library._store.chunks.values())
    return sum(chunk.span.of(texts[chunk.document]) == chunk.text for chunk in chunks) / len(chunks)


def size_of(folder: Path) -> float:
    return sum({f.stat().st_ino: f.stat().st_size for f in folder.rglob("*") if f.is_file()}.values()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of the public data (or DOUGONG_DATA)")
    parser.add_argument("--peers", help="Python of the environment that the peers are installed in")
    parser.add_argument("--copies", type=int, default=10, help="how often each document is copied (1.1 MB each time)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contender", choices=PEERS, help="run one peer, once; with --docs, --store, --plain")
    parser.add_argument("--spans", type=Path, help="the share of exact spans in the library of this config")
    parser.add_argument("--docs", type=Path)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--plain", action="store_true", help="without parsing Markdown")
    arguments = parser.parse_args()
    if arguments.contender:
        contend(arguments.contender, arguments.docs, arguments.store, arguments.plain)
        return
    if arguments.spans:
        print(json.dumps({"exact": exact_spans(arguments.spans)}))
        return
    if (source := data("documents")) is None:
        return
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        files, size = write_corpus(source, root / "docs", arguments.copies)
        measure(root, files, size / 1e6, arguments.peers, arguments.rounds)


def measure(root: Path, files: int, megabytes: float, peers: str | None, rounds: int) -> None:
    contenders: dict[str, Callable[[], dict[str, Any]]] = {"dougong index": lambda: fresh(root)}
    if peers is None:
        skipped("indexing: peers", "give --peers PYTHON of an environment with requirements-rag.txt")
    else:
        for peer in PEERS:
            contenders[peer] = lambda peer=peer: of_peer(root, peers, peer, [])
        for peer in ("Haystack", "LangChain"):
            contenders[f"{peer}, Markdown not parsed"] = lambda peer=peer: of_peer(root, peers, peer, ["--plain"])
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for turn in range(rounds):
        for name in [*contenders][turn % len(contenders) :] + [*contenders][: turn % len(contenders)]:
            try:
                runs[name].append(contenders[name]())
            except RuntimeError as problem:
                if name == "dougong index":
                    raise
                skipped(f"indexing: {name}", str(problem)[-300:])
    about = f"{files:,} files, {megabytes:.1f} MB"
    found = {
        name: {key: statistics.median(run[key] for run in of) for key in FIGURES} for name, of in runs.items() if of
    }
    our = found.pop("dougong index")
    for name, figures in {"dougong index": our, **found}.items():
        row(f"{name}: {about}, the whole process", megabytes / figures["seconds"], "MB/s")
        row(f"{name}: without its start", megabytes / figures["saved"], "MB/s")
        row(f"{name}: processor time of the process", figures["cpu"], "s")
        row(f"{name}: peak memory", figures["memory"], "MB")
        row(f"{name}: chunks", figures["chunks"], "chunks")
        row(f"{name}: chunks whose offsets give their text", figures["exact"], "share")
        row(f"{name}: on disk", figures["disk"] or None, "MB", against=PEERS.get(name, ("", ""))[1])
    bars = {"Haystack": 2.0, "LangChain": 1.0}
    for name, figures in found.items():
        for what, key in (("speed", "seconds"), ("speed without the start", "saved"), ("processor time", "cpu")):
            ratio, least = figures[key] / our[key], bars.get(name) if key == "seconds" else None
            bar, holds = (f">= {least}", ratio >= least) if least else ("", None)
            row(f"dougong index: {what}", our[key], "s", against=name, ratio=ratio, bar=bar, holds=holds)
        ratio = figures["ready"] / our["saved"]
        row(
            "dougong index: speed, ours saved and the peer's in memory only",
            our["saved"],
            "s",
            against=name,
            ratio=ratio,
        )
    renewals(root, our["seconds"], files, rounds)


FIGURES = ("seconds", "ready", "saved", "cpu", "memory", "chunks", "exact", "disk")


def fresh(root: Path) -> dict[str, Any]:
    shutil.rmtree(root / "library", ignore_errors=True)
    done = ours(root)
    assert not done["failed"], done["failed"]
    # In a process of its own: a child's peak memory starts at its parent's, which so has to stay small.
    check = timed(
        [sys.executable, __file__, "--spans", str(root / "rag.yaml")], root / "check.log", lambda stream: stream.read()
    )
    return {**done, "exact": check["exact"], "disk": size_of(root / "library")}


def of_peer(root: Path, python: str, name: str, options: list[str]) -> dict[str, Any]:
    store = root / name
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir()
    command = [python, __file__, "--contender", name, "--docs", str(root / "docs"), "--store", str(store), *options]
    done = timed(command, root / "peer.log", lambda stream: stream.readline())
    return {**done, "disk": size_of(store)}


def renewals(root: Path, first: float, files: int, rounds: int) -> None:
    """The command again with nothing changed, and with one file changed; no peer here finds out what changed."""
    again, one = [], []
    changed = next(file for file in sorted((root / "docs").rglob("*.md")))
    for turn in range(1, rounds + 1):
        done = ours(root)
        assert (done["unchanged"], done["added"], done["updated"], done["chunks"]) == (files, 0, 0, 0), done
        again.append(done["seconds"])
        changed.write_text(changed.read_text(encoding="utf-8") + f"\n\nParagraph {turn} is new.\n", encoding="utf-8")
        os.utime(changed, ns=(OLD + turn, OLD + turn))
        done = ours(root)
        assert (done["unchanged"], done["updated"]) == (files - 1, 1), done
        one.append(done["seconds"])
    for what, seconds in (("nothing changed", again), ("one file changed", one)):
        median = statistics.median(seconds)
        row(f"dougong index: {what}, the whole process", median, "s", against="the first time", ratio=median / first)


if __name__ == "__main__":
    main()
