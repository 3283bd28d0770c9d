"""The files loader: who reads what, and what no one reads."""

import io
import zipfile
from pathlib import Path

import pytest
from dougong import Document, LoadError, PluginError, assemble
from dougong_loader_files import Params
from dougong_loader_files.files import FilesLoader


class Named:
    """A loader that signs what it read."""

    def __init__(self, name, *suffixes, reads=True):
        self.name, self.suffixes, self.reads = name, suffixes, reads

    def load(self, source: Path) -> Document:
        if not self.reads:
            raise LoadError(f"{source}: not text", hint="set encoding")
        return Document(str(source), self.name)


def read(name, *loaders):
    return FilesLoader(Params(of=list(loaders))).load(Path(name)).text


TEXT = Named("text", ".txt")
MARKDOWN = Named("markdown", ".md")
ARCHIVE = Named("archive", ".tar.gz")


@pytest.mark.parametrize(
    ("name", "reader"),
    [("a.txt", "text"), ("b.MD", "markdown"), ("c.tar.gz", "archive"), ("d.py", "text"), ("Makefile", "text")],
)
def test_the_suffix_chooses_and_the_rest_is_text(name, reader):
    assert read(name, TEXT, MARKDOWN, ARCHIVE) == reader


def test_the_first_of_two_claims_wins():
    assert read("a.md", Named("mine", ".md"), MARKDOWN) == "mine"
    assert read("a.md", MARKDOWN, Named("mine", ".md")) == "markdown"


def test_a_loader_without_suffixes_is_asked_before_text():
    assert read("a.bin", TEXT, Named("sniffer")) == "sniffer"
    assert read("a.bin", TEXT, Named("sniffer", reads=False)) == "text"
    assert read("a.txt", Named("sniffer"), TEXT) == "text"


@pytest.mark.parametrize(("suffix", "plugin"), [(".pdf", "pdf"), (".docx", "docx"), (".HTML", "html")])
def test_a_known_format_names_its_plugin(suffix, plugin):
    with pytest.raises(LoadError, match=rf"a\{suffix}: .*pip install dougong-loader-{plugin}"):
        read(f"a{suffix}", TEXT)


def test_binary_of_unknown_suffix_is_refused_by_name():
    with pytest.raises(LoadError, match=r"a\.xyz: not text, and no loader claims '\.xyz'; set encoding"):
        read("a.xyz", Named("text", ".txt", reads=False))
    with pytest.raises(LoadError, match=r"a\.xyz: no loader reads '\.xyz'; give 'of'"):
        read("a.xyz", MARKDOWN)


def test_by_default_every_installed_loader_is_asked_by_name(monkeypatch):
    class Installed:
        def names(self, kind):
            assert kind == "loader"
            return ["broken", "files", "markdown", "text"]

    def make(use):
        if use == "loader.broken":
            raise PluginError("cannot be imported")
        assert use != "loader.files", "would recurse"
        return {"loader.markdown": MARKDOWN, "loader.text": TEXT}[use]

    monkeypatch.setattr(assemble, "installed", Installed)
    monkeypatch.setattr(assemble, "make", make)
    loader = FilesLoader(Params())
    assert loader.load(Path("a.md")).text == "markdown"
    assert loader.load(Path("a.rst")).text == "text"
    with pytest.raises(LoadError, match=r"dougong-loader-pdf; loader\.broken is broken: cannot be imported"):
        loader.load(Path("a.pdf"))


def test_nothing_is_built_before_the_first_file():
    assert FilesLoader(Params()).suffixes == ()


# ---------------------------------------------------------------- content against name

PAGE = b"\n<!-- saved --><!DOCTYPE html><html><body><p>page</p></body></html>"
PDF = Named("pdf", ".pdf")
HTML = Named("html", ".html", ".htm")
DOCX = Named("docx", ".docx")


def word_file(folder="word"):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(f"{folder}/document.xml", "<x/>")
    return data.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "reader", "read_as"),
    [
        ("a.pdf", b"%PDF-1.7", "pdf", None),
        ("a.txt", b"%PDF-1.7", "pdf", ".pdf"),
        ("a.docx", PAGE, "html", ".html"),
        ("a.txt", PAGE.decode().encode("utf-16"), "html", ".html"),
        ("a.doc", word_file(), "docx", ".docx"),
        ("a.doc", b"\xd0\xcf\x11\xe0", "docx", ".docx"),
        ("download", word_file(), "docx", ".docx"),
        ("page.php", PAGE, "html", ".html"),
        ("a.docx", word_file(), "docx", None),
        ("a.htm", b"<p>no doctype", "html", None),
        ("a.txt", b"<p>no doctype", "text", None),
        ("a.tar.gz", PAGE, "archive", None),  # whoever claims an uncommon suffix knows better
    ],
)
def test_clear_content_overrules_a_usual_suffix_and_says_so(tmp_path, name, data, reader, read_as):
    file = tmp_path / name
    file.write_bytes(data)
    document = FilesLoader(Params(of=[TEXT, MARKDOWN, ARCHIVE, PDF, HTML, DOCX])).load(file)
    assert (document.text, document.meta.get("read_as")) == (reader, read_as)


def test_text_that_is_called_pdf_is_read_as_text(tmp_path):
    file = tmp_path / "a.pdf"
    file.write_bytes(b"plain text")
    document = FilesLoader(Params(of=[TEXT, Named("pdf", ".pdf", reads=False)])).load(file)
    assert (document.text, document.meta["read_as"]) == ("text", ".txt")
    with pytest.raises(LoadError, match="not text"):
        FilesLoader(Params(of=[Named("text", ".txt", reads=False), Named("pdf", ".pdf", reads=False)])).load(file)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.xlsx", word_file("xl"), "Excel workbook; save it as CSV"),
        ("a.pptx", word_file("ppt"), "PowerPoint presentation; save it as PDF"),
        ("a.rtf", b"{\\rtf1 x}", "RTF; save it as DOCX"),
        ("a.txt", b"{\\rtf1 x}", "RTF; save it as DOCX"),
    ],
)
def test_a_known_format_that_no_one_reads_is_named_with_the_cure(tmp_path, name, data, message):
    file = tmp_path / name
    file.write_bytes(data)
    with pytest.raises(LoadError, match=rf"{name}: is .*{message}"):
        FilesLoader(Params(of=[TEXT, MARKDOWN])).load(file)


def test_a_loader_that_claims_such_a_format_gets_it(tmp_path):
    file = tmp_path / "a.xlsx"
    file.write_bytes(word_file("xl"))
    assert FilesLoader(Params(of=[TEXT, Named("sheets", ".xlsx")])).load(file).text == "sheets"
