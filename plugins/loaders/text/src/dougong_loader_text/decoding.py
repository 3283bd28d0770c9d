"""Bytes of a file to text: byte order marks, UTF-8, and what charset-normalizer tells."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from dougong import LoadError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark begins it
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What charset-normalizer chooses from: its whole list confuses short Chinese texts with rare code pages.
_CANDIDATES = ["gb18030", "big5", "shift_jis", "euc_jp", "euc_kr", "cp1252", "cp1251", "cp1253", "cp1256", "koi8_r"]
_SAMPLE = 1 << 16  # bytes that tell the encoding
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")
_FORMATS = (  # first bytes, name, what reads it
    (b"%PDF", "PDF", "pip install dougong-loader-pdf"),
    (b"PK\x03\x04", "a ZIP archive (DOCX, XLSX, EPUB...)", "pip install dougong-loader-docx for DOCX; unpack others"),
    (b"\xd0\xcf\x11\xe0", "an old Microsoft Office file", "save it as DOCX or PDF"),
    (b"\x89PNG", "a PNG image", "leave it out"),
    (b"\xff\xd8\xff", "a JPEG image", "leave it out"),
    (b"GIF8", "a GIF image", "leave it out"),
    (b"\x1f\x8b", "gzip", "unpack it"),
    (b"SQLite format 3", "an SQLite database", "leave it out"),
)


def read_text(source: Path, encoding: str | None = None, max_megabytes: float = 64.0) -> tuple[str, str]:
    """The text of a file and the name of its encoding. Line ends stay as they are; a byte order mark is left out.

    Lone surrogates, and the odd broken byte of a file that is else UTF-8, become U+FFFD. Raises LoadError where the
    file cannot be read, is larger than `max_megabytes`, or is not text.
    """
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
    if encoding is not None:
        text = _decode(data, encoding)
        if text is None:
            raise LoadError(f"{source}: is not {encoding}", hint="name another encoding, or none to have it detected")
        return text.removeprefix("\ufeff"), encoding
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _replaced(data[len(mark) :].decode(name, "replace")), name
    text, name = _unmarked(data)
    if text is None:
        found, cure = next(
            ((form, cure) for first, form, cure in _FORMATS if data.startswith(first)),
            ("not text, or in an encoding that was not recognised", "set encoding if it is text; leave it out if not"),
        )
        raise LoadError(f"{source}: {found}", hint=cure)
    return text, name


def _unmarked(data: bytes) -> tuple[str | None, str]:
    """Text and encoding of data without a byte order mark; None for what is not text."""
    if b"\0" in data:  # UTF-16 of mostly Latin text has its NULs on one side
        even, odd = data[::2].count(0), data[1::2].count(0)
        name = "utf-16-le" if odd > even else "utf-16-be"
        text = _decode(data, name) if max(even, odd) > len(data) / 6 and min(even, odd) < len(data) / 200 else None
        return text, name
    sample = data[:_SAMPLE]
    if len(_CONTROLS.findall(sample)) > len(sample) / 100:
        return None, ""
    text = _decode(data, "utf-8")
    if text is not None:
        return text, "utf-8"
    lenient = data.decode("utf-8", "replace")
    if len(re.findall(r"[^\0-\x7f\ufffd]", lenient)) > 20 * lenient.count("\ufffd"):
        return lenient, "utf-8"
    from charset_normalizer import from_bytes

    if len(data) > _SAMPLE and b"\n" in sample:
        sample = sample[: sample.rindex(b"\n") + 1]  # not through the middle of a character
    best = from_bytes(sample, cp_isolation=_CANDIDATES).best()
    return (None, "") if best is None else (_replaced(data.decode(best.encoding, "replace")), best.encoding)


def _decode(data: bytes, encoding: str) -> str | None:
    """`data` decoded, lone surrogates replaced; None if it is not of that encoding."""
    unicode = encoding.lower().replace("_", "-").startswith(("utf-8", "utf-16", "utf-32"))
    try:
        return _replaced(data.decode(encoding, "surrogatepass" if unicode else "strict"))
    except UnicodeError:
        return None


def _replaced(text: str) -> str:
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)
