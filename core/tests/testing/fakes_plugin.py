"""The kit's own fakes as techniques, so that they can be put through the kit."""

from __future__ import annotations

from typing import Any

import attrs
from dougong import Index, Technique, ToolCall, hookimpl


@attrs.frozen
class Params:
    """None."""


def embedder(params: Params) -> Any:
    from dougong.testing import HashEmbedder

    return HashEmbedder()


def index(params: Params) -> Any:
    from dougong.testing import MemoryIndex

    return MemoryIndex()


def tool(params: Params) -> Any:
    from dougong.testing import EchoTool

    return EchoTool()


def llm(params: Params) -> Any:
    from dougong.testing import ScriptedLLM

    def reply(request: Any) -> Any:
        asked = request.messages[-1].text.replace("\ud800", "?") if request.messages else ""
        if "2 + 3" in asked and request.tools:
            return ToolCall("call-1", "add", {"a": 2, "b": 3})
        return '{"answer": 5}' if "integer" in asked else f"You asked: {asked} 您问了。"

    return ScriptedLLM(reply, again=True)


def _one(name: str, factory: str, protocol: type | None = None) -> list[Technique]:
    return [Technique(name, Params, f"{__name__}:{factory}", "A fake of the kit's.", "dougong.testing", protocol)]


@hookimpl
def dougong_embedders() -> list[Technique]:
    return _one("fake", "embedder")


@hookimpl
def dougong_retrievers() -> list[Technique]:
    return _one("fake", "index", Index)


@hookimpl
def dougong_tools() -> list[Technique]:
    return _one("fake", "tool")


@hookimpl
def dougong_llms() -> list[Technique]:
    return _one("fake", "llm")
