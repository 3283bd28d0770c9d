"""Chunking side by side with chonkie, LangChain and semantic-text-splitter: MB/s, fill, hard maximum, exact offsets.

    python tests/benchmarks/chunking.py --data DIR        (or DOUGONG_DATA)

English is WikiText-2's test set, Chinese the Romance of the Three Kingdoms, each repeated to 5 MB (1 MB where words are
counted). "Prose" is the same with the line breaks taken out: one long paragraph, where only sentences limit how full
chunks are. Sizes are 512. Peers run with their own rules, and with rules for Chinese where there is a way to give them;
where words are counted they get our counter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dougong
from _bench import data, row, side_by_side, skipped
from dougong import Chunk, Document, LoadError
from dougong_analyzer.graphemes import joints

SIZE, OVERLAP = 512, 64
BYTES = 5_000_000
Split = Callable[[str], Sequence[Any]]


def texts(folder: Path) -> dict[str, str]:
    english = (folder / "wikitext2-test.txt").read_text(encoding="utf-8")
    chinese = (folder / "sanguo.txt").read_text(encoding="utf-8")
    found = {
        "English": english,
        "Chinese": chinese,
        "English prose": " ".join(english.split()) + " ",
        "Chinese prose": "".join(chinese.split()),
    }
    return {name: text * round(BYTES / len(text.encode())) for name, text in found.items()}


def recursive_peers(chinese: bool, count: Callable[[str], int] = len) -> dict[str, Split]:
    peers: dict[str, Split] = {}
    if find_spec("chonkie"):
        from chonkie import RecursiveChunker, RecursiveLevel, RecursiveRules

        marks = [["\n\n", "\r\n", "\n", "\r"], ["。", "！", "？", "；"], ["，", "、", "："], None]
        rules = {"chonkie": RecursiveRules().levels}
        if chinese:
            rules["chonkie, Chinese rules"] = [RecursiveLevel(delimiters=level) for level in marks]
        for name, levels in rules.items():
            if count is len:
                peers[name] = partial(afresh, RecursiveChunker("character", SIZE, RecursiveRules(levels)))
            else:  # its last level cuts at tokens, which a counter does not give
                peers[name] = partial(afresh, RecursiveChunker(count, SIZE, RecursiveRules(levels[:-1])))
    if find_spec("langchain_text_splitters"):
        from langchain_text_splitters import RecursiveCharacterTextSplitter as Splitter

        separators = {"langchain": None}
        if chinese:
            separators["langchain, Chinese separators"] = ["\n\n", "\n", "。", "！", "？", "；", "，", ""]
        for name, given in separators.items():
            splitter = Splitter(given, chunk_size=SIZE, chunk_overlap=0, length_function=count)
            peers[name] = splitter.split_text
    if find_spec("semantic_text_splitter"):
        from semantic_text_splitter import TextSplitter

        splitter = TextSplitter(SIZE) if count is len else TextSplitter.from_callback(count, SIZE)
        peers["semantic-text-splitter"] = splitter.chunks
    return peers


def afresh(chunker: Any, text: str) -> Sequence[Any]:
    """Chunk by chonkie without the counts that it remembers of an earlier round."""
    type(chunker)._estimate_token_count.cache_clear()
    return chunker.chunk(text)


def fixed_peers(words: bool) -> dict[str, Split]:
    peers: dict[str, Split] = {}
    if find_spec("chonkie"):
        from chonkie import TokenChunker

        peers["chonkie"] = TokenChunker("word" if words else "character", SIZE, OVERLAP).chunk
    if find_spec("langchain_text_splitters") and not words:
        from langchain_text_splitters import CharacterTextSplitter

        splitter = CharacterTextSplitter(separator="", chunk_size=SIZE, chunk_overlap=OVERLAP)
        peers["langchain"] = splitter.split_text
    return peers


def ours(use: str, tokenizer: str, **params: Any) -> Split:
    chunker = dougong.make(f"chunker.{use}", size=SIZE, tokenizer={"use": tokenizer}, **params)
    return lambda text: list(chunker.chunk(Document("d", text)))


def compare(name: str, text: str, mine: Split, peers: dict[str, Split], count: Callable[[str], int], bar: str) -> None:
    """One row a contender: speed, how full its chunks are, and how many are over the maximum."""
    contenders = {"dougong": mine, **peers}
    results = {who: split(text) for who, split in contenders.items()}
    seconds = side_by_side({who: partial(split, text) for who, split in contenders.items()})
    fastest = min(seconds, key=seconds.__getitem__)
    chonkie = seconds.get("chonkie, Chinese rules", seconds.get("chonkie"))  # equal rules: those for the language
    for who, taken in seconds.items():
        speed = len(text.encode()) / taken / 1e6
        if who == "dougong":
            holds = taken <= chonkie if bar and chonkie else None
            row(
                f"{name}: dougong",
                speed,
                "MB/s",
                against="chonkie",
                ratio=chonkie and chonkie / taken,
                bar=bar,
                holds=holds,
            )
            row(f"{name}: time to the fastest's", taken / seconds[fastest], "x", against=fastest)
        else:
            row(f"{name}: {who}", speed, "MB/s")
        sizes = [count(piece if isinstance(piece, str) else piece.text) for piece in results[who]]
        over = sum(size > SIZE for size in sizes)
        fill = sum(sizes) / len(sizes) / SIZE
        if who == "dougong" and name.endswith("prose"):
            row(f"{name}: {who}, fill", fill, "of 512", bar="0.9 or more", holds=fill >= 0.9)
        else:
            row(f"{name}: {who}, fill", fill, "of 512")
        if who == "dougong":
            if name.startswith("recursive"):  # fixed windows are of the document's tokens
                row(f"{name}: chunks over the maximum", over, "chunks", bar="0", holds=over == 0)
            wrong = violations(text, results[who])
            row(f"{name}: span contract broken", wrong, "chunks", bar="0", holds=wrong == 0)
        elif over:
            row(f"{name}: {who}, over the maximum", over, "chunks")


def violations(text: str, chunks: Sequence[Chunk]) -> int:
    """Chunks that are not the text at their span, cut a grapheme, or leave out something before them."""
    inside = joints(text)
    wrong, covered = 0, 0
    for chunk in chunks:
        start, end = chunk.span.start, chunk.span.end
        cut = bool(inside) and bool(inside[start] or inside[end])
        wrong += text[start:end] != chunk.text or cut or bool(text[covered:start].strip())
        covered = max(covered, end)
    return wrong + bool(text[covered:].strip())


def documents(folders: Sequence[Path]) -> None:
    """Load and chunk whole folders, by the files' own structure."""
    loader = dougong.make("loader.files")
    for tokenizer in ("characters", "words"):
        counter = dougong.make(f"tokenizer.{tokenizer}")
        for use, params in (("recursive", {}), ("fixed", {"overlap": OVERLAP})):
            chunker = dougong.make(f"chunker.{use}", size=SIZE, tokenizer={"use": tokenizer}, **params)
            files = found = wrong = over = 0
            for path in sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()):
                try:
                    document = loader.load(path)
                except LoadError:
                    continue
                chunks = list(chunker.chunk(document))
                files, found = files + 1, found + len(chunks)
                wrong += violations(document.text, chunks)
                over += sum(counter.count(chunk.text) > SIZE and not chunk.oversize for chunk in chunks)
            name = f"documents, {use}, {tokenizer}: {files} files, {found} chunks"
            row(f"{name}: span contract broken", wrong, "chunks", bar="0", holds=wrong == 0)
            if use == "recursive":
                row(f"{name}: over the maximum", over, "chunks", bar="0", holds=over == 0)


