"""Keeps a page from nesting so deeply that parsing it takes time of the square of the depth."""

from __future__ import annotations

import re

_DEPTH = 2000  # browsers stop at 512
# The tags at which a parser looks through all that is open.
_BLOCKS = (
    "address|article|aside|blockquote|center|details|dialog|dir|div|dl|fieldset|figure|footer|form|header|hgroup|main|"
    "menu|nav|ol|pre|search|section|summary|table|ul"
)
_TAG = re.compile(rf"<(/?)(?:{_BLOCKS})(?=[\s/>])[^>]*>?", re.IGNORECASE)


def shallow(markup: str) -> str:
    """`markup` without the block tags that are nested deeper than 2,000; the text in them stays."""
    depth, at, pieces = 0, 0, []
    for match in _TAG.finditer(markup):
        depth += -1 if match[1] else 1
        if depth + bool(match[1]) > _DEPTH:
            pieces.append(markup[at : match.start()])
            at = match.end()
        depth = max(depth, 0)
    return "".join([*pieces, markup[at:]]) if pieces else markup
