"""A span a call, nested as the calls are, and two histograms."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from dougong import Call, Delta, Result, Usage
from dougong.run import Run, active_run
from opentelemetry import context, metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags

from dougong_middleware_otel import Params
from dougong_middleware_otel.attributes import request, response

Items = Iterator[Delta | Result]
_OPERATION = {"llm": "chat", "tool": "execute_tool", "retriever": "retrieval"}
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)


class OTel:
    """Tells OpenTelemetry of every call: ``chat``, ``execute_tool``, ``retrieval``; ``invoke_agent`` for child runs.

    A call's parent is the call that it was made in, else the child run, else the run. Runs and children end where no
    middleware sees it, so their spans mark only the beginning. While a call is carried out its span is the current
    one, so that what libraries tell lies in it. A call that is read back from a journal is not told again; its span's
    identity is in the journal, so that what a resumed run does new joins the old trace.
    Source: OpenTelemetry semantic conventions for generative AI.
    """

    def __init__(self, params: Params) -> None:
        self._params = params
        self._tracer = trace.get_tracer("dougong")
        meter = metrics.get_meter("dougong")
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )

    def around(self, call: Call, proceed: Callable[[Call], Items]) -> Items:
        """The call's items, unchanged."""
        run = active_run()
        assert run is not None, "middleware stands in a run"
        places = run.memory(self, lambda: _Places(self._tracer))
        started: list[Span] = []

        def start() -> str:
            span = self._tracer.start_span(
                f"{_OPERATION[call.kind]} {call.name}",
                context=places.parent(call.path, run),
                kind=SpanKind.CLIENT if call.kind == "llm" else SpanKind.INTERNAL,
                attributes=self._attributes(call, run),
            )
            started.append(span)
            own = span.get_span_context()
            return f"{own.trace_id:032x}-{own.span_id:016x}-{own.trace_flags:02x}"

        identity = run.outside("span", start)
        span = started[0] if started else _again(identity)
        here = trace.set_span_in_context(span, places.parent(call.path, run))
        places.enter(call.path, here)
        begin = time.perf_counter()
        items: list[Delta | Result] = []
        error: BaseException | None = None
        try:
            source = proceed(call)
            with closing(source):  # type: ignore[type-var]  # what core hands on are generators
                while True:
                    token = context.attach(here)  # only while the callee works: the consumer has a context of its own
                    try:
                        item = next(source, None)
                    finally:
                        context.detach(token)
                    if item is None:
                        break
                    items.append(item)
                    yield item
        except BaseException as problem:
            error = problem
            raise
        finally:
            places.leave(call.path)
            if started:
                self._finish(span, call, items, error, time.perf_counter() - begin)

    def _attributes(self, call: Call, run: Run) -> dict[str, Any]:
        about = {"gen_ai.operation.name": _OPERATION[call.kind], "dougong.name": call.name, "dougong.path": call.path}
        if call.kind == "llm":
            about["gen_ai.provider.name"] = self._params.provider
        if run.session:
            about["gen_ai.conversation.id"] = run.session
        return {**about, **request(call, self._params.content)}

    def _finish(
        self, span: Span, call: Call, items: list[Delta | Result], error: BaseException | None, seconds: float
    ) -> None:
        about, usage = response(call, items, self._params.content)
        labels: dict[str, Any] = {"gen_ai.operation.name": _OPERATION[call.kind], "dougong.name": call.name}
        if call.kind == "llm":
            labels["gen_ai.provider.name"] = self._params.provider
        if "gen_ai.response.model" in about:
            labels["gen_ai.response.model"] = about["gen_ai.response.model"]
        if error is not None and not isinstance(error, GeneratorExit):  # a reader that had enough is no error
            labels["error.type"] = about["error.type"] = str(getattr(error, "kind", "") or type(error).__name__)
            span.set_status(StatusCode.ERROR, str(error) if self._params.content else None)
        elif "error.type" in about:
            labels["error.type"] = about["error.type"]
            span.set_status(StatusCode.ERROR)
        span.set_attributes(about)
        span.end()
        self._duration.record(seconds, labels, trace.set_span_in_context(span))
        for kind, tokens in _counted(usage):
            self._tokens.record(tokens, {**labels, "gen_ai.token.type": kind}, trace.set_span_in_context(span))


class _Places:
    """Contexts of the run's calls under way and of its child runs, by path."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer, self._lock = tracer, threading.Lock()
        self._contexts: dict[str, Context] = {}

    def parent(self, path: str, run: Run) -> Context:
        with self._lock:
            return self._parent(path, run)

    def enter(self, path: str, here: Context) -> None:
        with self._lock:
            self._contexts[path] = here

    def leave(self, path: str) -> None:
        with self._lock:
            self._contexts.pop(path, None)

    def _parent(self, path: str, run: Run) -> Context:
        outer = re.sub(r"[~^]\d*$", "", path.rpartition(".")[0])
        if outer in self._contexts:
            return self._contexts[outer]
        if not outer:
            outside = context.get_current()
            if trace.get_current_span(outside).get_span_context().is_valid:
                return outside
            name = "invoke_workflow"
        elif "/" in outer.rpartition(".")[2]:
            name = f"invoke_agent {outer.rpartition('/')[2]}"
        else:
            return self._parent(outer, run)  # a branch
        inside = self._parent(outer, run) if outer else None
        span = self._tracer.start_span(name, inside, attributes={"gen_ai.operation.name": name.partition(" ")[0]})
        span.end()
        self._contexts[outer] = trace.set_span_in_context(span)
        return self._contexts[outer]


def _again(identity: str) -> Span:
    """The span of a call that was told of before."""
    of, own, flags = identity.split("-")
    return NonRecordingSpan(SpanContext(int(of, 16), int(own, 16), True, TraceFlags(int(flags, 16))))


def _counted(usage: Usage | None) -> list[tuple[str, int]]:
    return [("input", usage.input_tokens), ("output", usage.output_tokens)] if usage is not None else []
