"""The conformance kit: what every technique of a kind must do, as a class of tests that a plugin's author inherits.

```python
# conftest.py                                    # tests/test_conformance.py
pytest_plugins = ["dougong.testing"]             from dougong.testing import ChunkerConformance

                                                 class TestMine(ChunkerConformance):
                                                     name = "chunker.mine"
                                                     params = {"size": 40}
```

Naming the package in `pytest_plugins` gives failing checks pytest's full explanation, and the fixtures ``registry``,
``clock`` and ``run``. Needs ``pip install 'dougong[testing]'``; imports neither numpy nor torch until a suite does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dougong.testing.fixtures import clock as clock
from dougong.testing.fixtures import pytest_configure as pytest_configure
from dougong.testing.fixtures import registry as registry
from dougong.testing.fixtures import run as run

if TYPE_CHECKING:
    from dougong.testing.adapter import AdapterConformance as AdapterConformance
    from dougong.testing.block import BlockConformance as BlockConformance
    from dougong.testing.cache import CacheConformance as CacheConformance
    from dougong.testing.chunker import ChunkerConformance as ChunkerConformance
    from dougong.testing.conformance import Conformance as Conformance
    from dougong.testing.embedder import EmbedderConformance as EmbedderConformance
    from dougong.testing.fakes import Clock as Clock
    from dougong.testing.fakes import EchoTool as EchoTool
    from dougong.testing.fakes import HashEmbedder as HashEmbedder
    from dougong.testing.fakes import MemoryIndex as MemoryIndex
    from dougong.testing.fakes import ScriptedLLM as ScriptedLLM
    from dougong.testing.llm import LLMConformance as LLMConformance
    from dougong.testing.loader import LoaderConformance as LoaderConformance
    from dougong.testing.middleware import MiddlewareConformance as MiddlewareConformance
    from dougong.testing.network import NetworkConformance as NetworkConformance
    from dougong.testing.objective import ObjectiveConformance as ObjectiveConformance
    from dougong.testing.pattern import PatternConformance as PatternConformance
    from dougong.testing.retriever import IndexConformance as IndexConformance
    from dougong.testing.retriever import LibraryConformance as LibraryConformance
    from dougong.testing.retriever import RetrieverConformance as RetrieverConformance
    from dougong.testing.runner import run_suite as run_suite
    from dougong.testing.texts import CORPUS as CORPUS
    from dougong.testing.texts import HOSTILE as HOSTILE
    from dougong.testing.texts import ORDINARY as ORDINARY
    from dougong.testing.texts import chunks as chunks
    from dougong.testing.texts import documents as documents
    from dougong.testing.tokenizer import TokenizerConformance as TokenizerConformance
    from dougong.testing.tool import ToolConformance as ToolConformance

_PUBLIC = {
    "conformance": "Conformance",
    "loader": "LoaderConformance",
    "tokenizer": "TokenizerConformance",
    "chunker": "ChunkerConformance",
    "embedder": "EmbedderConformance",
    "retriever": "RetrieverConformance IndexConformance LibraryConformance",
    "llm": "LLMConformance",
    "tool": "ToolConformance",
    "pattern": "PatternConformance",
    "middleware": "MiddlewareConformance",
    "block": "BlockConformance",
    "network": "NetworkConformance",
    "cache": "CacheConformance",
    "adapter": "AdapterConformance",
    "objective": "ObjectiveConformance",
    "fakes": "Clock EchoTool HashEmbedder MemoryIndex ScriptedLLM",
    "texts": "CORPUS HOSTILE ORDINARY chunks documents",
    "runner": "run_suite",
}
_HOME = {name: module for module, names in _PUBLIC.items() for name in names.split()}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'dougong.testing' has no attribute {name!r}")
    return getattr(import_module(f"dougong.testing.{_HOME[name]}"), name)
