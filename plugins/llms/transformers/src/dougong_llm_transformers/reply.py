"""One reply under way: logits in, tokens back to the network, deltas out."""

from __future__ import annotations

import codecs
import json
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch
import transformers
from dougong import CallError, Delta, Sampling, ToolCall, Usage

from dougong_llm_transformers.constrain import Guide, Vocabulary

Choose = Callable[[list[int], torch.Tensor], int]


def chooser(sampling: Sampling, defaults: Any) -> Choose:
    """Picks a token of logits ``(vocabulary,)``: the likeliest at temperature 0 and where the network's generation
    config does not sample, else by chance, with temperature, top-p and top-k as `generate` applies them."""
    temperature = sampling.temperature
    if temperature is None:
        temperature = (1.0 if defaults.temperature is None else defaults.temperature) if defaults.do_sample else 0.0
    top_p = defaults.top_p if sampling.top_p is None and defaults.do_sample else sampling.top_p
    steps = transformers.LogitsProcessorList()
    if (defaults.repetition_penalty or 1.0) != 1.0:
        steps.append(transformers.RepetitionPenaltyLogitsProcessor(defaults.repetition_penalty))
    if temperature:
        if temperature != 1.0:
            steps.append(transformers.TemperatureLogitsWarper(float(temperature)))
        if defaults.do_sample and defaults.top_k:
            steps.append(transformers.TopKLogitsWarper(defaults.top_k))
        if top_p is not None and top_p < 1.0:
            steps.append(transformers.TopPLogitsWarper(float(top_p)))
    chance = torch.Generator()
    chance.manual_seed(sampling.seed & (2**63 - 1)) if sampling.seed is not None else chance.seed()

    def choose(ids: list[int], logits: torch.Tensor) -> int:
        if steps:
            logits = steps(torch.tensor([ids]), logits.float().cpu()[None])[0]  # type: ignore[arg-type]
        if not temperature:
            token = int(logits.argmax())
            if logits[token].isnan():
                raise ArithmeticError("its logits are not a number")
            return token
        return int(torch.multinomial(logits.float().cpu().softmax(-1), 1, generator=chance))

    return choose


