"""What every loader must do."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from dougong.errors import LoadError
from dougong.testing.conformance import Conformance
from dougong.testing.texts import HOSTILE, ORDINARY, examples, random_texts
from dougong.types import Document, Section

GARBAGE = random.Random(0).randbytes(4096)
"""Bytes of no format."""

_CONTROL = re.compile(r"[\0-\x08\x0e-\x1f\x7f]")


class LoaderConformance(Conformance):
    """A text, a tree whose spans lie in it, and an error with a cure for what cannot be read.

    `golden`: the name of a file in `examples` or `files`, or ``(name, bytes)``; and ``[(kind, text), ...]`` of the
    nodes below the root in document order, a node's text being what its span names. With `details`, nodes are ``(kind,
    text, level, title)``, then `meta` where there is one, behind ``("", Document.text, 0, Document.meta["title"])``.

    Attributes:
        examples: a folder of real files of the format; those in folders below it too.
        files: more of them, written by the suite: names and their bytes.
        textual: whether any text in UTF-8 is a file of the format (plain text, Markdown); else only `examples` and
            `files` are read, and one of them must be given.
        unreadable: names, bytes and words: files that it must refuse by an error, or a hint, with these words in it;
            then the params with which it does, if they are others.
        details: whether `golden` tells levels and titles too.
        suffix: that of the files that the suite writes; the loader's first one unless set.
    """

    kind: ClassVar[str] = "loader"
    examples: str | Path | None = None
    files: Mapping[str, bytes] = {}
    textual: bool = True
    suffix: str = ""
    unreadable: Sequence[tuple[Any, ...]] = ()
    details: bool = False

    def sources(self) -> dict[str, Path]:
        """The files that are tried, by name."""
        found = {}
        if self.examples is not None:
            root = Path(self.examples)
            found = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*")) if path.is_file()}
        for name, data in self.files.items():
            found[name] = self.write(name, data)
        if self.textual:
            for number, (name, text) in enumerate({**ORDINARY, **HOSTILE}.items()):
                found[name] = self.write(f"text-{number}{self._suffix()}", text.encode())
        assert found, f"{type(self).__name__} has no file to read; give examples = a folder, or files = {{name: bytes}}"
        return found

    def write(self, name: str, data: bytes) -> Path:
        path = self.folder / "files" / name
        if not path.is_file() or path.read_bytes() != data:  # threads that observe find it there
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return path

    def _suffix(self) -> str:
        return self.suffix or (*self.build().suffixes, ".txt")[0]

    def observe(self, built: Any) -> Any:
        found = []
        for name, path in self.sources().items():
            document = built.load(path)
            found.append([name, document.text, document.tree, sorted(document.meta)])
        return found

    def answer(self, built: Any, given: Any) -> Any:
        name, data = given if isinstance(given, tuple) else (given, None)
        path = self.sources()[name] if data is None else self.write(name, data)
        document = built.load(path)
        if not self.details:
            return [(node.kind, node.span.of(document.text)) for node in nodes(document)]
        found = [
            (node.kind, node.span.of(document.text), node.level, node.title, *([dict(node.meta)] if node.meta else []))
            for node in nodes(document)
        ]
        return [("", document.text, 0, document.meta.get("title", "")), *found]

    def documents(self) -> Iterator[tuple[str, Path, Document]]:
        """Every file with what it was read as."""
        built = self.build()
        for name, path in self.sources().items():
            yield name, path, built.load(path)

    def test_suffixes_are_lower_case_with_a_dot(self) -> None:
        """A tuple, empty for a loader that tells by content."""
        suffixes = self.build().suffixes
        assert isinstance(suffixes, tuple), f"suffixes are a {type(suffixes).__name__}; make them a tuple"
        for suffix in suffixes:
            assert suffix.startswith("."), f"suffix {suffix!r} has no dot; write '.{suffix}'"
            assert suffix == suffix.lower(), (
                f"suffix {suffix!r} is not lower case; file names are compared in lower case"
            )
        assert len(set(suffixes)) == len(suffixes), "a suffix is named twice"

    def test_a_document_is_called_as_its_file(self) -> None:
        """`id` and `source` are ``str(source)``; a library renames them."""
        for _, path, document in self.documents():
            assert document.id == str(path), f"the id is {document.id!r}; make it str(source), {str(path)!r}"
            assert document.source == str(path), (
                f"the source is {document.source!r}; make it str(source), {str(path)!r}"
            )

    def test_the_text_is_one_that_can_be_stored(self) -> None:
        """No lone surrogate, no byte order mark at its start, not the text of no file."""
        for name, _, document in self.documents():
            assert isinstance(document.text, str), f"{name!r}: the text is {type(document.text).__name__}"
            assert not any("\ud800" <= c <= "\udfff" for c in document.text), f"{name!r}: replace surrogates by U+FFFD"
            assert not document.text.startswith("\ufeff"), f"{name!r}: leave the byte order mark out"

    def test_the_tree_is_of_the_text(self) -> None:
        """A root over the whole text; children inside their parent, in order, not overlapping."""
        for name, _, document in self.documents():
            check_tree(document, name)

    def test_headings_have_levels_and_titles(self) -> None:
        """Levels 1 to 6; the title without markup, and so not longer than the heading."""
        for name, _, document in self.documents():
            for node in nodes(document):
                if node.kind == "heading":
                    assert 1 <= node.level <= 6, f"{name!r}: heading {node.title!r} has level {node.level}; 1 to 6"
                    assert "\n" not in node.title, f"{name!r}: the title {node.title!r} has a line end; join its lines"
                    assert node.title == node.title.strip(), (
                        f"{name!r}: the title {node.title!r} has spaces at its edges"
                    )
                else:
                    assert node.level >= 0, f"{name!r}: a {node.kind} has level {node.level}"

    def test_plain_text_arrives_whole(self) -> None:
        """Whatever its line ends and marks, where the format is text. Control characters make a file a binary one."""
        if self.textual:
            texts = {**ORDINARY, **HOSTILE}
            for name, _, document in self.documents():
                if name in texts and not _CONTROL.search(texts[name]):
                    wanted, found = texts[name].removeprefix("\ufeff"), document.text
                    assert found == wanted, f"{name!r}: the text is not the file's: {found[:80]!r}, not {wanted[:80]!r}"

    def test_a_byte_order_mark_is_no_text(self) -> None:
        """In UTF-8 and UTF-16."""
        if self.textual:
            built = self.build()
            for encoding in ("utf-8-sig", "utf-16"):
                text = "Mark 标记 first.\n"
                document = built.load(self.write(f"marked-{encoding}{self._suffix()}", text.encode(encoding)))
                assert document.text == text, f"{encoding}: the text is {document.text!r}, not {text!r}"

    def test_broken_bytes_are_replaced(self) -> None:
        """A lone surrogate and a cut-off character in text that is else UTF-8."""
        if self.textual:
            body = ("木构建筑的斗拱，" * 20).encode()
            for name, bad in {"surrogate": b"\xed\xa0\x80", "cut": "木".encode()[:2]}.items():
                document = self.build().load(self.write(f"{name}{self._suffix()}", body + bad + body))
                assert "\ufffd" in document.text, f"{name}: put U+FFFD in place of what cannot be decoded"
                assert document.text.count("斗拱") == 40, f"{name}: the text around it is lost"
                check_tree(document, name)

    def test_a_missing_file_is_told(self) -> None:
        """By a LoadError that names it and says what to do."""
        self._refused(lambda: self.folder / f"no-such-file{self._suffix()}", "a missing file")

    def test_a_folder_is_no_file(self) -> None:
        """LoadError as well."""

        def folder() -> Path:
            path = self.folder / f"folder{self._suffix()}"
            path.mkdir()
            return path

        self._refused(folder, "a folder")

    def test_garbage_is_told(self) -> None:
        """Random bytes under the format's own suffix are no document."""
        self._refused(lambda: self.write(f"garbage{self._suffix()}", GARBAGE), "a file of random bytes")

    def test_what_it_cannot_read_is_told(self) -> None:
        """`unreadable`: formats of others, encrypted and damaged files."""
        for name, data, words, *rest in self.unreadable:
            self._refused(partial(self.write, name, data), name, words, *rest)

    def test_a_cut_file_is_told_or_read(self) -> None:
        """Half a file gives a LoadError or a document that holds together; never another error."""
        built = self.build()
        for name, path in self.sources().items():
            data = path.read_bytes()
            cut = self.write(f"cut/{path.name}", data[: len(data) // 2])
            self._read_or_refused(built, cut, f"half of {name!r}")

    def test_an_empty_file_is_told_or_empty(self) -> None:
        """A LoadError where the format needs more, else a document without text."""
        document = self._read_or_refused(self.build(), self.write(f"empty{self._suffix()}", b""), "an empty file")
        assert document is None or not document.text.strip(), "an empty file has text"

    def test_random_texts(self) -> None:
        """Where any text is a file: read whole, with a tree that holds together."""
        from hypothesis import given

        if not self.textual:
            return
        built, suffix = self.build(), self._suffix()

        @examples(60)
        @given(random_texts())
        def check(text: str) -> None:
            data = text.encode()
            document = self._read_or_refused(built, self.write(f"random{suffix}", data), f"{text!r}")
            if document is not None and not _CONTROL.search(text):
                assert document.text == text.removeprefix("\ufeff"), f"the text of {text!r} is {document.text!r}"

        check()

    def _read_or_refused(self, built: Any, path: Path, what: str) -> Document | None:
        try:
            document: Document = built.load(path)
        except LoadError as error:
            check_error(error, path, what)
            return None
        check_tree(document, what)
        return document

    def _refused(
        self, make: Callable[[], Path], what: str, words: str = "", params: Mapping[str, Any] | None = None
    ) -> None:
        path = make()
        try:
            self.build(**(params or {})).load(path)
        except LoadError as error:
            check_error(error, path, what)
            if words not in str(error):
                raise AssertionError(f"{what}: the error does not say {words!r}: {error}") from error
        except Exception as error:
            raise AssertionError(f"{what} gives {type(error).__name__}: {error}; raise LoadError") from error
        else:
            raise AssertionError(f"{what} is read as a document; raise LoadError with a hint")


# ---------------------------------------------------------------- checks


def nodes(document: Document) -> list[Section]:
    """All nodes below the root, in document order."""
    return list(document.tree.walk())[1:] if document.tree else []


def check_error(error: LoadError, path: Path, what: str) -> None:
    assert path.name in str(error), f"{what}: the error does not name the file: {error}"
    assert error.hint, f"{what}: the error has no hint; say what the reader can do: {error}"


def check_tree(document: Document, name: str) -> None:
    tree = document.tree
    if tree is None:
        return
    assert tree.kind == "document", f"{name!r}: the root is a {tree.kind}; make it a document"
    whole = (tree.span.start, tree.span.end)
    assert whole == (0, len(document.text)), (
        f"{name!r}: the root's span is {whole}, the text's (0, {len(document.text)})"
    )
    for node in tree.walk():
        end = node.span.start
        for inner in node.children:
            start, stop = inner.span.start, inner.span.end
            told = f"{name!r}: {inner.kind} [{start}, {stop}) in {node.kind} [{node.span.start}, {node.span.end})"
            assert start <= stop, f"{told} ends before it starts"
            assert node.span.start <= start, f"{told} starts before it"
            assert stop <= node.span.end, f"{told} ends behind it"
            assert end <= start, f"{told} overlaps the one before, which ends at {end}"
            end = stop
        assert node is tree or node.kind != "document", f"{name!r}: a document inside the document"
