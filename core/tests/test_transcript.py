"""Conversations in a journal: written once, read back whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dougong import LLM, Delta, Message, StoreError, ToolCall, Usage
from dougong.call import Call
from dougong.codec import from_data, to_data
from dougong.journal import Journal, read
from dougong.proxies import proxied
from dougong.run import Run
from dougong.tools import tool
from dougong.transcript import Transcript, whole
from hypothesis import given
from hypothesis import strategies as st


@tool
def look(word: str) -> str:
    """Look a word up.

    Args:
        word: the word.
    """
    return word


@tool
def write(word: str) -> str:
    """Write a word.

    Args:
        word: the word.
    """
    return word


said = st.builds(
    Message,
    st.sampled_from(["user", "assistant"]),
    st.sampled_from(["", "one", "two", "斗拱", "$after"]),
    st.sampled_from([(), (ToolCall("1", "look", {"$after": "0"}),)]),
)
change = st.tuples(
    st.sampled_from(["more", "same", "shorter", "other", "empty"]),
    st.lists(said, max_size=3),
    st.sampled_from([(), (look,), (look, write)]),
    st.sampled_from(["0", "1[0].0", "1[1].0"]),
    st.sampled_from(["main.llm", "main.judge"]),
)


def conversations(changes: list[Any]) -> Iterator[Call]:
    """Calls of a few models whose messages grow, shrink and are exchanged."""
    messages: list[Message] = []
    for position, (what, new, tools, place, name) in enumerate(changes):
        if what == "more":
            messages = messages + new
        elif what == "shorter":
            messages = messages[: len(messages) // 2] + new
        elif what == "other":
            messages = [Message("system", "anew"), *messages[1:], *new]
        elif what == "empty":
            messages = []
        arguments = {"messages": list(messages), "tools": tools, "schema": None, "sampling": {"seed": 1}}
        yield Call(f"{place[:-1]}{position}", "llm", name, arguments)


@given(st.lists(change, max_size=12))
def test_what_is_written_reads_back_as_what_was_asked(changes: list[Any]) -> None:
    transcript, written = Transcript(), {}
    for call in conversations(changes):
        written[call.path], _ = transcript.write(call, call.path)
        line = json.loads(json.dumps(written[call.path]))
        assert from_data(whole(line, written.__getitem__)) == from_data(to_data(dict(call.arguments)))


@given(st.lists(change, max_size=12))
def test_the_hash_shows_what_is_asked_and_not_what_was_asked_before(changes: list[Any]) -> None:
    """A resumed run, which knows other earlier calls, comes to the same hash; another request to another one."""
    transcript, hashes = Transcript(), {}
    for call in conversations(changes):
        _, request = transcript.write(call, call.path)
        assert request == Transcript().write(call, call.path)[1]
        asked = json.dumps([call.name, to_data(dict(call.arguments))], sort_keys=True)
        assert hashes.setdefault(request, asked) == asked
        assert hashes.setdefault(asked, request) == request


class Echo:
    def chat(self, messages: Any, tools: Any = (), schema: Any = None, sampling: Any = None) -> Iterator[Delta]:
        yield Delta(f"turn {len(messages)}", finish="stop", usage=Usage(1, 1))


def talk(path: Path, turns: int, size: int = 1) -> list[list[Message]]:
    """A conversation of `turns`, each asking with all that was said so far."""
    llm = proxied(LLM, Echo(), "main.llm")
    journal = Journal(path)
    asked, messages = [], [Message("system", "You count turns.")]
    try:
        with Run(journal=journal).active():
            for turn in range(turns):
                messages.append(Message("user", f"{turn} " * size))
                asked.append(list(messages))
                reply = "".join(delta.text for delta in llm.chat(messages, [look]))
                messages.append(Message("assistant", reply))
    finally:
        journal.close()
    return asked


def test_a_journal_grows_with_what_is_said_not_with_the_square_of_it(tmp_path: Path) -> None:
    sizes = []
    for turns in (50, 200):
        talk(tmp_path / f"{turns}.jsonl", turns)
        sizes.append((tmp_path / f"{turns}.jsonl").stat().st_size / turns)
    assert sizes[1] < sizes[0] * 1.1


@pytest.mark.parametrize("size", [1, 20_000], ids=["in the line", "in blobs"])
def test_a_reader_of_the_journal_sees_every_request_whole(tmp_path: Path, size: int) -> None:
    asked = talk(tmp_path / "run.jsonl", 6, size)
    lines = [line for line in read(tmp_path / "run.jsonl") if line.get("e") == "intent"]
    assert [from_data(line["arguments"]["messages"]) for line in lines] == asked
    assert all(line["arguments"]["tools"][0]["name"] == "look" for line in lines)
    journal = Journal(tmp_path / "run.jsonl")
    last = journal.get("intent", "5")
    journal.close()
    assert last is not None
    assert from_data(last["arguments"]["messages"]) == asked[-1]


def test_a_journal_that_lost_an_earlier_call_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    talk(path, 3)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if '"at":"1"' not in line), encoding="utf-8")
    with pytest.raises(StoreError, match="damaged"):
        list(read(path))
