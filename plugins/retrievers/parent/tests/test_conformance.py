"""retriever.parent passes the kit, over the kit's index and sections of two documents each."""

from __future__ import annotations

import attrs
from dougong import Span, SyncReport
from dougong.testing import MemoryIndex, RetrieverConformance, chunks


class Shelf(MemoryIndex):
    """A library of the kit's passages, each its own section."""

    def __init__(self):
        self.texts = {chunk.document: chunk.text for chunk in chunks()}
        super().__init__(attrs.evolve(chunk, parent=Span(0, len(chunk.text))) for chunk in chunks())

    def text(self, document):
        return self.texts[document]

    def sync(self):
        return SyncReport()


class TestParent(RetrieverConformance):
    name = "retriever.parent"
    params = {"library": Shelf(), "of": None, "tokens": 100_000}
    chunks_kept = False
    golden = (
        ("attention attention cache", [5, 2]),
        ("attention attention cache", [], {"tokens": 1}),
    )
    refused = ({"tokens": 0}, {"pool": 0})
    accepted = ({"tokens": 1}, {"pool": 1})


class TestTopDown(RetrieverConformance):
    """Every passage is a section of its own: what is found is what the sections' search finds first."""

    name = "retriever.top-down"
    params = {"sections": MemoryIndex(chunks()), "of": MemoryIndex(chunks()), "first": 100}
    golden = (
        ("attention attention cache", [5, 2]),
        ("attention attention cache", [5], {"first": 1}),
    )
    refused = ({"first": 0}, {"pool": 0})
    accepted = ({"first": 1}, {"pool": 1})