def main() -> None:
    folder, loadable = data("text"), data("documents")
    for package in ("chonkie", "langchain_text_splitters", "semantic_text_splitter"):
        if find_spec(package) is None:
            skipped(package, "not installed")
    if folder is None:
        return
    words = dougong.make("tokenizer.words")
    for name, text in texts(folder).items():
        chinese = name.startswith("Chinese")
        peers = recursive_peers(chinese)
        if not chinese:
            peers.pop("semantic-text-splitter", None)  # minutes
        compare(
            f"recursive, characters, {name}", text, ours("recursive", "characters"), peers, len, "as fast as chonkie"
        )
        part = text[: len(text) // 5]  # where words are counted: peers count every piece again and again
        if name.endswith("prose"):
            words_peers = {
                who: split for who, split in recursive_peers(chinese, words.count).items() if "chonkie" in who
            }
            compare(
                f"recursive, words, {name}",
                part,
                ours("recursive", "words"),
                words_peers,
                words.count,
                "as fast as chonkie",
            )
        else:
            fixed = ours("fixed", "characters", overlap=OVERLAP)
            compare(f"fixed, characters, {name}", text, fixed, fixed_peers(False), len, "as fast as chonkie")
            peers = recursive_peers(chinese, words.count)
            compare(
                f"recursive, words, {name}", part, ours("recursive", "words"), peers, words.count, "as fast as chonkie"
            )
            peers = {} if chinese else fixed_peers(True)
            compare(f"fixed, words, {name}", part, ours("fixed", "words", overlap=OVERLAP), peers, words.count, "")
    if loadable is not None:
        documents([loadable, folder])


if __name__ == "__main__":
    main()
