"""Small right implementations: what a test puts into a slot. Deterministic, offline, safe between threads."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from dougong.errors import CallError, StoreError
from dougong.filters import where as compile_where
from dougong.types import Chunk, Delta, Hit, Message, Sampling, ToolCall, ToolResult, Usage

if TYPE_CHECKING:
    import numpy as np

    from dougong.kinds import Tool


class Clock:
    """Seconds that pass when told to: ``clock()`` reads, ``clock.sleep(2)`` and ``clock.advance(2)`` let 2 s pass."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self.seconds = start

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds

    sleep = advance


class HashEmbedder:
    """Unit vectors from the character 1- to 3-grams of a text, each hashed to a coordinate and a sign.

    Texts that share many n-grams are near. Source: Weinberger et al. 2009, Feature Hashing.
    """

    def __init__(self, dim: int = 64) -> None:
        self.dim = dim

    def embed(self, texts: Sequence[str], role: Literal["passage", "query"] = "passage") -> np.ndarray:
        import numpy as np

        if role not in ("passage", "query"):
            raise ValueError(f"role must be passage or query, not {role!r}")
        rows = np.zeros((len(texts), self.dim))
        for row, text in zip(rows, texts):
            folded = text.casefold()
            for size in (1, 2, 3):
                for at in range(len(folded) - size + 1):
                    gram = folded[at : at + size].encode("utf-8", "surrogatepass")
                    code = int.from_bytes(hashlib.blake2b(gram, digest_size=8).digest(), "little")
                    row[code // 2 % self.dim] += 1 - 2 * (code % 2)
            if not row.any():
                row[0] = 1
        unit: np.ndarray = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        return unit


_WORD = re.compile(r"[a-z0-9]+|[^\W a-z0-9_]")


class MemoryIndex:
    """An exact index in memory. A chunk's score is the share of its words that the query holds, times how many.

    Words are runs of Latin letters and digits, and single characters of other scripts. `save` writes the ids and their
    words, so that `load` needs no text.
    """

    def __init__(self, chunks: Iterable[Chunk] = ()) -> None:
        self._words: dict[str, frozenset[str]] = {}
        self._added: dict[str, Chunk] = {}
        self._stored: Mapping[str, Chunk] = {}
        self.add(chunks)

    def __len__(self) -> int:
        return len(self._words)

    def add(self, chunks: Iterable[Chunk]) -> None:
        for chunk in chunks:
            self._words[chunk.id] = _words(chunk.index_text)
            self._added[chunk.id] = chunk

    def delete(self, ids: Iterable[str]) -> None:
        for id in ids:
            self._words.pop(id, None)
            self._added.pop(id, None)

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        matches, asked = compile_where(where), _words(query)
        scores = {id: len(asked & words) ** 2 / len(words) for id, words in self._words.items() if asked & words}
        hits: list[Hit] = []
        for id in sorted(scores, key=lambda id: (-scores[id], id)):
            chunk = self._chunk(id)
            if matches(chunk.meta):
                hits.append(Hit(chunk, scores[id]))
                if len(hits) == k:
                    break
        return hits

    def _chunk(self, id: str) -> Chunk:
        try:
            return self._added[id] if id in self._added else self._stored[id]
        except KeyError:
            raise StoreError(f"the index holds chunk {id!r}, the store does not", hint="index again") from None

    def save(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with open(folder / "memory.json", "x", encoding="utf-8") as file:
                json.dump({"version": 1, "words": {id: sorted(words) for id, words in self._words.items()}}, file)
                file.flush()
                os.fsync(file.fileno())
        except OSError as problem:
            raise StoreError(f"cannot save the index in {folder}: {problem}", hint="give an empty folder") from problem

    def load(self, folder: Path, chunks: Mapping[str, Chunk]) -> None:
        try:
            content = json.loads((folder / "memory.json").read_text("utf-8"))
            version, words = content["version"], {id: frozenset(held) for id, held in content["words"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
            raise StoreError(f"{folder} is no complete memory index: {problem}", hint="index again") from problem
        if version != 1:
            raise StoreError(f"{folder} was written by another version", hint="index again")
        self._words, self._added, self._stored = words, {}, chunks


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


@attrs.frozen
class Request:
    """What a `ScriptedLLM` was asked."""

    messages: tuple[Message, ...]
    tools: tuple[Any, ...]
    schema: Mapping[str, Any] | None
    sampling: Sampling


Reply = str | ToolCall | Sequence[ToolCall] | Sequence[Delta] | BaseException | Callable[[Request], Any]


class ScriptedLLM:
    """A model that gives its replies in order, and then the last one again if `again`, else a CallError.

    A reply is a text, a tool call or several, whole deltas, an error to raise, or a function of the `Request` that
    gives one of these. Texts come word by word. Its tokens are characters.

    Attributes:
        requests: what it was asked, in order.
        closed: how many of its streams were closed before their end.
    """

    def __init__(self, *replies: Reply, again: bool = False) -> None:
        self._replies, self._again = list(replies), again
        self._lock = threading.Lock()
        self.requests: list[Request] = []
        self.closed = 0

    def chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        schema: Mapping[str, Any] | None = None,
        sampling: Sampling = Sampling(),
    ) -> Iterator[Delta]:
        with self._lock:
            number = len(self.requests)
            self.requests.append(Request(tuple(messages), tuple(tools), schema, sampling))
        if number >= len(self._replies) and not (self._again and self._replies):
            raise CallError(f"the script has {len(self._replies)} replies, and this is call {number + 1}",
                            hint="add a reply, or say again=True")  # fmt: skip
        reply: Any = self._replies[min(number, len(self._replies) - 1)]
        if callable(reply):
            reply = reply(self.requests[number])
        if isinstance(reply, BaseException):
            raise reply
        if isinstance(reply, ToolCall):
            reply = [reply]
        try:
            yield from self._deltas(messages, reply)
        except GeneratorExit:
            with self._lock:
                self.closed += 1
            raise

    def _deltas(self, messages: Sequence[Message], reply: Any) -> Iterator[Delta]:
        read = sum(len(part.text) for message in messages for part in message.parts)
        if isinstance(reply, str):
            for word in re.findall(r"\S+\s*|\s+", reply):
                yield Delta(word)
            yield Delta(finish="stop", usage=Usage(read, len(reply)))
        elif reply and isinstance(reply[0], Delta):
            yield from reply
        else:
            size = sum(len(json.dumps(dict(call.arguments), ensure_ascii=False)) for call in reply)
            yield Delta(tool_calls=tuple(reply), finish="tool_calls", usage=Usage(read, size))


class EchoTool:
    """A tool that gives back its `text`; `effect` as wanted. `calls` holds the arguments of each call."""

    description = "Gives back the text that it is given."
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {"text": {"type": "string", "description": "What to give back."}},
        "required": ["text"],
        "additionalProperties": False,
    }

    def __init__(self, name: str = "echo", effect: Literal["read", "write"] = "read") -> None:
        self.name, self.effect = name, effect
        self.calls: list[Mapping[str, Any]] = []

    def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        self.calls.append(dict(arguments))
        if set(arguments) != {"text"} or not isinstance(arguments["text"], str):
            return ToolResult('give exactly one argument, {"text": "..."}, a string', error=True)
        return ToolResult(arguments["text"])
