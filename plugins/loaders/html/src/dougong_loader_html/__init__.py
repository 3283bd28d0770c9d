"""loader.html: pages as a reader sees them, with a tree of their blocks."""

from __future__ import annotations

import attrs
from dougong import Technique, hookimpl


@attrs.frozen
class Params:
    """Parameters of the HTML loader.

    main: keep the main content only; False keeps all that a browser shows.
    max_megabytes: larger files are refused, in megabytes of 1,000,000 bytes.
    """

    main: bool = True
    max_megabytes: float = attrs.field(default=64.0)

    @max_megabytes.validator
    def _max_is_positive(self, attribute: object, value: float) -> None:
        if not value > 0:
            raise ValueError("must be above 0; 64 is usual")


@hookimpl
def dougong_loaders() -> list[Technique]:
    return [
        Technique(
            "html",
            Params,
            "dougong_loader_html.html:HTMLLoader",
            summary="HTML: the main content, headings, lists, tables, code and formulas as exact spans of its text.",
            source="HTML Living Standard: parsing, rendered text, landmarks; selectolax (lexbor)",
        )
    ]
