"""Every shape of reply, from a real server; the openai client reads the same bytes beside ours."""

from __future__ import annotations

import json

import attrs
import pytest
from dougong import CallError, Message, ToolCall, Usage
from dougong_llm_openai import EndpointError, Params
from dougong_llm_openai.reply import MALFORMED, Reply
from dougong_llm_openai.sse import DONE, events, lines
from hypothesis import given
from hypothesis import strategies as st

ASK = [Message("user", "hello")]


@attrs.frozen
class Offered:
    name: str
    description: str = "finds"
    parameters: dict = attrs.field(factory=lambda: {"type": "object", "properties": {"q": {"type": "string"}}})
    effect: str = "read"


FIND, WEATHER = Offered("find"), Offered("天气")


def chunk(delta=None, finish=None, **more):
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m-1", "choices": choices, **more}


def tool(index, id=None, name=None, arguments=None):
    function = {k: v for k, v in (("name", name), ("arguments", arguments)) if v is not None}
    piece = {"index": index, "id": id, "type": "function" if id else None, "function": function}
    return chunk({"tool_calls": [{k: v for k, v in piece.items() if v is not None}]})


USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
TEXT = [chunk({"role": "assistant", "content": ""}), chunk({"content": "你好, "}), chunk({"content": "wörld 🐼"}),
        chunk({}, "stop"), chunk(usage=USAGE)]  # fmt: skip
ONE_CALL = [chunk({"role": "assistant", "content": None}), tool(0, "a1", "find", ""), tool(0, arguments='{"q": '),
            tool(0, arguments='"雨"}'), chunk({}, "tool_calls"), chunk(usage=USAGE)]  # fmt: skip
TWO_CALLS = [tool(0, "a1", "find", ""), tool(1, "a2", "find", ""), tool(0, arguments='{"q": "x'),
             tool(1, arguments='{"q": "y'), tool(0, arguments='"}'), tool(1, arguments='"}'),
             chunk({}, "tool_calls")]  # fmt: skip


def ask(model, tools=(), **more):
    return list(model.chat(ASK, tools, **more))


def text(deltas):
    return "".join(delta.text for delta in deltas)


def calls(deltas):
    return [call for delta in deltas for call in delta.tool_calls]


# ---------------------------------------------------------------- beside the openai client


@pytest.mark.parametrize("stream", [TEXT, ONE_CALL, TWO_CALLS], ids=["text", "one call", "two calls interleaved"])
@pytest.mark.parametrize("style", ["plain", "crlf", "comments", "byte by byte"])
def test_the_openai_client_reads_the_same(server, connect, stream, style):
    openai = pytest.importorskip("openai")
    server.stream(*stream, end="\r\n\r\n" if style == "crlf" else "\n\n")
    if style == "comments":
        server.pieces = [piece for data in server.pieces for piece in (b": keep-alive\n\n", data)]
    if style == "byte by byte":
        server.pieces = [bytes([byte]) for byte in b"".join(server.pieces)]
    ours = ask(connect(), [FIND])
    client = openai.OpenAI(base_url=server.url, api_key="k", max_retries=0)
    theirs, pieces, usage = "", {}, None
    for event in client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hello"}], stream=True, stream_options={"include_usage": True}
    ):
        usage = event.usage or usage
        for choice in event.choices:
            theirs += choice.delta.content or ""
            for call in choice.delta.tool_calls or ():
                entry = pieces.setdefault(call.index, {"id": "", "name": "", "arguments": ""})
                entry["id"] += call.id or ""
                entry["name"] += call.function.name or ""
                entry["arguments"] += call.function.arguments or ""
    client.close()
    assert text(ours) == theirs
    assert calls(ours) == [ToolCall(p["id"], p["name"], json.loads(p["arguments"])) for p in pieces.values()]
    if usage:
        last = ours[-1].usage
        assert (last.input_tokens, last.output_tokens, last.estimated) == (
            usage.prompt_tokens, usage.completion_tokens, False)  # fmt: skip


