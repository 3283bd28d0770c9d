"""loader.pdf: text, structure and pages of a PDF."""

from __future__ import annotations

import attrs
from dougong import Secret, Technique, hookimpl


@attrs.frozen
class Params:
    """Parameters of the PDF loader.

    password: opens an encrypted file. max_megabytes: larger files are refused, in megabytes of 1,000,000 bytes.
    max_pages: files of more pages are refused.
    """

    password: Secret | None = None
    max_megabytes: float = attrs.field(default=256.0)
    max_pages: int = attrs.field(default=5000)

    @max_megabytes.validator
    def _max_is_positive(self, attribute: object, value: float) -> None:
        if not value > 0:
            raise ValueError("must be above 0; 256 is usual")

    @max_pages.validator
    def _pages_are_positive(self, attribute: object, value: int) -> None:
        if value < 1:
            raise ValueError("must be 1 or more; 5000 is usual")


@hookimpl
def dougong_loaders() -> list[Technique]:
    return [
        Technique(
            "pdf",
            Params,
            "dougong_loader_pdf.loader:PDFLoader",
            summary="PDF: headings, paragraphs, lists and tables in reading order, each with its page and box.",
            source="ISO 32000-1; pdfium; recursive XY-cut after Nagy and Seth 1984, by column edges",
        )
    ]
