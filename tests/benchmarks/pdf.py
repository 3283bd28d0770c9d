"""PDF: structure found in generated files of known structure, pages a second beside pypdf and pdfplumber.

Two typesetters make the files: our own, which knows each line that it paints, and reportlab's. The first 20 seeds of
each were looked at while the loader was written; the 10 after them were held out.
"""

from __future__ import annotations

import re
import sys
import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from _bench import data, row, side_by_side, skipped

SEEN, HELD_OUT = range(20), range(20, 30)
BAR = 0.95
CLASSES = (
    "headings",
    "heading levels",
    "running lines",
    "page of a sentence",
    "table cells",
    "paragraphs",
    "items",
    "captions",
    "contents",
)
HELD_TO_BAR = {"headings", "running lines", "page of a sentence", "table cells"}


def squeezed(text: str) -> str:
    """A text without blanks beside Chinese, which are a matter of typesetting."""
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r" ?(?<=[\u2e80-\uffef]) ?| (?=[\u2e80-\uffef])", "", text)


def masked(text: str) -> str:
    return re.sub(r"[\d\s]+", "#", squeezed(text))


def pages_of(document) -> tuple[list[int], list[int]]:
    """Offsets at which the page changes, and the pages."""
    marks = []
    for node in document.tree.walk():
        if not node.children and "page" in node.meta:
            marks.append((node.span.start, node.meta["page"]))
            marks += [(part["at"], part["page"]) for part in node.meta.get("continues", ())]
    marks.sort()
    return [at for at, _ in marks], [page for _, page in marks]


def found_in(document) -> dict[str, Counter]:
    """What the loader found, by class."""
    text, found = document.text, {name: Counter() for name in CLASSES}
    tables = []
    for node in document.tree.walk():
        said = squeezed(node.span.of(text))
        if node.kind == "heading":
            found["headings"][said, node.meta["page"]] += 1
            found["heading levels"][said, node.level] += 1
        elif node.kind == "paragraph" and not node.meta.get("note"):
            found["paragraphs"][said] += 1
        elif node.kind == "caption":
            found["captions"][said] += 1
        elif node.kind == "table":
            tables.append(node)
        elif node.kind == "contents":
            for item in node.children:
                found["contents"][squeezed(item.span.of(text).rpartition(" … ")[0])] += 1
        elif node.kind == "list":
            for item in node.children:
                found["items"][squeezed(item.span.of(text))] += 1
    for table in tables:
        for number, line in enumerate(table.children):
            for cell in line.children:
                found["table cells"][number, cell.meta["column"], squeezed(cell.span.of(text))] += 1
    for kind in ("headers", "footers"):
        for line in document.meta.get("left_out", {}).get(kind, ()):
            found["running lines"][masked(line["text"])] += line["pages"]
    return found


def true_of(truth) -> dict[str, Counter]:
    titled = any(level == 1 for level, _, _ in truth.headings)
    return {
        "headings": Counter((squeezed(text), page) for _, text, page in truth.headings),
        "heading levels": Counter((squeezed(text), level - (not titled)) for level, text, _ in truth.headings),
        "running lines": Counter(masked(text) for _, text in truth.running),
        "table cells": Counter((r, c, squeezed(text)) for r, c, text in truth.cells),
        "paragraphs": Counter(squeezed(text) for text in truth.paragraphs),
        "items": Counter(squeezed(text) for text in truth.items),
        "captions": Counter(squeezed(text) for text in truth.captions),
        "contents": Counter(squeezed(text) for text in truth.contents),
    }


