"""A right chat model, and plausible wrong ones, each with the check that must catch it. Run by test_kit_agents.py."""

from __future__ import annotations

import json
import queue
import threading
import uuid
from collections.abc import Iterator
from typing import Any

from dougong import CallError, Delta, Message, Sampling, ToolCall, Usage
from dougong.testing import LLMConformance

CALLING = (Message("user", "What is 2 + 3?"),)
FILLING = (Message("user", "An integer as JSON."),)


def judged(check: str = "", **attributes: Any) -> Any:
    """Give the class a suite; `check` must fail, no check where it is empty."""

    def declare(cls: type) -> type:
        suite = {
            "name": "llm.scripted",  # what is declared of it is right
            "params": {"replies": ["x"]},
            "build": lambda self, **overrides: cls(**overrides),
            "calling": CALLING,
            "filling": FILLING,
            "failing": {"broken": True},
            "honours": ("max_tokens", "stop"),
            "golden": ((CALLING, ""), ("斗拱 is what?", "You said: 斗拱 is what?")),
        }
        globals()[f"Test{cls.__name__}"] = type(f"Test{cls.__name__}", (LLMConformance,), {**suite, **attributes})
        return cls

    return declare


@judged()
class Right:
    """Says what it was told, calls `add` for sums, fills schemas with 5."""

    def __init__(self, broken: bool = False) -> None:
        self.broken = broken

    def reply(self, messages: Any, tools: Any, schema: Any) -> tuple[str, tuple[ToolCall, ...]]:
        text = messages[-1].text if messages else ""
        if schema is not None:
            if "JSON" not in text:
                raise CallError("no value fits the schema", hint="ask for JSON")
            return json.dumps({"answer": 5}), ()
        if "2 + 3" in text and any(tool.name == "add" for tool in tools):
            return "", (ToolCall("c1", "add", {"a": 2, "b": 3}),)
        return ("" if "2 + 3" in text else f"You said: {text}"), ()

    def chat(self, messages: Any, tools: Any = (), schema: Any = None, sampling: Any = Sampling()) -> Iterator[Delta]:
        if self.broken:
            raise CallError("the network is down", hint="try again later")
        text, calls = self.reply(messages, tools, schema)
        finish = "tool_calls" if calls else "stop"
        text = text.encode("utf-8", "replace").decode()
        for stop in sampling.stop:
            text = text.split(stop)[0]
        most = sampling.max_tokens
        if most is not None and len(text) > most:
            text, finish = text[:most], "length"
        yield from self.pieces(text)
        for call in calls:
            yield Delta(tool_calls=(call,))
        read = 1 + sum(len(part.text) for message in messages for part in message.parts)
        yield self.last(finish, Usage(read, len(text)))

    def pieces(self, text: str) -> Iterator[Delta]:
        for start in range(0, len(text), 4):
            yield Delta(text[start : start + 4])

    def last(self, finish: str, usage: Usage) -> Delta:
        return Delta(finish=finish, usage=usage)


@judged("test_the_last_delta_and_no_other_carries_usage_and_finish")
class UsageFirst(Right):
    """Usage comes with the first delta."""

    def chat(self, *request: Any, **keywords: Any) -> Iterator[Delta]:
        *deltas, last = super().chat(*request, **keywords)
        yield Delta(usage=last.usage)
        yield from deltas
        yield Delta(finish=last.finish)


@judged("test_the_last_delta_and_no_other_carries_usage_and_finish")
class OpenAIsFinish(Right):
    """Passes on a server's word for how it ended."""

    def last(self, finish: str, usage: Usage) -> Delta:
        return Delta(finish="end_turn", usage=usage)


@judged("test_usage_counts_tokens_and_leaves_counting_calls_to_the_run")
class CountsItself(Right):
    """Counts its call, which the run counts too."""

    def last(self, finish: str, usage: Usage) -> Delta:
        return Delta(finish=finish, usage=usage + Usage(model_calls=1))


@judged("test_a_longer_request_counts_more_input")
class Flat(Right):
    """Every request costs the same."""

    def last(self, finish: str, usage: Usage) -> Delta:
        return Delta(finish=finish, usage=Usage(10, usage.output_tokens))


@judged("test_text_is_whole_characters_and_data_is_plain")
class Live(Right):
    """Hands on an object of its client library."""

    def last(self, finish: str, usage: Usage) -> Delta:
        return Delta(finish=finish, usage=usage, data={"response": object()})


@judged("test_a_reply_that_is_closed_ends")
class Whole(Right):
    """Gives a list."""

    def chat(self, *request: Any, **keywords: Any) -> Any:
        return list(super().chat(*request, **keywords))


