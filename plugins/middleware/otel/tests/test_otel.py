"""Spans and metrics by the SDK's own in-memory exporters."""

from __future__ import annotations

import json

import dougong
import pytest
from dougong import CallError, Delta, Message, Run, Sampling, Secret, ToolCall, ToolResult, Usage, tool
from dougong.journal import Journal
from dougong.kinds import LLM, Retriever, Tool
from dougong.proxies import proxied
from dougong.run import active_run
from dougong_middleware_otel import Params
from dougong_middleware_otel.otel import OTel
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

ASK = [Message("system", "be brief"), Message("user", "hello")]


class Told:
    """What the SDK was told: spans by path, points of metrics."""

    def __init__(self, exporter, reader):
        self._exporter, self._reader = exporter, reader

    @property
    def spans(self):
        return {span.attributes.get("dougong.path", span.name): span for span in self._exporter.get_finished_spans()}

    @property
    def names(self):
        return sorted(span.name for span in self._exporter.get_finished_spans())

    def points(self, name):
        data = self._reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def told(monkeypatch):
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([reader])
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", tracers.get_tracer)
    monkeypatch.setattr(metrics, "get_meter", meters.get_meter)
    yield Told(exporter, reader)
    tracers.shutdown()
    meters.shutdown()


class Model:
    def __init__(self, error=None):
        self.error, self.asked, self.current = error, 0, []

    def chat(self, messages, tools=(), schema=None, sampling=Sampling()):
        self.asked += 1
        self.current.append(trace.get_current_span())
        yield Delta("hi ")
        if self.error:
            raise self.error
        yield Delta(tool_calls=(ToolCall("1", "look", {"a": 1}),))
        yield Delta(finish="stop", usage=Usage(12, 5, cached_tokens=3, money=0.01), data={"model": "qwen3-8b"})


class Searching:
    def __init__(self, llm):
        self.llm = llm

    def search(self, query, k=10, where=None):
        run = active_run()
        run.parallel([lambda: list(self.llm.chat(ASK))] * 2)
        return []


@tool(effect="write")
def post(text: str) -> ToolResult:
    return ToolResult("wrong", error=text == "wrong")


def test_a_model_call_is_told_by_the_conventions(told):
    llm = proxied(LLM, Model(), "main.llm")
    with Run([OTel(Params(provider="qwen"))], session="s1").active():
        list(llm.chat(ASK, sampling=Sampling(0.5, 0.9, 100, 7, ("END",))))
    span = told.spans["0"]
    assert (span.name, span.kind.name, span.status.status_code.name) == ("chat main.llm", "CLIENT", "UNSET")
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "qwen",
        "gen_ai.conversation.id": "s1",
        "gen_ai.output.type": "text",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.response.model": "qwen3-8b",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "dougong.usage.money": 0.01,
        "dougong.name": "main.llm",
        "dougong.path": "0",
    }
    tokens = {p.attributes["gen_ai.token.type"]: p.sum for p in told.points("gen_ai.client.token.usage")}
    assert tokens == {"input": 12, "output": 5}
    (duration,) = told.points("gen_ai.client.operation.duration")
    assert (duration.count, duration.attributes["gen_ai.response.model"]) == (1, "qwen3-8b")


def test_spans_lie_in_each_other_as_the_calls_do(told):
    """Through branches and child runs; and while a model works, its span is the current one."""
    model = Model()
    llm = proxied(LLM, model, "lib.llm")
    retriever = proxied(Retriever, Searching(llm), "lib")
    with Run([OTel(Params())]).active() as run:
        retriever.search("q")
        with run.child("writer"), run.child("editor"):
            list(llm.chat(ASK))
    spans = told.spans
    assert told.names == sorted(
        ["invoke_workflow", "retrieval lib", *["chat lib.llm"] * 3, "invoke_agent writer", "invoke_agent editor"]
    )

    def parent(path):
        of = spans[path].parent
        return None if of is None else next(key for key, s in spans.items() if s.context.span_id == of.span_id)

    assert parent("0") == "invoke_workflow"
    assert [parent(path) for path in spans if path.startswith("0.")] == ["0", "0"]
    (last,) = (path for path in spans if "writer" in path and path[0].isdigit())
    assert parent(last) == "invoke_agent editor"
    assert parent("invoke_agent editor") == "invoke_agent writer"
    assert parent("invoke_agent writer") == "invoke_workflow"
    assert len({span.context.trace_id for span in spans.values()}) == 1
    assert model.current[-1].get_span_context().span_id == spans[last].context.span_id