def test_the_openai_client_sends_the_same(server, connect):
    """Path, authorization and every field of the body are what the openai client sends for the same request."""
    openai = pytest.importorskip("openai")
    from dougong import Sampling

    server.stream(*TEXT)
    messages = [
        Message("system", "be brief"),
        Message("user", "hi", name="ann"),
        Message("assistant", "", (ToolCall("a1", "find", {"q": "雨"}),)),
    ]
    list(connect().chat(messages, [FIND], sampling=Sampling(0.5, 0.9, 20, 7, ("END",))))
    client = openai.OpenAI(base_url=server.url, api_key="sk-never-to-be-seen", max_retries=0)
    arguments = {"name": "find", "arguments": '{"q": "雨"}'}
    described = {"name": "find", "description": "finds", "parameters": FIND.parameters}
    list(
        client.chat.completions.create(
            model="m",
            messages=[
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "hi", "name": "ann"},
                {"role": "assistant", "content": None,
                 "tool_calls": [{"id": "a1", "type": "function", "function": arguments}]},
            ],
            tools=[{"type": "function", "function": described}],
            temperature=0.5, top_p=0.9, max_tokens=20, seed=7, stop=["END"],
            stream=True, stream_options={"include_usage": True},
        )
    )  # fmt: skip
    client.close()
    ours, theirs = server.requests
    assert ours["body"] == theirs["body"]
    assert ours["path"] == theirs["path"] == "/v1/chat/completions"
    ours, theirs = ({name.lower(): value for name, value in r["headers"].items()} for r in server.requests)
    assert ours["authorization"] == theirs["authorization"]


# ---------------------------------------------------------------- server-sent events


@given(st.data())
def test_bytes_may_be_split_anywhere(data):
    """Any cut of the bytes, and any line ending, gives the same events."""
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    whole = "".join(f"data: {json.dumps(e, ensure_ascii=False)}{end}{end}" for e in TEXT) + f"data: [DONE]{end}{end}"
    raw = ("\ufeff: hello" + end + "event: x" + end + whole).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=40)))
    chunks = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)])]
    assert list(events(lines(chunks))) == [*TEXT, DONE]


def test_json_over_several_data_lines_and_events_without_empty_lines():
    assert list(events(["data: {", 'data:"a": 1', "data: }", "", "id: 3", 'data: {"b":2}', 'data: {"c":3}'])) == [
        {"a": 1}, {"b": 2}, {"c": 3}]  # fmt: skip


def test_data_that_is_no_json_and_a_stream_that_ends_inside_an_event_are_told_apart():
    with pytest.raises(ValueError, match="not JSON: 'oops'"):
        list(events(["data: oops", ""]))
    with pytest.raises(EOFError, match="ends inside"):
        list(events(['data: {"a":']))


def test_a_line_that_never_ends_does_not_fill_the_memory():
    with pytest.raises(ValueError, match="16,777,216"):
        list(lines([b"x" * 2**20] * 20))


# ---------------------------------------------------------------- text, usage, finish


def test_deltas_come_as_they_are_sent_and_the_last_one_closes(server, connect):
    server.stream(*TEXT)
    deltas = ask(connect(price_input=2, price_output=10, currency="CNY"))
    assert [delta.text for delta in deltas] == ["你好, ", "wörld 🐼", ""]
    last = deltas[-1]
    assert (last.finish, last.data) == ("stop", {"model": "m-1"})
    assert last.usage == Usage(9, 4, money=pytest.approx((9 * 2 + 4 * 10) / 1e6), currency="CNY")
    assert all(not delta.finish and delta.usage is None for delta in deltas[:-1])


@pytest.mark.parametrize(
    "usage",
    [
        {**USAGE, "prompt_tokens_details": {"cached_tokens": 6}},
        {**USAGE, "prompt_cache_hit_tokens": 6, "prompt_cache_miss_tokens": 3},
        {**USAGE, "cached_tokens": 6},
    ],
    ids=["openai", "deepseek", "kimi"],
)
def test_cached_tokens_are_known_and_priced(server, connect, usage):
    server.stream(*TEXT[:-1], chunk(usage=usage))
    used = ask(connect(price_input=10, price_cached=1, price_output=0))[-1].usage
    assert used.cached_tokens == 6
    assert used.money == pytest.approx((3 * 10 + 6 * 1) / 1e6)


def test_usage_inside_a_choice_and_usage_on_every_chunk_are_found(server, connect):
    inside = chunk({}, "stop")
    inside["choices"][0]["usage"] = USAGE
    server.stream(*TEXT[:-2], inside)
    assert ask(connect())[-1].usage == Usage(9, 4)
    server.stream(*[{**c, "usage": {"prompt_tokens": 9, "completion_tokens": n}} for n, c in enumerate(TEXT[:-1])])
    assert ask(connect())[-1].usage == Usage(9, 3)


