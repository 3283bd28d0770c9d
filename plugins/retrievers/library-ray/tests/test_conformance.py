"""retriever.library-ray passes the kit, which reads too little for the cluster: `test_cluster` is of that."""

from __future__ import annotations

import importlib.util

import pytest
from dougong.testing import LibraryConformance

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")


class TestLibraryRay(LibraryConformance):
    name = "retriever.library-ray"
    refused = ({"max_megabytes": 0}, {"sources": []}, {"from_megabytes": -1})
    accepted = ({"max_megabytes": 1}, {"from_megabytes": 0})
