"""Schemas and tool calls from networks with random weights, checked by jsonschema."""

import json
import re

import jsonschema
import pytest
from dougong import CallError, Message, Sampling, make
from dougong.testing.runs import ADD
from dougong.tools import FunctionTool
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import Built, byte_level, parrot, text_of

ASKED = (Message("user", "What is 2 + 3? 二加三？"),)


class Offered:
    """A tool that is only described."""

    effect = "read"

    def __init__(self, name, parameters, description="A tool. 工具。"):
        self.name, self.parameters, self.description = name, parameters, description

    def call(self, arguments):
        raise AssertionError("it is only described")


TOOLS = (
    ADD,
    Offered("查询天气", {
        "type": "object",
        "properties": {
            "城市": {"type": "string", "enum": ["北京", "上海", "平遥"]},
            "unit": {"enum": ["celsius", "fahrenheit"]},
            "days": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 31}, "minItems": 2},
        },
        "required": ["城市", "days"],
    }),
    Offered("files.write", {
        "type": "object",
        "properties": {"path": {"type": "string", "minLength": 3}, "to": {"$ref": "#/$defs/place"},
                       "mode": {"anyOf": [{"type": "null"}, {"const": "append"}]}},
        "required": ["path", "to", "mode"],
        "$defs": {"place": {"type": "object", "properties": {"x": {"type": "number"}, "in": {"$ref": "#/$defs/place"}},
                            "required": ["x"], "additionalProperties": False}},
    }),
    Offered("now", {}),
)  # fmt: skip
SCHEMAS = [
    {"type": "integer"},
    {"type": "string", "minLength": 2, "maxLength": 20},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 3},
    {"enum": ["是", "否", "not known"]},
    {"type": "object", "properties": {"date": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$"}},
     "required": ["date"], "additionalProperties": False},
    {"type": "object"},
    {},
    TOOLS[1].parameters,
    TOOLS[2].parameters,
    {"anyOf": [{"type": "object", "properties": {"名": {"type": "string"}}, "required": ["名"]}, {"type": "null"}]},
]  # fmt: skip


def valid(call):
    tool = next(tool for tool in TOOLS if tool.name == call.name)
    jsonschema.validate(dict(call.arguments), dict(tool.parameters))
    assert set(call.arguments) <= set(tool.parameters.get("properties", {})), "an argument was made up"
    return True


@pytest.fixture(scope="module")
def required(checkpoint):
    return make("llm.transformers", folder=checkpoint, max_tokens=90, tool_choice="required")


def test_forty_of_forty_tool_calls_are_valid(required):
    names, temperature = set(), 2.0
    for seed in range(40):
        deltas = list(required.chat(ASKED, tools=TOOLS, sampling=Sampling(temperature=temperature, seed=seed)))
        calls = [call for delta in deltas for call in delta.tool_calls]
        assert deltas[-1].finish == "tool_calls"
        assert calls
        assert all(map(valid, calls))
        assert not text_of(deltas)
        assert len({call.id for call in calls}) == len(calls)
        names |= {call.name for call in calls}
    assert len(names) == len(TOOLS), "the network chooses; the grammar does not"


def test_forty_of_forty_replies_satisfy_the_schema(required):
    every_schema_is_satisfied(required, seeds=4)


@pytest.mark.slow
def test_eight_hundred_replies_satisfy_the_schema(required):
    every_schema_is_satisfied(required, seeds=80)


def every_schema_is_satisfied(llm, seeds):
    for schema in SCHEMAS:
        for seed in range(seeds):
            deltas = list(llm.chat(ASKED, schema=schema, sampling=Sampling(temperature=1.5, seed=seed)))
            jsonschema.validate(json.loads(text_of(deltas)), schema)
            assert deltas[-1].finish == "stop"


def reply(llm, **request):
    """The deltas; None where there are too few tokens for any reply."""
    try:
        return list(llm.chat(ASKED, **request))
    except CallError as error:
        if "more tokens than there may be" in error.message:
            return None
        raise