def test_a_run_lies_in_the_span_of_its_program(told):
    tracer = trace.get_tracer("program")
    with tracer.start_as_current_span("request") as outer, Run([OTel(Params())]).active():
        list(proxied(LLM, Model(), "main.llm").chat(ASK))
    assert told.spans["0"].parent.span_id == outer.get_span_context().span_id


def test_the_consumer_of_a_stream_keeps_its_own_context(told):
    before = trace.get_current_span()
    with Run([OTel(Params())]).active():
        for _ in proxied(LLM, Model(), "main.llm").chat(ASK):
            assert trace.get_current_span() is before


def test_errors_are_told_by_their_kind(told):
    class EndpointError(CallError):
        kind = "rate-limit"

    llm, posting = proxied(LLM, Model(EndpointError("slow down, anna")), "main.llm"), proxied(Tool, post, "main.post")
    with Run([OTel(Params())]).active():
        with pytest.raises(EndpointError):
            list(llm.chat(ASK))
        posting.call({"text": "wrong"})
        posting.call({"text": "right"})
    spans = told.spans
    assert [spans[path].attributes.get("error.type") for path in "012"] == ["rate-limit", "tool_error", None]
    assert [spans[path].status.status_code.name for path in "012"] == ["ERROR", "ERROR", "UNSET"]
    assert spans["0"].status.description is None
    assert spans["0"].events == ()
    assert spans["1"].name == "execute_tool main.post"
    assert spans["1"].attributes["dougong.effect"] == "write"


def test_a_stream_that_is_left_is_told_and_no_error(told):
    with Run([OTel(Params())]).active():
        stream = proxied(LLM, Model(), "main.llm").chat(ASK)
        next(stream)
        stream.close()
    assert "error.type" not in told.spans["0"].attributes


def test_content_is_told_only_where_asked_and_without_secrets(told):
    key = Secret("the-key-of-the-bell-tower")
    text = f"hello {key.reveal()}"
    llm, posting = proxied(LLM, Model(), "main.llm"), proxied(Tool, post, "main.post")

    def go(content):
        with Run([OTel(Params(content=content))]).active():
            list(llm.chat([Message("user", text), Message("tool", "seen", tool_call_id="9")]))
            posting.call({"text": text})
        return told.spans

    everything = json.dumps([dict(span.attributes) for span in go(False).values()])
    assert "hello" not in everything
    assert "hi " not in everything
    spans = go(True)
    assert json.loads(spans["0"].attributes["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "hello ***"}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "9", "response": "seen"}]},
    ]
    assert json.loads(spans["0"].attributes["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [
                {"type": "text", "content": "hi "},
                {"type": "tool_call", "id": "1", "name": "look", "arguments": {"a": 1}},
            ],
            "finish_reason": "stop",
        }
    ]
    assert spans["1"].attributes["gen_ai.tool.call.arguments"] == '{"text": "hello ***"}'
    assert spans["1"].attributes["gen_ai.tool.call.result"] == "wrong"


def test_what_is_read_back_is_not_told_again_and_what_is_new_joins_the_trace(told, tmp_path):
    model = Model()
    llm = proxied(LLM, model, "main.llm")
    retriever = proxied(Retriever, Searching(llm), "lib")

    def go(more, replay=False):
        journal = Journal(tmp_path / "run.jsonl")
        try:
            with Run([OTel(Params())], journal=journal, replay=replay).active():
                retriever.search("q")
                if more:
                    list(llm.chat(ASK))
        finally:
            journal.close()

    go(False)
    before = told.names
    go(False, replay=True)
    calls = [name for name in told.names if not name.startswith("invoke")]
    assert calls == [name for name in before if not name.startswith("invoke")]
    assert sum(point.count for point in told.points("gen_ai.client.operation.duration")) == len(calls) == 3
    go(True)
    assert len([name for name in told.names if name.startswith("chat")]) == 3
    assert model.asked == 3


def test_without_an_sdk_it_is_silent():
    with Run([OTel(Params())]).active():
        assert len(list(proxied(LLM, Model(), "main.llm").chat(ASK))) == 3


def test_it_is_assembled_by_name():
    assert dougong.make("middleware.otel", provider="openai")
