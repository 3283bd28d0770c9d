"""The hooks of dougong. A plugin implements the declaring hook of each kind it has techniques of.

Declaring hooks are historic: each is called once, when its plugin is first used. Nothing at run time goes through
hooks.
"""

from __future__ import annotations

from typing import Any

import pluggy

from dougong.technique import Technique

hookspec = pluggy.HookspecMarker("dougong")
hookimpl = pluggy.HookimplMarker("dougong")

# ---------------------------------------------------------------- declaring hooks, one a kind


@hookspec(historic=True)
def dougong_blocks() -> list[Technique]:  # type: ignore[empty-body]
    """Declare techniques of kind ``block``: parts of a network."""


@hookspec(historic=True)
def dougong_networks() -> list[Technique]:  # type: ignore[empty-body]
    """Declare techniques of kind ``network``: assembled or pretrained models."""


@hookspec(historic=True)
def dougong_caches() -> list[Technique]:  # type: ignore[empty-body]
    """Declare techniques of kind ``cache``: key-value caches of generation."""


@hookspec(historic=True)
def dougong_adapters() -> list[Technique]:  # type: ignore[empty-body]
    """Declare techniques of kind ``adapter``: parameter-efficient fine-tuning."""


@hookspec(historic=True)
def dougong_objectives() -> list[Technique]:  # type: ignore[empty-body]
    """Declare techniques of kind ``objective``: training tasks."""


@hookspec(historic=True)
def dougong_loaders() -> list[Technique]:  # type: ignore[empty-body]
    """Declare techniques of kind ``loader``: files to documents."""


@hookspec(historic=True)
def dougong_tokenizers() -> list[Technique]:  # type: ignore[empty-body]
    """Declare techniques of kind ``tokenizer``: text to token offsets."""


@hookspec(historic=True)
def dougong_chunkers() -> list[Technique]:  # type: ignore[empty-body]
    """Declare techniques of kind ``chunker``: documents to chunks."""


@hookspec(historic=True)
def dougong_embedders() -> list[Technique]:  # type: ignore[empty-body]
    """Declare techniques of kind ``embedder``: texts to vectors."""


@hookspec(historic=True)
def dougong_retrievers() -> list[Technique]:  # type: ignore[empty-body]
    """Declare techniques of kind ``retriever``: queries to hits."""


@hookspec(historic=True)
def dougong_llms() -> list[Technique]:  # type: ignore[empty-body]
    """Declare techniques of kind ``llm``: chat models."""


@hookspec(historic=True)
def dougong_tools() -> list[Technique]:  # type: ignore[empty-body]
    """Declare techniques of kind ``tool``: what a model may call."""


@hookspec(historic=True)
def dougong_patterns() -> list[Technique]:  # type: ignore[empty-body]
    """Declare techniques of kind ``pattern``: ways to work on a task."""


@hookspec(historic=True)
def dougong_middleware() -> list[Technique]:  # type: ignore[empty-body]
    """Declare techniques of kind ``middleware``: what stands around every call."""


DECLARING = {
    "block": "dougong_blocks",
    "network": "dougong_networks",
    "cache": "dougong_caches",
    "adapter": "dougong_adapters",
    "objective": "dougong_objectives",
    "loader": "dougong_loaders",
    "tokenizer": "dougong_tokenizers",
    "chunker": "dougong_chunkers",
    "embedder": "dougong_embedders",
    "retriever": "dougong_retrievers",
    "llm": "dougong_llms",
    "tool": "dougong_tools",
    "pattern": "dougong_patterns",
    "middleware": "dougong_middleware",
}

# ---------------------------------------------------------------- build hooks


@hookspec
def dougong_before_build(path: str, technique: str, params: Any) -> None:
    """A technique is about to be built.

    :param path: config path of the technique.
    :param technique: its full name, ``chunker.fixed``.
    :param params: its validated params, slots filled.
    """


@hookspec
def dougong_after_build(path: str, technique: str, instance: Any) -> None:
    """A technique was built and meets its protocol.

    :param instance: what its factory returned, before any proxy stands in front of it.
    """
