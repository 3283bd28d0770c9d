"""A window over the tokens of a document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dougong import Chunk, Document, Span
from dougong_analyzer.graphemes import joints
from dougong_analyzer.outline import Outline

if TYPE_CHECKING:
    import numpy as np

    from dougong_chunker_fixed import Params


class FixedChunker:
    """Chunks of `size` tokens, each beginning ``size - overlap`` tokens after the one before.

    Tokens are those of the document as a whole: a chunk runs from the start of its first to the end of its last, and
    `tokens` says how many they are. The window stops at the document's end; no chunk lies inside the one before. A cut
    that would fall inside a grapheme moves back to its front; a grapheme of more tokens than `size` stands alone, with
    `oversize` set. Windows of white space alone are left out. `headings` and `parent` tell the innermost section that
    holds the whole chunk.
    """

    def __init__(self, params: Params) -> None:
        self.size, self.step = params.size, params.size - params.overlap
        self.tokenizer = params.tokenizer

    def chunk(self, document: Document) -> Iterator[Chunk]:
        """The chunks of `document`, in order."""
        text = document.text
        offsets = self.tokenizer.offsets(text)
        inside = joints(text)
        outline = Outline(document)
        for first, last in self._windows(offsets, inside):
            start, end = offsets.item(first, 0), offsets.item(last - 1, 1)
            while inside and inside[start]:  # white space that the token's first mark sits on
                start -= 1
            while inside and inside[end]:  # white space that the token's last character holds
                end += 1
            piece = text[start:end]
            if piece.isspace():
                continue
            span = Span(start, end)
            headings, section = outline.path(start, end)
            yield Chunk(
                id=Chunk.name(document.id, span),
                document=document.id,
                text=piece,
                span=span,
                headings=headings,
                parent=Span(*section) if section else None,
                tokens=last - first,
                oversize=last - first > self.size,
                meta=outline.meta(start, end),
            )

    def _windows(self, offsets: np.ndarray, inside: bytearray) -> Iterator[tuple[int, int]]:
        """Numbers of the first token of each window and of the first behind it."""
        count = len(offsets)
        shared = bool((offsets[1:, 0] < offsets[:-1, 1]).any())  # bytes of one character share its place

        def parted(token: int) -> bool:
            """Whether a boundary between graphemes lies between a token and the one before."""
            at, before = offsets.item(token, 0), offsets.item(token - 1, 1)
            while at > before and inside and inside[at]:
                at -= 1
            return at >= before and not (inside and inside[at])

        def cut(first: int, length: int) -> int:
            """The last token within `length` of `first` that may begin a window, or else the next that may."""
            last = min(first + length, count)
            if not inside and not shared:
                return last
            while first < last < count and not parted(last):
                last -= 1
            if last > first:
                return last
            last = first + 1
            while last < count and not parted(last):
                last += 1
            return last

        first = reached = 0
        while reached < count:
            last = cut(first, self.size)
            if last > reached:
                yield first, last
                reached = last
            first = cut(first, self.step)
