"""loader.files passes the kit."""

from __future__ import annotations

from pathlib import Path

from dougong import Document, LoadError, Section, Span
from dougong.testing import LoaderConformance

TEXT, MARKDOWN = {"use": "text"}, {"use": "markdown"}
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(200)
HTML = b"<?xml version='1.0'?>\n<!-- a\nb --><!DocType html><p>x"
NOISE = bytes(range(256)) * 8


class Reader:
    """Reads what begins as it should, as one node that is called after its suffix."""

    def __init__(self, suffix: str, first: bytes) -> None:
        self.suffixes, self.first = (suffix,), first

    def load(self, source: Path) -> Document:
        if not source.read_bytes().startswith(self.first):
            raise LoadError(f"{source}: is no {self.suffixes[0]}", hint="save it as one")
        return Document(
            str(source),
            "x",
            Section("document", Span(0, 1), children=(Section(*self.suffixes, Span(0, 1)),)),
            str(source),
        )


class TestFiles(LoaderConformance):
    name = "loader.files"
    params = {"of": [TEXT, MARKDOWN]}
    golden = (
        (("a.md", b"# Title\n"), [("heading", "# Title")]),
        (("A.MD", b"# Title\n"), [("heading", "# Title")]),
        (("a.txt", b"# Title\n"), [("paragraph", "# Title")]),
        (("a.unknown", b"# Title\n"), [("paragraph", "# Title")]),
        (("README", b"# Title\n"), [("paragraph", "# Title")]),
        (("text.pdf.txt", b"# Title\n"), [("paragraph", "# Title")]),
    )
    unreadable = (
        ("pdf.txt", PDF, "PDF"),
        ("plain.pdf", b"plain text", "pip install dougong-loader-pdf"),
        ("page.docx", b"plain text", "pip install dougong-loader-docx"),
        ("note.txt", b"{\\rtf1 a note}", "RTF"),
        ("note.xyz", b"{\\rtf1 a note}", "RTF"),
        ("bytes.xyz", NOISE, "no loader claims '.xyz'"),
        ("BYTES", NOISE, "BYTES"),
    )


class TestFilesOfManyFormats(LoaderConformance):
    name = "loader.files"
    params = {"of": [TEXT, MARKDOWN, Reader(".pdf", b"%PDF"), Reader(".html", b"<")]}
    golden = (
        (("a.pdf", PDF), [(".pdf", "x")]),
        (("pdf.txt", PDF), [(".pdf", "x")]),
        (("pdf.xyz", PDF), [(".pdf", "x")]),
        (("plain.pdf", b"plain text"), [("paragraph", "plain text")]),
        (("page.txt", HTML), [(".html", "x")]),
        (("page.md", b"<b>bold</b>"), [("paragraph", "<b>bold</b>")]),
        (("page.unknown", HTML), [(".html", "x")]),
        (("page.html", b"<p>x"), [(".html", "x")]),
    )
    unreadable = (("noise.pdf", NOISE, "is no .pdf"), ("text.html", b"plain text", "is no .html"))


class TestFilesOfEverythingInstalled(LoaderConformance):
    name = "loader.files"
    golden = ((("a.md", b"# Title\n"), [("heading", "# Title")]),)


class TestFilesWithoutText(LoaderConformance):
    name = "loader.files"
    params = {"of": [MARKDOWN]}
    suffix = ".md"
    unreadable = (
        ("a.txt", b"text", "give 'of' a loader of .txt files"),
        ("NAME", b"text", "give 'of' a loader of such"),
    )
