"""The parts of a Word file: a ZIP archive of XML, read within limits and without fetching or expanding anything."""

from __future__ import annotations

import io
import lzma
import posixpath
import struct
import zipfile
import zlib
from pathlib import Path

from dougong import LoadError
from lxml import etree

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_STRICT = (  # namespaces of ISO 29500 Strict, and those that everyone else writes
    (
        b"http://purl.oclc.org/ooxml/wordprocessingml/main",
        b"http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    ),
    (b"http://purl.oclc.org/ooxml/officeDocument/", b"http://schemas.openxmlformats.org/officeDocument/2006/"),
)
# What zipfile raises for a broken archive, one that is encrypted, or packed in a way that it does not know.
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, RuntimeError, ValueError)
_OTHERS = {
    "xl/workbook.xml": ("an Excel workbook", "save it as CSV or PDF"),
    "ppt/presentation.xml": ("a PowerPoint presentation", "save it as PDF"),
    "mimetype": ("an OpenDocument or EPUB file", "save it as DOCX"),
}


class Package:
    """A Word file that is open in memory. Raises LoadError naming the file and the cure where it is none."""

    def __init__(self, data: bytes, source: Path, max_bytes: float) -> None:
        self._source, self._left = source, max_bytes
        if data.startswith(b"\xd0\xcf\x11\xe0"):
            if "EncryptedPackage".encode("utf-16-le") in data:
                raise LoadError(f"{source}: is protected by a password", hint="open it in Word and save it without one")
            raise LoadError(f"{source}: is an old Microsoft Office file", hint="open it in Word and save it as DOCX")
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except _BROKEN as problem:
            if data.startswith(b"PK"):
                raise self._damaged(str(problem)) from problem
            raise LoadError(f"{source}: is not a Word document", hint="give it the suffix of what it is") from problem
        names = set(self._zip.namelist())
        self.main = next((target for _, kind, target in self.relations("") if kind == "officeDocument"), "")
        if self.main not in names or not self.main.startswith("word/"):
            self.main = "word/document.xml"
        if self.main not in names:
            found, cure = next(
                (what for name, what in _OTHERS.items() if name in names),
                ("a ZIP archive without a Word document", "unpack it"),
            )
            raise LoadError(f"{source}: is {found}", hint=cure)

    def xml(self, name: str) -> etree._Element | None:
        """The root of a part; None if there is no such part."""
        try:
            info = self._zip.getinfo(name)
        except KeyError:
            return None
        try:
            with self._zip.open(info) as part:
                data = part.read(int(self._left) + 1)
        except _BROKEN as problem:
            raise self._damaged(f"{name}: {problem}") from problem
        self._left -= len(data)
        if self._left < 0:
            raise LoadError(
                f"{self._source}: its text unpacks to more than may be read", hint="set max_megabytes if you trust it"
            )
        for strict, usual in _STRICT:
            data = data.replace(strict, usual)
        parser = etree.XMLParser(
            resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
        )
        try:
            root = etree.fromstring(data, parser)
        except (etree.XMLSyntaxError, ValueError) as problem:
            raise self._damaged(f"{name}: {problem}") from problem
        if root.getroottree().docinfo.doctype:
            raise LoadError(f"{self._source}: {name} declares entities, as Word never does", hint="leave the file out")
        return root

    def relations(self, name: str) -> list[tuple[str, str, str]]:
        """Id, type (its last word) and target of what a part refers to; the targets of parts are their names."""
        folder, base = posixpath.split(name)
        root = self.xml(posixpath.join(folder, "_rels", base + ".rels"))
        found = []
        for relation in root if root is not None else ():
            target = relation.get("Target", "")
            if relation.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
            found.append((relation.get("Id", ""), relation.get("Type", "").rpartition("/")[2], target))
        return found

    def _damaged(self, why: str) -> LoadError:
        return LoadError(f"{self._source}: is damaged: {why}", hint="open it in Word, let it repair it, and save it")