def test_usage_is_estimated_and_marked_so_where_the_server_gives_none(server, connect):
    server.stream(*TEXT[:-1])
    used = ask(connect())[-1].usage
    assert used.estimated
    assert used.output_tokens == 5  # 你 好 , wörld 🐼
    assert used.input_tokens > 0


def test_reasoning_is_no_part_of_the_answer(server, connect):
    server.stream(chunk({"reasoning_content": "let me "}), chunk({"reasoning": "see"}), *TEXT)
    deltas = ask(connect())
    assert text(deltas) == "你好, wörld 🐼"
    assert "".join(delta.data.get("reasoning", "") for delta in deltas) == "let me see"


def test_a_refusal_is_the_models_answer_and_marked(server, connect):
    server.stream(chunk({"refusal": "I can"}), chunk({"refusal": "not."}), chunk({}, "stop"))
    deltas = ask(connect())
    assert text(deltas) == "I cannot."
    assert [delta.data.get("refusal") for delta in deltas] == [True, True, None]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("stop", "stop"), ("length", "length"), ("content_filter", "content_filter"), ("sensitive", "content_filter"),
     ("eos_token", "stop"), ("max_tokens", "length"), ("something new", "stop")],
)  # fmt: skip
def test_finish_reasons_of_all_servers_come_out_as_four(server, connect, reason, finish):
    server.stream(chunk({"content": "x"}), chunk({}, reason))
    assert ask(connect())[-1].finish == finish


def test_content_in_parts_and_other_choices(server, connect):
    second = chunk({"content": "no"})
    second["choices"][0]["index"] = 1
    server.stream(chunk({"content": [{"type": "text", "text": "yes"}]}), second, chunk({}, "stop"))
    assert text(ask(connect())) == "yes"


def test_an_escaped_character_split_between_two_chunks_is_made_whole(server, connect):
    start = b'data: {"choices":[{"index":0,"delta":{"content":"'
    server.stream(start + b'a\\ud83d"}}]}\n\n', start + b'\\udc3cb\\ud83d"},"finish_reason":"stop"}]}\n\n')
    assert text(ask(connect())) == "a🐼b\ufffd"


def test_a_repetition_of_the_whole_reply_at_the_end_is_not_said_twice(server, connect):
    whole = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "你好, wörld 🐼"}}]}
    server.stream(*TEXT[:-2], whole)
    assert text(ask(connect())) == "你好, wörld 🐼"


def test_a_reply_that_is_not_streamed_is_understood(server, connect):
    server.headers = {"Content-Type": "application/json"}
    message = {"role": "assistant", "content": "hi", "tool_calls": [
        {"id": "a1", "type": "function", "function": {"name": "find", "arguments": '{"q": "x"}'}},
        {"id": "a2", "type": "function", "function": {"name": "find", "arguments": '{"q": "y"}'}}]}  # fmt: skip
    whole = {"id": "1", "model": "m-1", "usage": USAGE, "choices": [
        {"index": 0, "message": message, "finish_reason": "tool_calls"}]}  # fmt: skip
    server.pieces = [b"\n", *[bytes([byte]) for byte in json.dumps(whole, indent=1).encode()]]
    deltas = ask(connect(), [FIND])
    assert text(deltas) == "hi"
    assert [call.arguments for call in calls(deltas)] == [{"q": "x"}, {"q": "y"}]
    assert (deltas[-1].finish, deltas[-1].usage) == ("tool_calls", Usage(9, 4))


# ---------------------------------------------------------------- tool calls


