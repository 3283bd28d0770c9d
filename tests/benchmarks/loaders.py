"""Loaders of HTML, DOCX and text: spans, main content beside trafilatura, encodings beside charset-normalizer, memory.

    python tests/benchmarks/loaders.py --data DIR [--pages DIR] [--docling DIR]

`--pages` is the folder ``tests`` of a checkout of adbar/trafilatura (its 990 annotated pages), `--docling` the folder
``tests/data/docx`` of one of docling-project/docling (its documents and what they should be read as).
"""

from __future__ import annotations

import argparse
import hashlib
import html
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from _bench import data, row, side_by_side, skipped
from dougong import Document, make
from dougong_loader_html.html import declared, parse
from dougong_loader_text.decoding import decode

SCRIPTS = ("English", "simplified", "traditional")
CODECS = {
    "English": ("utf-8", "utf-16-le", "cp1252"),
    "simplified": ("utf-8", "gb18030", "utf-16-le", "utf-16-be"),
    "traditional": ("utf-8", "big5", "gb18030", "utf-16-le", "utf-16-be"),
}
SAMPLES = 60


def violations(document: Document) -> int:
    """How many nodes break the contract of spans: order, nesting, edges, titles."""
    text, tree = document.text, document.tree
    assert tree is not None
    found = int(tree.span.of(text) != text) + len(re.findall("[\ud800-\udfff]", text))
    for node in tree.walk():
        at = node.span.start
        for child in node.children:
            found += not (at <= child.span.start <= child.span.end <= node.span.end)
            at = child.span.end
        said = node.span.of(text)
        found += node.kind == "heading" and said != node.title
        found += node.kind in ("heading", "paragraph", "item", "cell", "caption", "quote") and said != said.strip()
    return found


def spans(root: Path) -> None:
    for kind in ("html", "docx"):
        files = sorted(root.rglob(f"*.{kind}"))
        loaders = [make("loader.html"), make("loader.html", main=False)] if kind == "html" else [make("loader.docx")]
        documents = [loader.load(file) for loader in loaders for file in files]
        broken = sum(map(violations, documents))
        nodes = sum(sum(1 for _ in document.tree.walk()) for document in documents)
        row(f"{kind}: broken spans in {nodes} nodes of {len(files)} files", broken, "nodes", bar="0", holds=broken == 0)


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text))


def overlap(name: str, found: Counter[str], wanted: Counter[str]) -> None:
    both = sum((found & wanted).values())
    row(f"{name}: recall of words", both / max(1, sum(wanted.values())), "")
    row(f"{name}: precision of words", both / max(1, sum(found.values())), "")


def duck(root: Path) -> None:
    """The one whole page among the data: its article, as its own markup tells it, and how much of it is found."""
    from selectolax.lexbor import LexborHTMLParser
    from trafilatura import extract

    markup = (root / "html" / "wiki_duck.html").read_text(encoding="utf-8")
    page = LexborHTMLParser(markup)
    for node in page.css("script, style, .navbox, .mw-editsection, .noprint, .catlinks, sup.reference"):
        node.decompose()
    article = page.css_first("#mw-content-text > .mw-parser-output")
    assert article is not None
    wanted = words(article.text(separator=" "))
    cut = re.compile(r"\[\w+\]")  # marks of references
    overlap("wiki_duck, ours", words(cut.sub("", parse(markup)[0])), wanted)
    overlap("wiki_duck, trafilatura", words(cut.sub("", extract(markup, include_tables=True) or "")), wanted)
    overlap("wiki_duck, ours, main: false", words(cut.sub("", parse(markup, False)[0])), wanted)
    times = side_by_side({"ours": lambda: parse(markup), "trafilatura": lambda: extract(markup)})
    ratio = times["ours"] / times["trafilatura"]
    row("wiki_duck: time", times["ours"] * 1000, "ms", against="trafilatura", ratio=ratio)


def pages(folder: Path) -> None:
    """Passages that annotators wanted in the text and out of it. The rules were tuned on the half named `tuned`."""
    from trafilatura import extract

    def ours(page: bytes, main: bool = True) -> str:
        return parse(decode(page, folder, declared=declared(page))[0], main)[0]

    def theirs(page: bytes) -> str:
        return extract(page.decode("utf-8", "replace"), include_comments=False, include_tables=True) or ""

    readers: dict[str, Callable[[bytes], str]] = {"ours": ours, "trafilatura": theirs}
    readers["all that shows"] = lambda page: ours(page, False)
    annotated = json.loads((folder / "evaldata.json").read_text(encoding="utf-8")).values()
    for half in ("held out", "tuned"):
        for name, reader in readers.items():
            tally: Counter[str] = Counter()
            for item in annotated:
                if (int(hashlib.md5(item["file"].encode()).hexdigest(), 16) % 2 == 0) != (half == "tuned"):
                    continue
                file = next(place for place in (folder / "cache", folder / "eval") if (place / item["file"]).exists())
                text = " ".join(reader((file / item["file"]).read_bytes()).split())
                for key in ("with", "without"):
                    for passage in item.get(key, [])[:6]:
                        tally[key, " ".join(passage.split()) in text] += 1
            right, wrong = tally["with", True], tally["without", True]
            recall, precision = right / (right + tally["with", False]), right / (right + wrong)
            score = 2 * recall * precision / (recall + precision)
            for what, value in (("recall", recall), ("precision", precision), ("F1", score)):
                row(f"{len(annotated)} pages, {half}: {name}: {what} of passages", value, "")


