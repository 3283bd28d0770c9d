"""loader.markdown: Markdown as it was written, with a tree of its blocks."""

from __future__ import annotations

import attrs
from dougong import Technique, hookimpl


@attrs.frozen
class Params:
    """Parameters of the Markdown loader.

    max_megabytes: larger files are refused, in megabytes of 1,000,000 bytes.
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
            "markdown",
            Params,
            "dougong_loader_markdown.markdown:MarkdownLoader",
            summary="Markdown: the source text, and headings, lists, tables and code as exact spans of it.",
            source="CommonMark 0.31 and GitHub's tables, by markdown-it-py",
        )
    ]
