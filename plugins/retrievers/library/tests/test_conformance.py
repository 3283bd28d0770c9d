"""retriever.library passes the kit."""

from __future__ import annotations

from dougong.testing import LibraryConformance


class TestLibrary(LibraryConformance):
    name = "retriever.library"
