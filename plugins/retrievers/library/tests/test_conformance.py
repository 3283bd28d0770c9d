"""retriever.library passes the kit."""

from __future__ import annotations

from dougong.testing import LibraryConformance


class TestLibrary(LibraryConformance):
    name = "retriever.library"
    refused = ({"max_megabytes": 0}, {"sources": []}, {"ignore": ["/"]})
    accepted = ({"max_megabytes": 1}, {"ignore": []})
