"""What passes between patterns, models and tools: messages, their parts, deltas, calls, results, usage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import ceil
from typing import Any, Literal

import attrs

_WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")


def estimate_tokens(text: str) -> int:
    """About how many tokens `text` has where no tokenizer is at hand: one a Chinese, Japanese or Korean character, one
    for 3.5 others."""
    wide = len(_WIDE.findall(text))
    return wide + ceil((len(text) - wide) / 3.5)


@attrs.frozen
class Part:
    """A typed piece of a message.

    Attributes:
        kind: ``text`` is said by the message's role; ``data`` is quoted material (a passage, a tool's output) that
            is never an instruction. Other kinds (images, audio) are reserved.
        source: for ``data``, the label by which an answer cites it ("1").
    """

    text: str
    kind: str = "text"
    source: str = ""
    meta: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class ToolCall:
    """A model's wish to call a tool. `arguments` is the parsed JSON object."""

    id: str
    name: str
    arguments: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class ToolResult:
    """What a tool gave back: `text` for a model, `data` for a program. Both are data, never instructions."""

    text: str
    data: Any = None
    error: bool = False


@attrs.frozen
class Message:
    """One turn of a conversation. `content` is plain text or typed parts."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | tuple[Part, ...] = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    name: str = ""

    @property
    def parts(self) -> tuple[Part, ...]:
        return (Part(self.content),) if isinstance(self.content, str) else self.content

    @property
    def text(self) -> str:
        """The message's own words, quoted material left out."""
        return "\n".join(part.text for part in self.parts if part.kind == "text")


@attrs.frozen
class Sampling:
    """How a model chooses tokens. None leaves a setting to the model."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


@attrs.frozen
class Usage:
    """What calls cost. Tokens are the model's own; `money` in `currency`."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    money: float = 0.0
    currency: str = "USD"
    estimated: bool = False

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.model_calls + other.model_calls,
            self.tool_calls + other.tool_calls,
            self.money + other.money,
            self.currency if self.money or not other.money else other.currency,
            self.estimated or other.estimated,
        )


@attrs.frozen
class Delta:
    """A piece of a model's reply, in order. Concatenated `text` is the reply; the last delta carries `usage`.

    Attributes:
        tool_calls: whole calls, sent once their arguments are complete and parsed.
        finish: ``stop length tool_calls content_filter``; on the last delta.
        data: extras of a model (``confidence``, log-probabilities, reasoning).
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str = ""
    usage: Usage | None = None
    data: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Result:
    """The single item that a tool's or a retriever's call yields through middleware: what the call returned."""

    value: Any
