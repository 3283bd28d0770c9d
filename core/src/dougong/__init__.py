"""dougong: every technique of the large-language-model field a plugin, every system one config file.

Public names load on first use, so that ``import dougong`` costs almost nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dougong.assemble import Assembly as Assembly
    from dougong.assemble import load as load
    from dougong.assemble import make as make
    from dougong.errors import BuildError as BuildError
    from dougong.errors import CallError as CallError
    from dougong.errors import Cancelled as Cancelled
    from dougong.errors import ConfigError as ConfigError
    from dougong.errors import Diverged as Diverged
    from dougong.errors import DougongError as DougongError
    from dougong.errors import Exhausted as Exhausted
    from dougong.errors import LoadError as LoadError
    from dougong.errors import Place as Place
    from dougong.errors import PluginError as PluginError
    from dougong.errors import StoreError as StoreError
    from dougong.filters import where as where
    from dougong.hookspecs import hookimpl as hookimpl
    from dougong.kinds import LLM as LLM
    from dougong.kinds import Adapter as Adapter
    from dougong.kinds import Block as Block
    from dougong.kinds import Builder as Builder
    from dougong.kinds import Cache as Cache
    from dougong.kinds import Chunker as Chunker
    from dougong.kinds import Embedder as Embedder
    from dougong.kinds import Index as Index
    from dougong.kinds import Library as Library
    from dougong.kinds import Loader as Loader
    from dougong.kinds import Middleware as Middleware
    from dougong.kinds import Network as Network
    from dougong.kinds import Objective as Objective
    from dougong.kinds import Pattern as Pattern
    from dougong.kinds import Retriever as Retriever
    from dougong.kinds import Tokenizer as Tokenizer
    from dougong.kinds import Tool as Tool
    from dougong.run import Call as Call
    from dougong.run import Run as Run
    from dougong.run import report as report
    from dougong.technique import Technique as Technique
    from dougong.technique import Use as Use
    from dougong.technique import slot as slot
    from dougong.tools import tool as tool
    from dougong.types import Answer as Answer
    from dougong.types import Chunk as Chunk
    from dougong.types import Citation as Citation
    from dougong.types import Delta as Delta
    from dougong.types import Document as Document
    from dougong.types import Event as Event
    from dougong.types import Hit as Hit
    from dougong.types import Message as Message
    from dougong.types import Part as Part
    from dougong.types import Result as Result
    from dougong.types import Sampling as Sampling
    from dougong.types import Secret as Secret
    from dougong.types import Section as Section
    from dougong.types import Span as Span
    from dougong.types import SyncReport as SyncReport
    from dougong.types import ToolCall as ToolCall
    from dougong.types import ToolResult as ToolResult
    from dougong.types import Usage as Usage
    from dougong.types import estimate_tokens as estimate_tokens

_PUBLIC = {
    "assemble": "Assembly load make",
    "errors": "BuildError CallError Cancelled ConfigError Diverged DougongError Exhausted LoadError Place "
    "PluginError StoreError",
    "hookspecs": "hookimpl",
    "kinds": "Adapter Block Builder Cache Chunker Embedder Index LLM Library Loader Middleware Network Objective "
    "Pattern Retriever Tokenizer Tool",
    "run": "Call Run report",
    "technique": "Technique Use slot",
    "tools": "tool",
    "types": "Answer Chunk Citation Delta Document Event Hit Message Part Result Sampling Secret Section Span "
    "SyncReport ToolCall ToolResult Usage estimate_tokens",
    "filters": "where",
}
_HOME = {name: module for module, names in _PUBLIC.items() for name in names.split()}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'dougong' has no attribute {name!r}")
    value = getattr(import_module(f"dougong.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