@pytest.mark.parametrize(
    "stream",
    [
        [tool(0, "a1", "find", ""), tool(0, "", "", '{"q":"x"}'), tool(1, "a2", "find"), tool(1, "", "", '{"q":"y"}')],
        [tool(None, "a1", "find", '{"q":'), tool(None, arguments='"x"}'), tool(None, "a2", "find", '{"q":"y"}')],
        [tool(None, "a1", "find", '{"q":'), tool(None, "a2", "find", '{"q":"y"}'), tool(None, "a1", arguments='"x"}')],
        [tool(0, "a1", "find", '{"q":"x"}'), tool(0, "a2", "find", '{"q":"y"}')],
        [tool(0, "a1", "find", {"q": "x"}), tool(1, "a2", "find", {"q": "y"})],
        [tool(0, "a1", "find", '{"q":'), tool(0, "a1", "find", '"x"}'), tool(1, "a2", "find", '{"q":"y"}')],
        [tool(0, "a1", "find", '"{\\"q\\":\\"x\\"}"'), tool(1, "a2", "find", '{"q":"y"}')],
    ],
    ids=["empty names later", "no index, no id later", "no index, interleaved by id", "one index for all",
         "objects, not strings", "id and name repeated", "json in a string"],
)  # fmt: skip
def test_tool_calls_are_whole_whatever_the_server_leaves_out(server, connect, stream):
    server.stream(*stream, chunk({}, "tool_calls"))
    deltas = ask(connect(), [FIND])
    assert calls(deltas) == [ToolCall("a1", "find", {"q": "x"}), ToolCall("a2", "find", {"q": "y"})]
    assert deltas[-1].finish == "tool_calls"


def test_calls_without_ids_get_ids_of_their_own_and_stop_becomes_tool_calls(server, connect):
    server.stream(tool(0, None, "find", ""), tool(1, None, "find", "null"), chunk({}, "stop"))
    deltas = ask(connect(), [FIND])
    assert calls(deltas) == [ToolCall("c1_1", "find", {}), ToolCall("c1_2", "find", {})]
    assert deltas[-1].finish == "tool_calls"


@pytest.mark.parametrize("raw", ['{"q": "x"', "find it", "[1]", '{"q": NaN}', "[" * 100_000])
def test_arguments_that_are_no_object_keep_the_call_and_name_the_fault(server, connect, raw):
    server.stream(tool(0, "a1", "find", raw), tool(1, "a2", "find", '{"q": "y"}'), chunk({}, "tool_calls"))
    deltas = ask(connect(), [FIND])
    assert calls(deltas) == [ToolCall("a1", "find", {MALFORMED: raw}), ToolCall("a2", "find", {"q": "y"})]
    (malformed,) = [delta.data["malformed"] for delta in deltas if delta.tool_calls]
    assert list(malformed) == ["a1"]
    assert malformed["a1"]


def test_line_breaks_inside_argument_strings_are_forgiven(server, connect):
    server.stream(tool(0, "a1", "find", '{"q": "one\ntwo"}'), chunk({}, "tool_calls"))
    assert calls(ask(connect(), [FIND]))[0].arguments == {"q": "one\ntwo"}


def test_arguments_cut_at_the_maximum_say_so(server, connect):
    server.stream(tool(0, "a1", "find", '{"q": "on'), chunk({}, "length"))
    deltas = ask(connect(), [FIND])
    assert "maximum" in deltas[-2].data["malformed"]["a1"]
    assert deltas[-1].finish == "length"


def test_names_that_the_api_does_not_allow_go_there_and_come_back(server, connect):
    def script(request):
        sent = request["body"]["tools"][0]["function"]["name"]
        return 200, {}, [server.sse(tool(0, "a1", sent, "{}")), server.sse(chunk({}, "tool_calls"))]

    server.script = script
    deltas = ask(connect(), [WEATHER, Offered("files.read"), Offered("files/read")])
    assert calls(deltas)[0].name == "天气"
    names = [entry["function"]["name"] for entry in server.requests[0]["body"]["tools"]]
    assert len(set(names)) == 3
    assert all(name.isascii() and name.replace("_", "").isalnum() for name in names)
    history = [*ASK, Message("assistant", "", tuple(calls(deltas))), Message("tool", "晴", (), "a1", "天气")]
    list(connect().chat(history, [WEATHER]))
    assert server.requests[1]["body"]["messages"][2]["tool_calls"][0]["function"]["name"] == names[0]


# ---------------------------------------------------------------- ends


def test_a_stream_without_done_is_whole_if_it_has_a_finish_reason(server, connect):
    server.stream(*TEXT, done=False)
    assert text(ask(connect())) == "你好, wörld 🐼"


@pytest.mark.parametrize("end", [[], ["cut"], [b'data: {"choi', "cut"], [b'data: {"choi']])
def test_a_stream_that_ends_before_its_finish_reason_is_cut_and_keeps_what_came(server, connect, end):
    server.pieces = [server.sse(TEXT[1]), *end]
    deltas = connect().chat(ASK)
    assert next(deltas).text == "你好, "
    with pytest.raises(EndpointError, match="cut before the reply ended") as caught:
        next(deltas)
    assert caught.value.kind == "cut-stream"