def test_a_reply_is_closed_before_its_tokens_run_out_whatever_their_number(required):
    """From the fewest tokens that the schema can do with, every number does; with fewer it is refused, not broken."""
    schema, refused = TOOLS[2].parameters, []
    for most in range(20, 60):
        request = {"schema": schema, "sampling": Sampling(max_tokens=most, temperature=1.5, seed=most)}
        if (deltas := reply(required, **request)) is None:
            refused.append(most)
            continue
        jsonschema.validate(json.loads(text_of(deltas)), schema)
        assert deltas[-1].usage.output_tokens <= most
        assert deltas[-1].finish == "stop"
    assert refused == list(range(20, 20 + len(refused)))
    assert 1 < len(refused) < 25


SMALL = st.integers(0, 5)
SIMPLE = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["integer", "number", "boolean", "null", "string"])}),
    st.builds(lambda low, n: {"type": "string", "minLength": low, "maxLength": low + n}, SMALL, SMALL),
    st.builds(lambda low, n: {"type": "integer", "minimum": low, "maximum": low + n}, st.integers(-99, 99), SMALL),
    st.builds(lambda values: {"enum": values}, st.lists(st.text(max_size=4), min_size=1, max_size=3, unique=True)),
)  # fmt: skip
NESTED = st.recursive(
    SIMPLE,
    lambda inside: st.one_of(
        st.builds(lambda item, low: {"type": "array", "items": item, "minItems": low}, inside, st.integers(0, 2)),
        st.builds(
            lambda fields, needed: {"type": "object", "properties": fields, "required": list(fields)[:needed],
                                    "additionalProperties": False},
            st.dictionaries(st.text(min_size=1, max_size=4), inside, max_size=3), st.integers(0, 3),
        ),
        st.builds(lambda left, right: {"anyOf": [left, right]}, inside, inside),
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(schema=NESTED, seed=st.integers(0, 1000), most=st.integers(40, 100))
def test_any_schema_is_satisfied_within_any_number_of_tokens(required, schema, seed, most):
    deltas = reply(required, schema=schema, sampling=Sampling(temperature=1.5, seed=seed, max_tokens=most))
    if deltas is not None:
        jsonschema.validate(json.loads(text_of(deltas)), schema)


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "nonsense"}, "Invalid type: nonsense"),
        ({"not": {"type": "string"}}, "not"),
        ({"$ref": "#/$defs/gone"}, "gone"),
        ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
    ],
)
def test_a_schema_that_cannot_be_kept_to_is_told(required, schema, says):
    with pytest.raises(CallError, match=re.escape(says)) as caught:
        list(required.chat(ASKED, schema=schema))
    assert caught.value.hint
    with pytest.raises(CallError, match=re.escape(says)):  # before the reply, though a call may never come
        list(make_auto(required).chat(ASKED, tools=(Offered("t", {"properties": {"a": schema}}),)))


def make_auto(required):
    return make("llm.transformers", folder=required._inner._params.folder)


# ---------------------------------------------------------------- calls among text

CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 3}}\n</tool_call>'


def saying(checkpoint, said, **params):
    return make("llm.transformers", folder=checkpoint, network=Built(parrot(byte_level(), said)), **params)


def test_a_network_that_calls_a_tool_of_its_own_will_is_understood(checkpoint):
    deltas = list(saying(checkpoint, f"Let me see. 让我看看。{CALL}\n{CALL}").chat(ASKED, tools=(ADD,)))
    assert text_of(deltas) == "Let me see. 让我看看。"
    calls = [call for delta in deltas for call in delta.tool_calls]
    assert [(call.name, call.arguments) for call in calls] == [("add", {"a": 2, "b": 3})] * 2
    assert deltas[-1].finish == "tool_calls"


def test_a_network_that_does_not_call_answers(checkpoint):
    deltas = list(saying(checkpoint, "It is <tool> 5, 是五。").chat(ASKED, tools=(ADD,)))
    assert (text_of(deltas), deltas[-1].finish) == ("It is <tool> 5, 是五。", "stop")


