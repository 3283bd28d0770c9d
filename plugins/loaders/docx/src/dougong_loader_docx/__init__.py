"""loader.docx: Word documents as Word shows them, with a tree of their blocks."""

from __future__ import annotations

import attrs
from dougong import Technique, hookimpl


@attrs.frozen
class Params:
    """Parameters of the DOCX loader.

    max_megabytes: larger files are refused, and files whose text unpacks to more, in megabytes of 1,000,000 bytes.
    """

    max_megabytes: float = attrs.field(default=64.0)

    @max_megabytes.validator
    def _max_is_positive(self, attribute: object, value: float) -> None:
        if not value > 0:
            raise ValueError("must be above 0; 64 is usual")


@hookimpl
def dougong_loaders() -> list[Technique]:
    return [
        Technique(
            "docx",
            Params,
            "dougong_loader_docx.docx:DocxLoader",
            summary="Word documents: headings, numbered lists, tables, code and notes as exact spans of the text.",
            source="ECMA-376 Office Open XML, part 1: WordprocessingML",
        )
    ]