def test_a_cut_after_the_finish_reason_costs_the_usage_only(server, connect):
    server.pieces = [server.sse(event) for event in TEXT[:-1]] + ["cut"]
    deltas = ask(connect())
    assert text(deltas) == "你好, wörld 🐼"
    assert deltas[-1].usage.estimated


def test_a_server_that_holds_the_line_after_done_does_not_hold_the_reply(server, connect):
    server.stream(*TEXT)
    server.pieces.append(server.release)
    assert ask(connect(timeout=60))[-1].finish == "stop"
    assert not server.release.is_set()


def test_connections_are_used_again(server, connect):
    server.stream(*TEXT)
    model = connect()
    for _ in range(5):
        ask(model)
    assert len(server.connections) == 1


@pytest.mark.parametrize(
    ("event", "kind", "words"),
    [
        ({"error": {"message": "out of memory", "type": "server_error"}}, "server", "out of memory"),
        ({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, "rate-limit", "slow down"),
        ({"error": {"message": "too long", "type": "BadRequestError", "code": 400}}, "bad-request", "too long"),
        ({"object": "error", "message": "no such model", "code": 404}, "bad-request", "no such model"),
        ({"error": "model runner stopped"}, "server", "model runner stopped"),
        ({"error": "busy", "error_type": "overloaded"}, "rate-limit", "busy"),
        ({"code": 10013, "message": "输入内容审核不通过", "sid": "1"}, "content-filter", "输入内容审核不通过"),
        ({"base_resp": {"status_code": 1004, "status_msg": "login fail"}}, "auth", "login fail"),
        ({"error": {"code": "1302", "message": "并发过高"}}, "rate-limit", "并发过高"),
        (chunk({}, "network_error"), "server", "network_error"),
    ],
    ids=["openai", "limit", "vllm", "vllm old", "ollama", "tgi", "spark", "minimax", "glm", "glm finish"],
)
def test_an_error_inside_the_stream_is_named(server, connect, event, kind, words):
    server.stream(TEXT[1], event)
    with pytest.raises(EndpointError, match=words) as caught:
        ask(connect())
    assert caught.value.kind == kind
    assert isinstance(caught.value, CallError)


def test_codes_that_say_all_is_well_are_no_errors(server, connect):
    server.stream(*[{**c, "code": 0, "message": "Success", "base_resp": {"status_code": 0}} for c in TEXT[:-1]])
    assert text(ask(connect())) == "你好, wörld 🐼"


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"data: hello\n\n", "server"), (b"hello", "cut-stream"), (b"<html>hi</html>", "bad-request"),
     (b"{oops", "server"), (b"[1]", "server"), (b"", "cut-stream"), (b"data: 3\n\n", "server")],
)  # fmt: skip
def test_what_is_no_reply_is_named(server, connect, body, kind):
    server.pieces = [body] if body else []
    with pytest.raises(EndpointError) as caught:
        ask(connect())
    assert caught.value.kind == kind


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def _somewhere(value):
    """`value`, or anything else, here or further in."""
    if isinstance(value, dict):
        inner = st.fixed_dictionaries({key: _somewhere(item) for key, item in value.items()})
    elif isinstance(value, list):
        inner = st.tuples(*map(_somewhere, value)).map(list)
    else:
        inner = st.just(value)
    return st.integers(0, 9).flatmap(lambda n: inner if n else _JSON)


@given(st.lists(st.sampled_from([*TEXT, *ONE_CALL, *TWO_CALLS]).flatmap(_somewhere), max_size=6))
def test_chunks_of_any_shape_give_deltas_or_a_named_error(stream):
    """Nothing that a server sends comes out as a fault of ours."""
    model = Reply(
        Params("m", "http://127.0.0.1:1", price_input=1),
        [FIND],
        lambda: "hi",
        lambda text, **k: EndpointError(text, **k),
    )
    try:
        deltas = [delta for event in stream for delta in model.take(event)] + model.last()
    except EndpointError:
        return
    assert deltas[-1].finish in ("stop", "length", "tool_calls", "content_filter")
    json.dumps([attrs.asdict(delta) for delta in deltas], ensure_ascii=False).encode()