@judged("test_a_reply_that_is_closed_ends")
class Pumped(Right):
    """A thread reads the model, and goes on when nobody reads the thread."""

    def chat(self, *request: Any, **keywords: Any) -> Iterator[Delta]:
        pipe: queue.Queue[Delta | None] = queue.Queue(1)

        def pump() -> None:
            for delta in super(Pumped, self).chat(*request, **keywords):
                pipe.put(delta)
            pipe.put(None)

        threading.Thread(target=pump, daemon=True).start()
        while (delta := pipe.get()) is not None:
            yield delta


@judged("test_two_replies_read_in_turns_do_not_mix")
class Buffered(Right):
    """Keeps the reply under way in the object."""

    def pieces(self, text: str) -> Iterator[Delta]:
        self.rest = text
        while self.rest:
            piece, self.rest = self.rest[:4], self.rest[4:]
            yield Delta(piece)


@judged("test_a_run_that_asks_twice_gets_the_same_reply")
class Remembers(Right):
    """Keeps the conversation in the object."""

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self.history: list[Message] = []

    def chat(self, messages: Any, *request: Any, **keywords: Any) -> Iterator[Delta]:
        self.history += messages
        yield from super().chat(self.history, *request, **keywords)


@judged("test_a_request_is_not_changed")
class Appends(Right):
    """Adds its note to the caller's list."""

    def chat(self, messages: Any, *request: Any, **keywords: Any) -> Iterator[Delta]:
        if isinstance(messages, list):
            messages.append(Message("system", "Reply in JSON."))
        yield from super().chat(messages, *request, **keywords)


@judged("test_tool_calls_are_whole")
class Unparsed(Right):
    """Leaves arguments as the JSON text that came."""

    def reply(self, *request: Any) -> Any:
        text, calls = super().reply(*request)
        return text, tuple(ToolCall(call.id, call.name, json.dumps(dict(call.arguments))) for call in calls)


@judged("test_tool_calls_are_whole")
class Nameless(Right):
    """Forgets the ids of calls."""

    def reply(self, *request: Any) -> Any:
        text, calls = super().reply(*request)
        return text, tuple(ToolCall("", call.name, call.arguments) for call in calls)


@judged("test_no_tool_is_called_that_was_not_offered")
class Eager(Right):
    """Calls tools that nobody offered."""

    def reply(self, messages: Any, tools: Any, schema: Any) -> Any:
        return super().reply(messages, [ToolCall("", "add")], schema)


@judged("test_a_schema_is_kept_to_or_refused")
class Chatty(Right):
    """Takes a schema and says what it likes."""

    def reply(self, messages: Any, tools: Any, schema: Any) -> Any:
        text, calls = super().reply(messages, tools, schema)
        return (f"Sure! Here it is: {text}" if schema else text), calls


@judged("test_a_schema_is_kept_to_or_refused")
class Untyped(Right):
    """JSON, and not to the schema."""

    def reply(self, messages: Any, tools: Any, schema: Any) -> Any:
        text, calls = super().reply(messages, tools, schema)
        return ('{"answer": "five"}' if schema else text), calls


@judged("test_failures_are_call_errors_with_a_cure")
class Raw(Right):
    """Lets its client's errors through."""

    def chat(self, *request: Any, **keywords: Any) -> Iterator[Delta]:
        if self.broken:
            raise ConnectionError("refused")
        yield from super().chat(*request, **keywords)


@judged("test_a_request_that_asks_nothing_is_answered_or_refused")
class Index(Right):
    """Looks at the last message without asking whether there is one."""

    def reply(self, messages: Any, tools: Any, schema: Any) -> Any:
        assert messages[-1].text
        return super().reply(messages, tools, schema)


@judged("test_any_text_is_answered_or_refused")
class Strict(Right):
    """Cannot encode half a pair."""

    def reply(self, messages: Any, tools: Any, schema: Any) -> Any:
        json.dumps([message.text for message in messages], ensure_ascii=False).encode()
        return super().reply(messages, tools, schema)


@judged("test_sampling_is_kept_to")
class Long(Right):
    """Stops where it was told, and says that it was done."""

    def last(self, finish: str, usage: Usage) -> Delta:
        return Delta(finish="stop", usage=usage)


@judged("test_two_that_are_built_alike_behave_alike")
class Stamped(Right):
    """A random id in each reply."""

    def last(self, finish: str, usage: Usage) -> Delta:
        return Delta(finish=finish, usage=usage, data={"id": uuid.uuid4().hex})


@judged("test_it_keeps_its_own_promises")
class Trims(Right):
    """Loses the last character of a reply."""

    def pieces(self, text: str) -> Iterator[Delta]:
        return super().pieces(text[:-1])
