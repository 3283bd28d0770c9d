"""What holds for every chat model."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import Any, ClassVar

import pytest

from dougong.codec import to_data
from dougong.errors import CallError
from dougong.run import Run
from dougong.testing.conformance import Conformance, inner
from dougong.testing.runs import ADD, HOSTILE, copied, lived, said, through
from dougong.types import Delta, Message, Part, Sampling, ToolCall, Usage

FINISHES = ("stop", "length", "tool_calls", "content_filter")


class LLMConformance(Conformance):
    """A chat model keeps its promises of `dougong.kinds.LLM`.

    Attributes:
        messages, other: two requests that it answers, with different texts.
        golden: a request (messages, or the text of one) and exactly what it replies; or ``{"ask": [requests], **options
            of chat}`` and, for each of them in one run, ``[text, calls, finish, data, tokens in, tokens out]``, or the
            error's message.
        calling: a request that it answers by calling the tool ``add`` of two whole numbers; None if it calls no tools.
        filling: a request that it answers to `schema`; None if it refuses schemas (by a CallError) or ignores none.
        failing: params with which it fails, other than by bad messages; None if it cannot be made to.
        ordered: its reply depends on how often the run asked (a script).
        honours: fields of `Sampling` that it keeps to, of ``max_tokens`` and ``stop``.
    """

    messages: Sequence[Message] = (
        Message("system", "Answer shortly. 简短作答。"),
        Message(
            "user", (Part("Refunds take one week. 退款需要一周。", "data", "1"), Part("How long do refunds take?"))
        ),
    )
    other: Sequence[Message] = (
        Message("user", (Part("屋檐的重量由斗拱传给柱子。", "data", "1"), Part("屋檐的重量由什么传给柱子？"))),
    )
    calling: Sequence[Message] | None = None
    filling: Sequence[Message] | None = None
    schema: Mapping[str, Any] = {
        "type": "object",
        "properties": {"answer": {"type": "integer"}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    failing: Mapping[str, Any] | None = None
    ordered: bool = False
    honours: Sequence[str] = ()

    kind: ClassVar[str] = "llm"

    def observe(self, built: Any) -> Any:
        return [to_data(self.ask(built, messages)) for messages in (self.messages, self.other)]

    def answer(self, built: Any, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return said(self.ask(built, self._messages(given)))
        options = {name: value for name, value in given.items() if name != "ask"}
        with Run().active():
            return [self._whole(through("llm", built), self._messages(asked), options) for asked in given["ask"]]

    def _messages(self, asked: str | Sequence[Message]) -> Sequence[Message]:
        return (Message("user", asked),) if isinstance(asked, str) else asked

    def _whole(self, llm: Any, messages: Sequence[Message], options: Mapping[str, Any]) -> Any:
        try:
            deltas = list(llm.chat(messages, **options))
        except CallError as error:
            return error.message
        calls = [[call.name, dict(call.arguments)] for delta in deltas for call in delta.tool_calls]
        usage, data = deltas[-1].usage or Usage(), {key: v for delta in deltas for key, v in delta.data.items()}
        return [said(deltas), calls, deltas[-1].finish, data, usage.input_tokens, usage.output_tokens]

    def ask(self, llm: Any, messages: Sequence[Message] | None = None, **request: Any) -> list[Delta]:
        """The reply of `llm`, in a run of its own: every run finds a script at its beginning."""
        with Run().active():
            return list(through("llm", llm).chat(self.messages if messages is None else messages, **request))

    # ------------------------------------------------------------ deltas

    def test_the_last_delta_and_no_other_carries_usage_and_finish(self) -> None:
        for messages in (self.messages, self.other):
            deltas = self.ask(self.build(), messages)
            assert deltas, "a reply without deltas: yield at least the last one, with usage and finish"
            assert all(isinstance(delta, Delta) for delta in deltas), "yield dougong.Delta and nothing else"
            assert isinstance(deltas[-1].usage, Usage), "the last delta must carry usage"
            assert deltas[-1].finish in FINISHES, f"finish is {deltas[-1].finish!r}; it must be one of {FINISHES}"
            early = [delta for delta in deltas[:-1] if delta.usage is not None or delta.finish]
            assert not early, "only the last delta may carry usage or finish: what comes after it would be lost"

    def test_usage_counts_tokens_and_leaves_counting_calls_to_the_run(self) -> None:
        for messages in (self.messages, self.other):
            deltas = self.ask(self.build(), messages)
            usage = deltas[-1].usage
            assert usage is not None
            assert usage.input_tokens > 0, "no input tokens: budgets would be blind; estimate them (estimated=True)"
            assert usage.output_tokens > 0 or not said(deltas), "no output tokens for a reply that has words"
            assert min(usage.cached_tokens, usage.money) >= 0
            assert usage.cached_tokens <= usage.input_tokens, "cached tokens are some of the input tokens"
            assert not usage.model_calls + usage.tool_calls, "the run counts calls; a model's usage must leave them 0"

    def test_a_longer_request_counts_more_input(self) -> None:
        last = self.messages[-1]
        longer = (*self.messages[:-1], Message("user", (Part("word 字 " * 300, "data", "9"), *last.parts)))
        shorter, more = self.ask(self.build()), self.or_refused(self.build(), longer)
        if more is not None:
            assert more[-1].usage is not None
            assert shorter[-1].usage is not None
            assert more[-1].usage.input_tokens > shorter[-1].usage.input_tokens, "input tokens must follow the request"

    def test_text_is_whole_characters_and_data_is_plain(self) -> None:
        for messages in (self.messages, self.other):
            for delta in self.ask(self.build(), messages):
                assert isinstance(delta.text, str)
                delta.text.encode()  # a lone surrogate: half an emoji in each of two deltas
                json.dumps(to_data(delta.data))

    # ------------------------------------------------------------ state

    def test_a_run_that_asks_twice_gets_the_same_reply(self) -> None:
        if self.ordered:
            pytest.skip("its replies come in an order")
        llm = through("llm", self.build())
        with Run().active():
            replies = [to_data(list(llm.chat(messages))) for messages in (self.messages, self.other, self.messages)]
        assert replies[0] == replies[2], "the reply depends on what was asked before: keep no state of a chat"

    def test_the_defaults_are_no_tools_no_schema_and_plain_sampling(self) -> None:
        llm = self.build()
        given = self.ask(llm, tools=(), schema=None, sampling=Sampling())
        assert to_data(given) == to_data(self.ask(llm))
        assert to_data(self.ask(llm, list(self.messages))) == to_data(self.ask(llm, tuple(self.messages)))

    def test_a_request_is_not_changed(self) -> None:
        request: dict[str, Any] = {"messages": list(self.filling or self.messages), "tools": [ADD]}
        request |= {"schema": copied(dict(self.schema)), "sampling": Sampling(max_tokens=50, stop=("never said",))}
        before = to_data(request)
        with Run().active(), suppress(CallError):  # it may refuse a schema
            list(through("llm", self.build()).chat(**request))
        assert to_data(request) == before, "messages, tools, schema and sampling are the caller's: copy what you change"

    def test_two_replies_read_in_turns_do_not_mix(self) -> None:
        if self.ordered:
            pytest.skip("its replies come in an order")
        llm = self.build()
        alone = [to_data(self.ask(llm, messages)) for messages in (self.messages, self.other)]
        assert alone[0] != alone[1], "two requests get one reply; set `other` to one that is answered differently"
        streams = [inner(llm).chat(messages) for messages in (self.messages, self.other)]
        replies: tuple[list[Any], ...] = ([], [])
        for deltas in zip_longest(*streams):  # a delta of each
            for reply, delta in zip(replies, deltas):
                reply.extend([] if delta is None else [to_data(delta)])
        assert list(replies) == alone, "replies under way get each other's words: keep what belongs to a chat in locals"

    # ------------------------------------------------------------ the iterator

    def test_a_reply_that_is_closed_ends(self) -> None:
        llm = self.build()
        before = set(threading.enumerate())
        reply: Any = inner(llm).chat(self.messages)
        assert isinstance(reply, Iterator), "chat must return an iterator, not a list: yield the deltas"
        assert callable(getattr(reply, "close", None)), "the iterator has no close(): write chat as a generator"
        next(reply)
        reply.close()  # type: ignore[attr-defined]
        assert next(reply, None) is None, "the reply goes on after it was closed"
        unread: Any = inner(llm).chat(self.messages)
        unread.close()  # not begun
        deadline = time.monotonic() + 2
        while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not left, f"closing left a thread running: {left}; end it in a finally clause"
        assert self.ask(self.build())

    # ------------------------------------------------------------ tools and schemas

    def test_tool_calls_are_whole(self) -> None:
        if self.calling is None:
            pytest.skip("it calls no tools")
        deltas = self.ask(self.build(), self.calling, tools=(ADD,))
        calls = [call for delta in deltas for call in delta.tool_calls]
        assert calls, "the request of `calling` brought no tool call"
        assert deltas[-1].finish == "tool_calls", "a reply that calls tools must finish as tool_calls"
        assert all(call.id for call in calls), "a tool call without id: its result could not be matched"
        assert len({call.id for call in calls}) == len(calls), "two tool calls share an id"
        for call in calls:
            assert call.name == ADD.name, f"it called {call.name!r}, which was not offered"
            assert isinstance(call.arguments, Mapping), "arguments must be the parsed JSON object"
            result = ADD.call(call.arguments)
            assert not result.error, f"the arguments do not fit the tool's parameters: {result.text}"

    def test_no_tool_is_called_that_was_not_offered(self) -> None:
        deltas = self.or_refused(self.build(), self.calling or self.messages)
        assert not [call for delta in deltas or () for call in delta.tool_calls], "no tool was offered"

    def test_a_schema_is_kept_to_or_refused(self) -> None:
        deltas = self.or_refused(self.build(), self.filling or self.messages, schema=self.schema)
        assert deltas is not None or self.filling is None, "the request of `filling` was refused"
        if deltas is not None and deltas[-1].finish != "length":
            self.check_schema(said(deltas))

    def check_schema(self, text: str) -> None:
        try:
            value = json.loads(text)
        except ValueError as error:
            raise AssertionError(f"a schema was asked for and the reply is no JSON ({error}): {text[:200]!r}") from None
        try:
            import jsonschema  # type: ignore[import-untyped]
        except ImportError:  # the kit does without: the schema is the one above unless a suite has its own
            missing = [name for name in self.schema.get("required", ()) if name not in value]
            assert not missing, f"the reply lacks {missing}"
        else:
            jsonschema.validate(value, self.schema)

    # ------------------------------------------------------------ failures and limits

    def test_failures_are_call_errors_with_a_cure(self) -> None:
        if self.failing is None:
            pytest.skip("it cannot be made to fail")
        with pytest.raises(CallError) as caught:
            self.ask(self.build(**self.failing))
        assert caught.value.message
        assert caught.value.hint, "an error must say what to do about it: give it a hint"

    def test_a_request_that_asks_nothing_is_answered_or_refused(self) -> None:
        llm = self.build()
        for messages in ((), (Message("user", ""),), (Message("system", "Be kind."),)):
            deltas = self.or_refused(llm, messages)
            assert deltas is None or deltas[-1].finish in FINISHES

    def test_any_text_is_answered_or_refused(self) -> None:
        llm = self.build()
        for text in HOSTILE:
            for content in (text, (Part(text, "data", "1"), Part("What does it say? 它说了什么？"))):
                deltas = self.or_refused(llm, (Message("user", content),))
                if deltas is not None:
                    said(deltas).encode()

    def test_a_conversation_with_tool_results_is_answered_or_refused(self) -> None:
        turns = (
            Message("user", "2 + 3?"),
            Message("assistant", "", (ToolCall("c1", "add", {"a": 2, "b": 3}),)),
            Message("tool", (Part("5", "data", "add"),), tool_call_id="c1", name="add"),
            Message("assistant", "5"),
            *self.messages,
        )
        deltas = self.or_refused(self.build(), turns)
        assert deltas is None or deltas[-1].usage is not None

    def test_sampling_is_kept_to(self) -> None:
        if "max_tokens" in self.honours:
            deltas = self.ask(self.build(), sampling=Sampling(max_tokens=2))
            assert deltas[-1].usage is not None
            assert deltas[-1].usage.output_tokens <= 2, "max_tokens is a maximum"
            assert deltas[-1].finish == "length", "a reply that was cut must finish as length"
        if "stop" in self.honours:
            whole = said(self.ask(self.build()))
            cut = said(self.ask(self.build(), sampling=Sampling(stop=(whole[1:3],))))
            assert cut == whole[: whole.index(whole[1:3])], "the text before the stop string is the reply"

    def or_refused(self, llm: Any, messages: Sequence[Message], **request: Any) -> list[Delta] | None:
        """The reply, or None where the model raises CallError. Any other exception fails the check."""
        try:
            return self.ask(llm, messages, **request)
        except CallError:
            return None

    # ------------------------------------------------------------ runs

    def test_a_run_records_and_replays_it(self) -> None:
        llm = through("llm", self.build())
        outside = self.ask(llm)

        def work(run: Run) -> Any:
            deltas = to_data(list(llm.chat(self.messages)))
            records = [record for record in run.records if record.call.kind == "llm"]
            assert records, "the run saw no call"
            return deltas, len(records)

        live = lived(self.folder, work)
        assert live[0] == to_data(outside), "a run gets another reply than a caller outside one"
        assert lived(self.folder, work, replay=True) == live