class Reply:
    """What one chat has written so far. Driven by the engine, on whichever thread makes the step.

    Args:
        words: None where the tokenizer's tokens are no bytes; `plain` then turns tokens to text.
        limit: tokens at most.
        guide: holds the reply to a grammar; None while it is free.
        call: where tools are offered and the reply is free: the mark that begins a call, and what makes the guide of
            the rest, of ``(text after the mark, tokens left)``.
        held: the reply begins with this mark if it is tool calls; it is not shown before its end.
    """

    def __init__(
        self,
        prompt: list[int],
        words: Vocabulary | None,
        plain: Callable[[list[int]], str],
        ends: frozenset[int],
        limit: int,
        choose: Choose,
        stops: Sequence[str] = (),
        guide: Guide | None = None,
        call: tuple[str, Callable[[str, int], Guide | None]] | None = None,
        held: str | None = None,
        name: str = "call",
    ) -> None:
        self.prompt, self.written, self.out = prompt, list[int](), deque[Delta]()
        self.over = False
        self._words, self._plain, self._ends, self._limit, self._choose = words, plain, ends, limit, choose
        self._stops = tuple(filter(None, stops))
        self._guide, self._call, self._held, self._name = guide, call, held, name
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""  # not shown yet

    def take(self, logits: torch.Tensor) -> None:
        """Choose the next token from `logits` ``(vocabulary,)``. `over` says whether it was the last."""
        left = self._limit - len(self.written) - 1
        if self._guide is not None:
            allowed = torch.from_numpy(self._guide.allowed()).to(logits.device)
            logits = logits.masked_fill(~allowed, float("-inf"))
        chosen = self._choose(self.prompt + self.written, logits)
        token = chosen if self._guide is None else self._guide.commit(chosen, left)
        if token is not None:
            self.written.append(token)
        if token is None or token in self._ends or self._reads(token, left):
            self._end("stop")
        elif left == 0:
            self._end("length")

    def _reads(self, token: int, left: int) -> bool:
        """Add what `token` says; whether the reply ends with it."""
        self._text += self._piece(token)
        if self._guide is None:
            return self._shows(left)
        if self._held is None:
            self._say(len(self._text))
        return self._guide.done or (left == 0 and self._guide.whole)

    def _piece(self, token: int) -> str:
        if self._words is None:  # tokens that are whole words: what this one adds to the one before it
            before = self._plain(self.written[-2:-1]) if len(self.written) > 1 else ""
            return self._plain(self.written[-2:])[len(before) :]
        first = len(self.written) == 1
        return self._decoder.decode(self._words.first(token) if first else self._words.bytes_of(token))

    # ------------------------------------------------------------ free text

    def _shows(self, left: int) -> bool:
        """Give out the text that can no longer be part of a stop string or of a tool call; whether it has stopped."""
        mark = self._call[0] if self._call else ""
        found = [(at, text) for text in (*self._stops, mark) if text and (at := self._text.find(text)) >= 0]
        if not found:
            longest = max((_overlap(self._text, text) for text in (*self._stops, mark)), default=0)
            self._say(len(self._text) - longest)
            return False
        at, text = min(found, key=lambda pair: pair[0])
        if text in self._stops:
            self._say(at)
            self._text = ""
            return True
        assert self._call is not None
        guide = self._call[1](self._text[at + len(mark) :], left)
        if guide is None:  # the mark begins no call: it was text
            self._say(at + len(mark))
            return self._shows(left)
        self._say(at)
        self._guide, self._held = guide, ""
        return False

    def _say(self, length: int) -> None:
        if length > 0:
            self.out.append(Delta(self._text[:length]))
            self._text = self._text[length:]

    # ------------------------------------------------------------ the end

    def _end(self, finish: str) -> None:
        if finish == "stop" and self._guide is not None and not self._guide.whole:
            raise CallError(f"the schema could not be kept to: {self._guide.trouble}", hint="use a simpler schema")
        if self._words is not None and self._guide is None:
            self._text += self._decoder.decode(b"", True)
        calls = self._calls()
        data: dict[str, Any] = {"closed": True} if self._guide is not None and self._guide.closed else {}
        if calls:
            finish = "tool_calls"
        elif self._held is None or (self._guide is not None and self._guide.whole):
            self._say(len(self._text))
        for call in calls:
            self.out.append(Delta(tool_calls=(call,)))
        usage = Usage(input_tokens=len(self.prompt), output_tokens=len(self.written))
        self.out.append(Delta(finish=finish, usage=usage, data=data))
        self.over = True

    def _calls(self) -> tuple[ToolCall, ...]:
        """The calls whose end stands in the text; one that was cut is none. The grammar saw to their form."""
        found: list[ToolCall] = []
        if self._held is None or not self._text.startswith(self._held):
            return ()
        at = 0
        while (begin := self._text.find('{"name": ', at)) >= 0:
            try:
                call, at = json.JSONDecoder().raw_decode(self._text, begin)
            except ValueError:
                break
            name, arguments = call.values()
            found.append(ToolCall(f"{self._name}_{len(found) + 1}", name, arguments))
        return tuple(found)


def _overlap(text: str, mark: str) -> int:
    """Length of the longest end of `text` that is a beginning of `mark`."""
    return next((n for n in range(min(len(text), len(mark) - 1), 0, -1) if mark.startswith(text[-n:])), 0)


def failed(error: Exception) -> CallError:
    """What a network raised, as an error that says what to do."""
    memory = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    found = CallError(
        f"the network failed: {type(error).__name__}: {str(error)[:300]}",
        hint="lower batch or context, or use a smaller dtype" if memory else "check network, cache and adapters",
    )
    found.__cause__ = error
    return found