def docling(folder: Path) -> None:
    """Words beside docling's ground truth in Markdown; what it writes as markup is not counted."""
    found: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    loader = make("loader.docx")
    for file in sorted((folder / "sources").glob("*.docx")):
        truth = folder / "groundtruth" / (file.name + ".md")
        if truth.exists():
            text = html.unescape(re.sub(r"<!--.*?-->|\]\([^)]*\)", "", truth.read_text(encoding="utf-8")))
            found += Counter({(file.name, word): n for word, n in words(loader.load(file).text).items()})
            wanted += Counter({(file.name, word): n for word, n in words(text.replace("\\_", "_")).items()})
    overlap(f"docling's {len({name for name, _ in wanted})} documents", found, wanted)


# ---------------------------------------------------------------- encodings


def texts(root: Path) -> dict[str, str]:
    """Running text of each script: WikiText, and a Chinese reader's questions and passages; traditional by OpenCC."""
    from opencc import OpenCC

    english = (
        (root / "text" / "wikitext2-test.txt").read_text(encoding="utf-8").replace(" @-@ ", "-").replace("<unk>", "")
    )
    passages = json.loads((root / "cmrc2018" / "cmrc2018_dev.json").read_text(encoding="utf-8"))
    contexts = [part["context"] for item in passages["data"] for part in item["paragraphs"]]
    chinese = "\n".join(contexts)[:400_000]
    return {"English": english, "simplified": chinese, "traditional": OpenCC("s2t").convert(chinese)}


def samples(text: str, codec: str, length: int) -> Iterator[tuple[str, bytes]]:
    rng = random.Random(length)
    made = 0
    while made < SAMPLES:
        start = rng.randrange(len(text) - length)
        piece = text[start : start + length]
        try:
            yield piece, piece.encode(codec)
        except UnicodeEncodeError:
            piece = piece.encode(codec, "ignore").decode(codec)
            yield piece, piece.encode(codec)
        made += 1


def encodings(root: Path) -> None:
    from charset_normalizer import from_bytes

    def ours(piece: bytes) -> str:
        try:
            return decode(piece, root)[0]
        except Exception:
            return ""

    def theirs(piece: bytes) -> str:
        best = from_bytes(piece).best()
        return str(best) if best else ""

    total: Counter[str] = Counter()
    for script, text in texts(root).items():
        for codec in CODECS[script]:
            for length in (20, 100, 1000, 10_000):
                right = {"ours": 0, "charset-normalizer": 0}
                tried = list(samples(text, codec, length))[: SAMPLES if length < 10_000 else 15]
                for piece, encoded in tried:
                    right["ours"] += ours(encoded) == piece
                    right["charset-normalizer"] += theirs(encoded) == piece
                total["tried"] += len(tried)
                total.update(right)
                name = f"encoding: {script}, {codec}, {length} characters: read right"
                share = {who: count / len(tried) for who, count in right.items()}
                row(name, share["ours"], "", against=f"charset-normalizer {share['charset-normalizer']:.3g}")
    for who in ("ours", "charset-normalizer"):
        row(f"encoding: all {total['tried']} samples: {who}: read right", total[who] / total["tried"], "")


# ---------------------------------------------------------------- memory

CHILD = """
import resource, sys
from pathlib import Path
from dougong_loader_text import Params
from dougong_loader_text.text import TextLoader
loader = TextLoader(Params(max_megabytes=1000))
loader.load(Path(sys.argv[1]))  # a small one, for what is imported on the way
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
document = loader.load(Path(sys.argv[2]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print((peak * 1024) / sys.getsizeof(document.text), len(document.tree.children))
"""


def memory() -> None:
    """Peak memory of loading a text of 200 MB, in sizes of the string that it becomes."""
    line = "The quick brown fox jumps over the lazy dog and thinks about it for a while. "
    cases = {
        "ASCII, paragraphs of 800 bytes": ((line * 10 + "\n\n").encode(), 3),
        "ASCII, paragraphs of 80 bytes": ((line + "\n\n").encode(), 6),
        "Latin-1 letters in UTF-8": (("Déjà vu à Noël, où l'été s'achève. " * 20 + "\n\n").encode(), 3),
        "Latin-1 letters in cp1252": (("Déjà vu à Noël, où l'été s'achève. " * 20 + "\n\n").encode("cp1252"), 3),
        "Chinese in UTF-8": (("话说天下大势，分久必合，合久必分。" * 20 + "\n\n").encode(), 6),
        "Chinese in GB 18030": (("话说天下大势，分久必合，合久必分。" * 20 + "\n\n").encode("gb18030"), 6),
    }
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.txt", Path(folder) / "large.txt"
        for name, (piece, most) in cases.items():
            small.write_bytes(piece)
            with large.open("wb") as file:
                for _ in range(200):
                    file.write(piece * (1_000_000 // len(piece)))
            command = [sys.executable, "-c", CHILD, str(small), str(large)]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            what = f"200 MB of text, {name} ({int(said[1]):,} of them): peak memory"
            row(what, float(said[0]), "sizes of the string", bar=f"<= {most}", holds=float(said[0]) <= most)


def main() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    for name in ("pages", "docling", "only"):
        parser.add_argument(f"--{name}")
    given = parser.parse_known_args()[0]
    chosen = set((given.only or "spans duck pages docling encodings memory").replace(",", " ").split())
    root = data("documents")
    if root is not None:
        for measure in (spans, duck):
            if measure.__name__ in chosen:
                measure(root)
        if "encodings" in chosen:
            encodings(root.parent)
    for name, run in (("pages", pages), ("docling", docling)):
        if name in chosen and getattr(given, name):
            run(Path(getattr(given, name)))
        elif name in chosen:
            skipped(f"loaders: {name}", f"no data; give --{name} DIR")
    if "memory" in chosen:
        memory()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
