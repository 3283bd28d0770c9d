"""A conversation grows by a few messages a call. The journal writes those, and names the call that holds the rest.

What a call asks is written as it stands but for two arguments: ``messages`` that begin with all those of an earlier
call are ``{"$after": its key, "more": [the others]}``, and the same ``tools`` as then ``{"$as": the key that has
them}``. The request's hash does not show which call that was: each message is hashed with the hash before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import attrs

from dougong.call import Call
from dougong.codec import digest, to_data


@attrs.frozen
class _Asked:
    """What a model was last asked. `tools_key` is the call whose line holds the tools."""

    key: str
    messages: tuple[Any, ...]
    messages_hash: str
    tools: tuple[Any, ...]
    tools_key: str
    tools_hash: str


class Transcript:
    """Writes calls down, each after the one that the same model was asked before it at the same place."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str], _Asked] = {}

    def write(self, call: Call, key: str) -> tuple[dict[str, Any], str]:
        """What the journal holds of the call's arguments, and the hash of the whole request.

        Messages and tools that were written once must not be changed afterwards: they are not looked at again.
        """
        if "messages" not in call.arguments:
            arguments = to_data(dict(call.arguments))
            return arguments, digest([call.kind, call.name, arguments])
        rest = {name: value for name, value in call.arguments.items() if name not in ("messages", "tools")}
        messages, tools = tuple(call.arguments["messages"]), tuple(call.arguments.get("tools") or ())
        place = (call.path.rpartition(".")[0], call.name)  # a branch's calls come one after the other
        last = self._asked.get(place)
        written = to_data(rest)
        if last is not None and _same(tools, last.tools):
            written["tools"], tools_key, tools_hash = {"$as": last.tools_key}, last.tools_key, last.tools_hash
        else:
            written["tools"] = to_data(tools)
            tools_key, tools_hash = key, digest(written["tools"])
        if last is not None and messages[: len(last.messages)] == last.messages:
            more = to_data(messages[len(last.messages) :])
            written["messages"] = {"$after": last.key, "more": more}
            hashed = last.messages_hash
        else:
            written["messages"] = more = to_data(messages)
            hashed = ""
        for message in more:
            hashed = digest([hashed, message])
        self._asked[place] = _Asked(key, messages, hashed, tools, tools_key, tools_hash)
        return written, digest([call.kind, call.name, to_data(rest), tools_hash, hashed])


def whole(arguments: Mapping[str, Any], written: Callable[[str], Mapping[str, Any]]) -> dict[str, Any]:
    """Arguments as the call had them; `written` gives those of an earlier call as the journal holds them."""
    result = dict(arguments)
    if isinstance(tools := result.get("tools"), dict):
        result["tools"] = written(tools["$as"])["tools"]
    newest_first = []
    messages = result.get("messages")
    while isinstance(messages, dict):
        newest_first.append(messages["more"])
        messages = written(messages["$after"])["messages"]
    if newest_first:
        result["messages"] = list(chain(messages or (), *reversed(newest_first)))
    return result


def _same(left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    return len(left) == len(right) and all(one is other for one, other in zip(left, right, strict=True))
