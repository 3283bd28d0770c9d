"""Bytes of a file to text: byte order marks, UTF-8, what a page declares, and what the bytes look like."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from dougong import LoadError

from dougong_loader_text.guess import guess

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark begins it
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE = 1 << 16  # bytes that tell the encoding
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")
_FOREIGN = re.compile("[^\0-\x7f\ufffd]")
_HIGH = re.compile(rb"[\x80-\xff]")
_FORMATS = (  # first bytes, name, what reads it
    (b"%PDF", "PDF", "pip install dougong-loader-pdf"),
    (b"PK\x03\x04", "a ZIP archive (DOCX, XLSX, EPUB...)", "pip install dougong-loader-docx for DOCX; unpack others"),
    (b"\xd0\xcf\x11\xe0", "an old Microsoft Office file", "save it as DOCX or PDF"),
    (b"\x89PNG", "a PNG image", "leave it out"),
    (b"\xff\xd8\xff", "a JPEG image", "leave it out"),
    (b"GIF89a", "a GIF image", "leave it out"),
    (b"\x1f\x8b", "gzip", "unpack it"),
    (b"SQLite format 3", "an SQLite database", "leave it out"),
)
_FIRST_BYTES = tuple(first for first, _, _ in _FORMATS)


def read_text(source: Path, encoding: str | None = None, max_megabytes: float = 64.0) -> tuple[str, str]:
    """The text of a file and the name of its encoding. Line ends stay as they are; a byte order mark is left out.

    Lone surrogates, and the odd broken byte of a file that is else UTF-8, become U+FFFD. Raises LoadError where the
    file cannot be read, is larger than `max_megabytes`, or is not text.
    """
    return decode(read_bytes(source, max_megabytes), source, encoding)


def read_bytes(source: Path, max_megabytes: float = 64.0) -> bytes:
    """What is in a file. Raises LoadError where it cannot be read or is larger than `max_megabytes`."""
    try:
        size = source.stat().st_size
        data = b"" if size > max_megabytes * 1e6 else source.read_bytes()
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise LoadError(f"{source}: {reason}", hint="check the path and its permissions") from problem
    if size > max_megabytes * 1e6:
        raise LoadError(
            f"{source}: {size / 1e6:.1f} MB, more than the {max_megabytes:g} MB that are read",
            hint="split the file or set max_megabytes",
        )
    return data


def decode(data: bytes, source: Path, encoding: str | None = None, declared: str = "") -> tuple[str, str]:
    """The text of `data` and the name of its encoding, as `read_text` gives them; `source` is for errors.

    `declared` is what the text says of itself (a page's charset): it counts unless the bytes tell otherwise.
    """
    if encoding is not None:
        text = _decode(data, encoding)
        if text is None:
            raise LoadError(f"{source}: is not {encoding}", hint="name another encoding, or none to have it detected")
        return text.removeprefix("\ufeff"), encoding
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _replaced(data[len(mark) :].decode(name, "replace")), name
    text, name = _unmarked(data, declared)
    if text is None:
        found, cure = next(
            ((form, cure) for first, form, cure in _FORMATS if data.startswith(first)),
            ("not text, or in an encoding that was not recognised", "set encoding if it is text; leave it out if not"),
        )
        raise LoadError(f"{source}: {found}", hint=cure)
    return text, name


def _unmarked(data: bytes, declared: str) -> tuple[str | None, str]:
    """Text and encoding of data without a byte order mark; None for what is not text."""
    binary = len(_CONTROLS.findall(data[:_SAMPLE])) > len(data[:_SAMPLE]) / 100
    text = None if binary else _decode(data, "utf-8")
    if text is not None and text.isascii():
        return text, "utf-8"
    sample = _telling(data)
    if text is not None and (not declared or len(_HIGH.findall(sample)) > 12):
        return text, "utf-8"
    if declared and not binary and (named := _decode(data, declared)) is not None:
        return named, declared
    if text is not None:
        return text, "utf-8"
    if not binary:
        lenient = sample.decode("utf-8", "replace")
        if len(_FOREIGN.findall(lenient)) > 20 * lenient.count("\ufffd"):
            return _replaced(data.decode("utf-8", "replace")), "utf-8"
    name = "" if data.startswith(_FIRST_BYTES) else guess(sample)
    if not name or (binary and not name.startswith("utf-16")):
        return None, ""
    return _replaced(data.decode(name, "replace")), name


def _telling(data: bytes) -> bytes:
    """The part of `data` that tells its encoding: from the first bytes on that are not ASCII."""
    first = _HIGH.search(data)
    start = max(0, first.start() - 1024) & ~1 if first else 0  # UTF-16 starts on even bytes
    sample = data[start : start + _SAMPLE]
    if len(sample) == _SAMPLE and b"\n" in sample and b"\0" not in sample:
        sample = sample[: sample.rindex(b"\n") + 1]  # not through the middle of a character
    return sample


def _decode(data: bytes, encoding: str) -> str | None:
    """`data` decoded, lone surrogates replaced; None if it is not of that encoding."""
    unicode = encoding.lower().replace("_", "-").startswith(("utf-8", "utf-16", "utf-32"))
    try:
        return _replaced(data.decode(encoding, "surrogatepass" if unicode else "strict"))
    except UnicodeError:
        return None


def _replaced(text: str) -> str:
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)