def test_a_call_to_no_tool_or_with_wrong_arguments_becomes_a_right_one(checkpoint):
    said = '<tool_call>\n{"name": "subtract", "arguments": {"a": "two"}}\n</tool_call>'
    deltas = list(saying(checkpoint, said, max_tokens=60).chat(ASKED, tools=(ADD,)))
    calls = [call for delta in deltas for call in delta.tool_calls]
    assert calls
    assert not any(ADD.call(call.arguments).error for call in calls)


def test_a_mark_of_plain_bytes_is_found_across_tokens_and_is_text_where_no_call_follows(checkpoint):
    marks = {"call_begin": "[CALL] ", "call_end": "[/CALL]", "arguments_key": "parameters"}
    said = 'I [CA and 中[CALL] {"name": "add", "parameters": {"a": 2, "b": 3}}[/CALL]'
    deltas = list(saying(checkpoint, said, **marks).chat(ASKED, tools=(ADD,)))
    assert text_of(deltas) == "I [CA and 中"
    assert [dict(c.arguments) for d in deltas for c in d.tool_calls] == [{"a": 2, "b": 3}]


def test_a_call_begun_too_late_is_closed_or_is_none(checkpoint):
    tokens = len(byte_level().encode(f"So: {CALL}"))
    kept = []
    for most in range(3, tokens + 2):
        deltas = list(saying(checkpoint, f"So: {CALL}", max_tokens=most).chat(ASKED, tools=(ADD,)))
        calls = [call for delta in deltas for call in delta.tool_calls]
        assert all(not ADD.call(call.arguments).error for call in calls)
        assert deltas[-1].finish == ("tool_calls" if calls else "length")
        assert "<" not in text_of(deltas)[4:]
        kept.append(bool(calls))
    assert kept == sorted(kept)
    assert kept[-1]
    assert not kept[0]


def test_with_tools_and_a_schema_the_reply_is_a_call_or_satisfies_it(checkpoint):
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    seen = set()
    llm = make("llm.transformers", folder=checkpoint, max_tokens=120)
    for seed in range(8):
        request = {"tools": (ADD,), "schema": schema, "sampling": Sampling(temperature=3.0, seed=seed)}
        deltas = list(llm.chat(ASKED, **request))
        calls = [call for delta in deltas for call in delta.tool_calls]
        seen.add(deltas[-1].finish)
        if calls:
            assert not text_of(deltas)
            assert not ADD.call(calls[0].arguments).error
        else:
            jsonschema.validate(json.loads(text_of(deltas)), schema)
    assert seen == {"stop", "tool_calls"}


def test_a_schema_is_streamed(checkpoint):
    deltas = list(saying(checkpoint, '{"answer": "是 yes 是"}').chat(ASKED, schema={"type": "object"}))
    assert text_of(deltas) == '{"answer": "是 yes 是"}'
    assert len(deltas) > 5


def test_a_required_call_is_of_the_tool_that_is_likeliest(checkpoint):
    """What the network would say decides, within the grammar."""
    said = '<tool_call>\n{"name": "add", "arguments": {"a": 41, "b": -1}}\n</tool_call>'
    deltas = list(saying(checkpoint, said, tool_choice="required").chat(ASKED, tools=TOOLS))
    assert [(c.name, dict(c.arguments)) for d in deltas for c in d.tool_calls] == [("add", {"a": 41, "b": -1})]
    assert deltas[-1].usage.output_tokens == len(byte_level().encode(said)) + 1


def test_a_typed_function_is_called(required):
    def search(query: str, limit: int = 5) -> str:
        """Find passages. 查找段落。"""
        return query * limit

    tool = FunctionTool(search, "read")
    deltas = list(required.chat(ASKED, tools=(tool,), sampling=Sampling(seed=1, temperature=1.0)))
    assert all(not tool.call({**call.arguments, "limit": 1}).error for d in deltas for call in d.tool_calls)
