"""A chunk that runs over a page break says where, whichever chunker cut it."""

from __future__ import annotations

import dougong
import pytest
from dougong import Document, Section, Span

TEXT = "The first sentence stands on page one. The second one follows it.\n\nThe third sentence stands on page two."
CUT = TEXT.index("The third")


@pytest.mark.parametrize("use", ["fixed", "recursive", "structure", "semantic-rules", "semantic-embedding"])
def test_a_chunk_over_two_pages_names_both(use: str) -> None:
    pages = [(0, CUT, 1), (CUT, len(TEXT), 2)]
    nodes = tuple(Section("paragraph", Span(a, b), meta={"page": page, "box": [0, 0, 1, 1]}) for a, b, page in pages)
    document = Document("d", TEXT, Section("document", Span(0, len(TEXT)), children=nodes), "d.pdf")
    given = {"embedder": Even()} if use == "semantic-embedding" else {}
    chunks = list(dougong.make(f"chunker.{use}", size=100, **given).chunk(document))
    assert [chunk.meta["page"] for chunk in chunks] == [1]
    assert chunks[0].meta["page_breaks"] == [[CUT, 2]]


class Even:
    """Finds all texts alike."""

    dim = 2

    def embed(self, texts, role="passage"):
        import numpy as np

        return np.tile(np.array([1, 0], np.float32), (len(texts), 1))
