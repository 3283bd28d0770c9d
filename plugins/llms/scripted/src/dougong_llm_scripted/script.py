"""The script: which reply is whose turn, cut into deltas."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from dougong import CallError, Delta, Message, Sampling, Tool, ToolCall, Usage
from dougong.run import Run, active_run

from dougong_llm_scripted import Params

# One token a Han character, a word, or a mark: near enough for budgets to be exercised, and the same everywhere.
_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+|[^\w\s]")


class Scripted:
    """A chat model whose replies are given beforehand.

    A technique holds no state of a run, but a script has a position: it is kept by the active run (every run starts at
    the first reply) and forgotten with it. Calls outside a run share one position for the life of the object. The
    position moves when a call starts, under a lock; parallel branches of one run take turns in the order in which
    they arrive, so give their replies a ``when``. `schema` and `sampling` change nothing.
    """

    def __init__(self, params: Params) -> None:
        self._replies: list[Mapping[str, Any]] = [
            {"text": reply} if isinstance(reply, str) else reply for reply in params.replies
        ]
        self._strict, self._piece = params.strict, params.piece
        self._used: WeakKeyDictionary[Run, list[int]] = WeakKeyDictionary()
        self._used_outside: list[int] = []
        self._lock = threading.Lock()

    def chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        schema: Mapping[str, Any] | None = None,
        sampling: Sampling = Sampling(),
    ) -> Iterator[Delta]:
        """The first reply not yet given whose ``when`` occurs in the request, in pieces.

        Raises CallError where no reply is left, where a reply calls a tool that is not offered, or as scripted.
        """
        request = "\n".join(part.text for message in messages for part in message.parts)
        index = self._take(request)
        reply = self._replies[index]
        calls = [
            ToolCall(call.get("id", f"call_{index + 1}_{position}"), call["name"], call.get("arguments", {}))
            for position, call in enumerate(reply.get("tool_calls", ()), 1)
        ]
        offered = {tool.name for tool in tools}
        for call in calls:
            if call.name not in offered:
                raise CallError(
                    f"scripted reply {index + 1} calls the tool {call.name!r}, which this request does not offer",
                    hint=f"offered: {', '.join(sorted(offered)) or 'none'}",
                )
        text = str(reply.get("text", ""))
        for start in range(0, len(text), self._piece):
            yield Delta(text[start : start + self._piece])
        if "error" in reply:
            raise CallError(str(reply["error"]), hint=f"scripted reply {index + 1} says so")
        for call in calls:
            yield Delta(tool_calls=(call,))
        written = text + "".join(f"{call.name} {dict(call.arguments)}" for call in calls)
        usage = (
            Usage(**reply["usage"])
            if "usage" in reply
            else Usage(len(_TOKEN.findall(request)), len(_TOKEN.findall(written)), estimated=True)
        )
        finish = reply.get("finish", "tool_calls" if calls else "stop")
        yield Delta(finish=finish, usage=usage, data=reply.get("data", {}))

    def unused(self, run: Run | None = None) -> list[int]:
        """Numbers, from 1, of the replies that `run` (None: calls outside any run) has not taken: a test's end."""
        with self._lock:
            used = self._used_outside if run is None else self._used.get(run, [])
            return [number for number in range(1, len(self._replies) + 1) if number - 1 not in used]

    def _take(self, request: str) -> int:
        run = active_run()
        with self._lock:
            used = self._used_outside if run is None else self._used.setdefault(run, [])
            fitting = [i for i, reply in enumerate(self._replies) if reply.get("when", "") in request]
            fresh = [i for i in fitting if i not in used]
            if fresh:
                index = fresh[0]
            elif fitting and not self._strict:
                index = fitting[-1]
            else:
                why = "all fitting replies are used up" if fitting else "no reply's 'when' occurs in the request"
                raise CallError(
                    f"llm.scripted has no reply for call {len(used) + 1}: {why} "
                    f"({len(self._replies)} replies); the request ends {request[-80:]!r}",
                    hint="add a reply, or set strict: false to repeat the last one",
                )
            used.append(index)
            return index