def score(document, truth) -> dict[str, tuple[int, int, int]]:
    """Right, found and true, by class."""
    found, true = found_in(document), true_of(truth)
    counts = {}
    for name, want in true.items():
        have = found[name]
        counts[name] = (sum((have & want).values()), sum(have.values()), sum(want.values()))
    starts, pages = pages_of(document)
    places = [at for at, character in enumerate(document.text) if not character.isspace()]
    whole = "".join(document.text.split())
    right = placed = 0
    for sentence, page in truth.sentences:
        at = whole.find("".join(sentence.split()))
        if at >= 0:
            placed += 1
            right += pages[bisect_right(starts, places[at]) - 1] == page
    counts["page of a sentence"] = (right, placed, len(truth.sentences))
    return counts


def report(name: str, results: Iterable[dict[str, tuple[int, int, int]]]) -> None:
    results = list(results)
    for kind in CLASSES:
        right, found, true = (sum(result[kind][number] for result in results) for number in range(3))
        bar = f">= {BAR}" if kind in HELD_TO_BAR else ""
        for measure, value in (("precision", right / max(1, found)), ("recall", right / max(1, true))):
            row(f"pdf {name}: {kind}, {measure}", value, f"of {found if measure == 'precision' else true}",
                bar=bar, holds=value >= BAR if bar else None)  # fmt: skip


def speed(files: list[Path]) -> None:
    from dougong_loader_pdf import Params
    from dougong_loader_pdf.loader import PDFLoader

    loader = PDFLoader(Params())
    contenders = {"dougong": lambda: [loader.load(file) for file in files]}
    try:
        import pypdf

        contenders["pypdf"] = lambda: [[page.extract_text() for page in pypdf.PdfReader(file).pages] for file in files]
    except ImportError:
        skipped("pdf pages a second: pypdf", "pip install pypdf")
    try:
        import pdfplumber

        def plumb() -> None:
            for file in files:
                with pdfplumber.open(file) as pdf:
                    for page in pdf.pages:
                        page.extract_text()

        contenders["pdfplumber"] = plumb
    except ImportError:
        skipped("pdf pages a second: pdfplumber", "pip install pdfplumber")
    seconds = side_by_side(contenders)
    pages = sum(loader.load(file).meta["pages"] for file in files)
    for name, value in seconds.items():
        against = "" if name == "dougong" else "dougong"
        row(f"pdf pages a second, {name}", pages / value, "pages/s", against=against, ratio=seconds["dougong"] / value)


def real(folder: Path) -> None:
    """What was found in real files, which come without truth."""
    from dougong_loader_pdf import Params
    from dougong_loader_pdf.loader import PDFLoader

    for path in sorted(folder.glob("pdf/*.pdf")):
        document = PDFLoader(Params()).load(path)
        kinds = Counter(node.kind for node in document.tree.walk())
        print(f"# {path.name}: {dict(kinds)}", file=sys.stderr)
        for node in document.tree.children:
            if node.kind == "heading":
                print(f"#   page {node.meta['page']:2} {'  ' * node.level}{node.title}", file=sys.stderr)
        for name, lines in document.meta.get("left_out", {}).items():
            print(f"#   {name}: {[(line['text'], line['pages']) for line in lines]}", file=sys.stderr)
        row(f"pdf real: {path.name}, nodes", sum(kinds.values()), "nodes")


def main() -> None:
    try:
        from _pdfs import make, make_flowing
    except ImportError:
        skipped("pdf: generated files", "pip install reportlab")
    else:
        from dougong_loader_pdf import Params
        from dougong_loader_pdf.loader import PDFLoader

        with tempfile.TemporaryDirectory() as folder:
            files = []
            for maker, typesetter in ((make, "ours"), (make_flowing, "reportlab's")):
                for name, seeds in (("seen", SEEN), ("held out", HELD_OUT)):
                    results = []
                    for seed in seeds:
                        files.append(Path(folder) / f"{typesetter}-{seed}.pdf")
                        truth = maker(seed, files[-1])
                        results.append(score(PDFLoader(Params()).load(files[-1]), truth))
                    report(f"{name}, {typesetter}", results)
            speed(files)
    if folder := data("documents"):
        real(folder)


if __name__ == "__main__":
    main()
