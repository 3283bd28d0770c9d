"""The kit's fakes pass the kit, and do what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from dougong import CallError, Delta, Message, ToolCall
from dougong.testing import (
    Clock,
    EchoTool,
    EmbedderConformance,
    HashEmbedder,
    IndexConformance,
    LLMConformance,
    MemoryIndex,
    ScriptedLLM,
    ToolConformance,
    chunks,
)

PLUGIN = Path(__file__).with_name("fakes_plugin.py")


class TestHashEmbedder(EmbedderConformance):
    name, plugin = "embedder.fake", PLUGIN


class TestMemoryIndex(IndexConformance):
    name, plugin = "retriever.fake", PLUGIN
    golden = (("dougong brackets", [(0, 4 / 12)]), ("斗拱", [(7, 4 / 16)]))


class TestEchoTool(ToolConformance):
    name, plugin = "tool.fake", PLUGIN
    examples = ({"text": "hello"}, {"text": "你好 👍"})
    golden = (({"text": "hello"}, "hello"),)


class TestScriptedLLM(LLMConformance):
    name, plugin = "llm.fake", PLUGIN
    calling = (Message("user", "What is 2 + 3?"),)
    filling = (Message("user", "Give me an integer."),)
    golden = (("Why?", "You asked: Why? 您问了。"),)


def test_a_script_is_said_in_order_and_ends() -> None:
    """Texts, calls, deltas, errors; then a CallError."""
    broken = CallError("down", hint="wait")
    llm = ScriptedLLM("one two", [ToolCall("1", "echo", {"text": "a"})], [Delta("raw", finish="length")], broken)
    replies = [list(llm.chat([Message("user", str(number))])) for number in range(3)]
    assert [delta.text for delta in replies[0]] == ["one ", "two", ""]
    assert replies[1][-1].tool_calls[0].arguments == {"text": "a"}
    assert replies[2] == [Delta("raw", finish="length")]
    with pytest.raises(CallError, match="down"):
        list(llm.chat([]))
    with pytest.raises(CallError, match="call 5"):
        list(llm.chat([]))
    assert [request.messages[0].text for request in llm.requests[:3]] == ["0", "1", "2"]


def test_a_stream_that_is_closed_early_is_counted() -> None:
    llm = ScriptedLLM("one two three")
    stream = llm.chat([])
    next(stream)
    stream.close()
    assert llm.closed == 1


def test_an_index_of_the_kit_is_given_to_wrappers() -> None:
    """``MemoryIndex(chunks())`` holds the corpus; a hit's chunk is the one given."""
    held = chunks()
    assert MemoryIndex(held).search("dougong", 1)[0].chunk is held[0]


def test_an_embedder_of_another_width() -> None:
    assert HashEmbedder(8).embed(["a", "b"]).shape == (2, 8)


def test_time_passes_when_told() -> None:
    clock = Clock(5.0)
    clock.sleep(2)
    clock.advance(0.5)
    assert clock() == 7.5


def test_a_tool_notes_its_calls() -> None:
    tool = EchoTool("say", "write")
    assert tool.call({"text": "a"}).text == "a"
    assert tool.call({}).error
    assert (tool.name, tool.effect, tool.calls) == ("say", "write", [{"text": "a"}, {}])
