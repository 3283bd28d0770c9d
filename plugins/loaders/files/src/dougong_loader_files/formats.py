"""Formats that the content of a file tells, whatever its name."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import attrs

_HEAD = 4096
# Behind white space, an XML declaration and comments.
_HTML = re.compile(rb"(?:\s|<\?xml[^>]*\?>|<!--.*?-->)*<(?:!doctype\s+html|html[\s>])", re.IGNORECASE | re.DOTALL)


@attrs.frozen
class Format:
    """What a file is.

    Attributes:
        suffix: the suffix it should have, where a loader for it is known; else empty.
        name, cure: of a format that no loader reads; else empty.
    """

    suffix: str = ""
    name: str = ""
    cure: str = ""


_UNKNOWN = Format()
_ZIPPED = {
    "word/": Format(".docx"),
    "xl/": Format(name="an Excel workbook", cure="save it as CSV or PDF"),
    "ppt/": Format(name="a PowerPoint presentation", cure="save it as PDF"),
    "META-INF/container.xml": Format(name="an EPUB book", cure="unpack it: it holds HTML files"),
    "META-INF/manifest.xml": Format(name="an OpenDocument file", cure="save it as DOCX or PDF"),
}
_FIRST = (
    (b"\xd0\xcf\x11\xe0", Format(".docx")),  # old, or encrypted: the loader of DOCX tells which, and the cure
    (b"{\\rtf", Format(name="RTF", cure="save it as DOCX or PDF")),
)


def sniff(source: Path) -> Format:
    """The format of a file, where its content leaves no doubt; nothing for text, and for what cannot be opened."""
    try:
        with source.open("rb") as file:
            head = file.read(_HEAD)
        if head.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(source) as archive:
                names = archive.namelist()
            return next((what for start, what in _ZIPPED.items() if any(n.startswith(start) for n in names)), _UNKNOWN)
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return _UNKNOWN  # whoever reads it will say what is wrong
    if b"%PDF-" in head[:1024]:
        return Format(".pdf")
    if found := next((what for first, what in _FIRST if head.startswith(first)), None):
        return found
    plain = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe")  # UTF-16 and marks aside
    return Format(".html") if _HTML.match(plain) else _UNKNOWN
