"""A right loader, and plausible wrong ones, each with the check that must catch it. Run by test_kit_knowledge.py."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs
from dougong import Document, LoadError, Section, Span, Technique, hookimpl
from dougong.testing import LoaderConformance

DECLARED: list[Technique] = []
CAUGHT: dict[str, str] = {}


@attrs.frozen
class Params:
    """None."""


def judged(check: str = "") -> Any:
    """Make the class a technique with a suite of its own; `check` must fail, no check where it is empty."""

    def declare(cls: type) -> type:
        name = cls.__name__.lower()
        DECLARED.append(Technique(name, Params, f"{__name__}:{cls.__name__}", f"{cls.__doc__}", "none"))
        suite = {"name": f"loader.{name}", "plugin": __file__}
        globals()[f"Test{cls.__name__}"] = type(f"Test{cls.__name__}", (LoaderConformance,), suite)
        CAUGHT[f"Test{cls.__name__}"] = check
        return cls

    return declare


@hookimpl
def dougong_loaders() -> list[Technique]:
    return DECLARED


@judged()
class Right:
    """Lines that begin with # are headings, other runs of lines are paragraphs."""

    suffixes: tuple[str, ...] = (".notes", ".note")

    def __init__(self, params: Params) -> None:
        pass

    def load(self, source: Path) -> Document:
        text = self.decoded(source, self.read(source))
        tree = Section("document", Span(0, len(text)), children=tuple(self.parts(text)))
        return Document(str(source), text, tree, str(source))

    def read(self, source: Path) -> bytes:
        try:
            return source.read_bytes()
        except OSError as error:
            raise LoadError(f"{source}: {error.strerror}", hint="check the path") from error

    def decoded(self, source: Path, data: bytes) -> str:
        for mark, encoding in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
            if data.startswith(mark):
                return data[len(mark) :].decode(encoding, "replace")
        text = data.decode("utf-8", "replace")
        if text.count("\ufffd") > 3 + len(text) / 20:
            raise LoadError(f"{source}: is no text", hint="leave it out")
        return text

    def parts(self, text: str) -> list[Section]:
        found = []
        for line in re.finditer(r"[^\n]+", text):
            heading = re.fullmatch(r"(#{1,6}) (.*)", line[0])
            if heading:
                found.append(self.heading(line.span(), len(heading[1]), heading[2]))
            elif line[0].strip():
                found.append(Section("paragraph", Span(*line.span())))
        return found

    def heading(self, span: tuple[int, int], level: int, title: str) -> Section:
        return Section("heading", Span(*span), level, title.strip())


@judged("test_suffixes_are_lower_case_with_a_dot")
class NoDot(Right):
    """Names its suffix without the dot."""

    suffixes = ("notes",)


@judged("test_suffixes_are_lower_case_with_a_dot")
class UpperCase(Right):
    """Names its suffix in upper case."""

    suffixes = (".notes", ".NOTES")


@judged("test_a_document_is_called_as_its_file")
class ByName(Right):
    """Calls the document by the file's name alone, which another folder has too."""

    def load(self, source: Path) -> Document:
        return attrs.evolve(super().load(source), id=source.name)


@judged("test_plain_text_arrives_whole")
class Universal(Right):
    """Reads line ends as Python does: offsets are not those of the file."""

    def decoded(self, source: Path, data: bytes) -> str:
        return super().decoded(source, data).replace("\r\n", "\n").replace("\r", "\n")


@judged("test_plain_text_arrives_whole")
class Strips(Right):
    """Takes white space off the ends."""

    def decoded(self, source: Path, data: bytes) -> str:
        return super().decoded(source, data).strip()


@judged("test_a_byte_order_mark_is_no_text")
class KeepsMark(Right):
    """Leaves the byte order mark in."""

    def decoded(self, source: Path, data: bytes) -> str:
        return data.decode("utf-8", "replace") if data.startswith(b"\xef\xbb\xbf") else super().decoded(source, data)


@judged("test_the_text_is_one_that_can_be_stored")
class MarkInside(Right):
    """Puts a mark before the text."""

    def decoded(self, source: Path, data: bytes) -> str:
        return "\ufeff" + super().decoded(source, data)


@judged("test_broken_bytes_are_replaced")
class Surrogates(Right):
    """Lets lone surrogates through."""

    def decoded(self, source: Path, data: bytes) -> str:
        try:
            return data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return super().decoded(source, data)


@judged("test_broken_bytes_are_replaced")
class Ignores(Right):
    """Leaves out what it cannot decode."""

    def decoded(self, source: Path, data: bytes) -> str:
        super().decoded(source, data)
        return data.decode("utf-8", "ignore")


@judged("test_the_tree_is_of_the_text")
class SpansOfStripped(Right):
    """Measures the tree in a text of which it had taken the first lines off."""

    def parts(self, text: str) -> list[Section]:
        return super().parts(text + "\nmore")


@judged("test_the_tree_is_of_the_text")
class NestedHeadings(Right):
    """Puts a paragraph into the heading before it, which it is not inside of."""

    def parts(self, text: str) -> list[Section]:
        found: list[Section] = []
        for part in super().parts(text):
            if found and found[-1].kind == "heading" and part.kind == "paragraph":
                found[-1] = attrs.evolve(found[-1], children=(*found[-1].children, part))
            else:
                found.append(part)
        return found


@judged("test_the_tree_is_of_the_text")
class Unordered(Right):
    """Lists headings first, then paragraphs."""

    def parts(self, text: str) -> list[Section]:
        return sorted(super().parts(text), key=lambda part: part.kind)


@judged("test_the_tree_is_of_the_text")
class NoRoot(Right):
    """Gives the first part as the tree."""

    def load(self, source: Path) -> Document:
        document = super().load(source)
        assert document.tree is not None
        return attrs.evolve(document, tree=(*document.tree.children, document.tree)[0])


@judged("test_headings_have_levels_and_titles")
class FromZero(Right):
    """Counts levels from 0."""

    def heading(self, span: tuple[int, int], level: int, title: str) -> Section:
        return super().heading(span, level - 1, title)


@judged("test_headings_have_levels_and_titles")
class RawTitles(Right):
    """Leaves the space before the title."""

    def heading(self, span: tuple[int, int], level: int, title: str) -> Section:
        return Section("heading", Span(*span), level, f" {title}")


@judged("test_a_missing_file_is_told")
class Raises(Right):
    """Lets the error of the system through."""

    def read(self, source: Path) -> bytes:
        return source.read_bytes()


@judged("test_a_folder_is_no_file")
class NoHint(Right):
    """Says what is wrong, and not what to do."""

    def read(self, source: Path) -> bytes:
        try:
            return source.read_bytes()
        except OSError as error:
            raise LoadError(f"{source}: {error.strerror}") from error


@judged("test_a_missing_file_is_told")
class NoName(Right):
    """Says that something could not be read."""

    def read(self, source: Path) -> bytes:
        try:
            return source.read_bytes()
        except OSError as error:
            raise LoadError("the file cannot be read", hint="check the path") from error


@judged("test_garbage_is_told")
class Latin(Right):
    """Reads everything, as what is not UTF-8 is then Latin."""

    def decoded(self, source: Path, data: bytes) -> str:
        try:
            return super().decoded(source, data)
        except LoadError:
            return data.decode("latin-1")


@judged("test_threads_may_share_it")
class NotForThreads(Right):
    """Reads into itself."""

    def load(self, source: Path) -> Document:
        self.source = source
        self.data = self.read(source)
        return super().load(self.source)
