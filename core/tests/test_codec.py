"""What is written as JSON comes back equal, and what a live run hands on is what comes back."""

from __future__ import annotations

import enum
import json
import math
from pathlib import PurePosixPath
from typing import Any

import pytest
from dougong import CallError, Place, Secret, StoreError
from dougong.codec import digest, from_data, to_data
from dougong.tools import tool
from dougong.types import (
    Answer,
    Chunk,
    Citation,
    Delta,
    Document,
    Event,
    Hit,
    Message,
    Part,
    Sampling,
    Section,
    Span,
    SyncReport,
    ToolCall,
    ToolResult,
    Usage,
)  # fmt: skip
from hypothesis import given
from hypothesis import strategies as st

texts = st.text(st.characters(), max_size=12)  # lone surrogates too
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(texts, st.sampled_from(["$", "$blob", "value"])), inner, max_size=3),
    ),
    max_leaves=8,
)
metas = st.dictionaries(texts, plain, max_size=2)
spans = st.builds(Span, st.integers(0, 99), st.integers(0, 99))
parts = st.builds(Part, texts, st.sampled_from(["text", "data"]), texts, metas)
calls = st.builds(ToolCall, texts, texts, metas)
usages = st.builds(Usage, st.integers(0, 10**9), money=st.floats(0, 9), estimated=st.booleans())
contents = st.one_of(texts, st.lists(parts, max_size=2).map(tuple))
chunks = st.builds(Chunk, texts, texts, texts, spans, st.lists(texts, max_size=2).map(tuple), parent=spans, meta=metas)
ours = st.one_of(
    st.builds(Message, st.sampled_from(["user", "tool"]), contents, st.lists(calls, max_size=2).map(tuple)),
    st.builds(Delta, texts, st.lists(calls, max_size=2).map(tuple), usage=st.one_of(st.none(), usages), data=metas),
    st.builds(ToolResult, texts, plain, st.booleans()),
    st.builds(Hit, chunks, st.floats(allow_nan=False)),
    st.builds(Sampling, st.floats(0, 2), stop=st.lists(texts, max_size=2).map(tuple)),
    st.builds(
        Answer, texts, st.lists(st.builds(Citation, texts, texts, spans, texts), max_size=2).map(tuple), data=metas
    ),
    st.builds(Section, texts, spans, children=st.builds(Section, texts, spans).map(lambda s: (s, s))),
    st.builds(SyncReport, failed=st.lists(st.tuples(texts, texts), max_size=2).map(tuple)),
    st.builds(Document, texts, texts, meta=metas),
    st.builds(Event, texts, texts, metas),
)


def written(value: Any) -> Any:
    """Through bytes, as the journal writes them."""
    text = json.dumps(to_data(value), ensure_ascii=False).encode("utf-8", "surrogatepass")
    return from_data(json.loads(text))


@given(st.one_of(plain, ours, st.lists(ours, max_size=3)))
def test_all_of_our_values_come_back_equal(value: Any) -> None:
    again = written(value)
    assert again == value
    assert repr(again) == repr(from_data(to_data(value)))
    assert digest(to_data(again)) == digest(to_data(value))


def test_nan_and_infinity_come_back() -> None:
    assert math.isnan(written([math.nan])[0])
    assert written([math.inf, -math.inf]) == [math.inf, -math.inf]


class Colour(enum.StrEnum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


def test_what_is_almost_plain_becomes_plain_at_once() -> None:
    """A live value must not be of another type than a replayed one."""
    for value, type_ in ((Colour.RED, str), (Number.ONE, int), (PurePosixPath("a/b"), str)):
        assert type(from_data(to_data(value))) is type_
    assert from_data(to_data({1: (2, 3)})) == {"1": [2, 3]}


def test_numpy_scalars_are_numbers_and_arrays_have_no_form() -> None:
    numpy = pytest.importorskip("numpy")
    assert to_data(numpy.float32(0.5)) == 0.5
    assert type(to_data(numpy.float64(0.5))) is float
    with pytest.raises(CallError, match="ndarray"):
        to_data(ToolResult("x", numpy.zeros(3)))


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, b"x", Secret("codec-test-4711"), 1 << 20000, {1: "a", "1": "b"}], ids=range(6)
)
def test_what_cannot_come_back_is_refused(value: Any) -> None:
    with pytest.raises(CallError):
        to_data([value])


@pytest.mark.parametrize("digits", [10, 3000, 3700, 4299, 4301])
def test_a_big_integer_comes_back_or_is_refused(digits: int) -> None:
    value = 10**digits
    try:
        data = to_data(value)
    except CallError:
        return
    assert json.loads(json.dumps(data)) == value


def test_a_tool_becomes_what_its_model_sees() -> None:
    @tool(effect="write")
    def send(to: str) -> str:
        """Sends."""
        return to

    spec = written([send])[0]
    assert (spec.name, spec.description, spec.effect) == ("send", "Sends.", "write")
    assert spec.parameters == send.parameters
    with pytest.raises(CallError, match="send"):
        spec.call({})


def test_secrets_are_scrubbed_in_values_and_keys() -> None:
    Secret("s3cr3t-codec"), Secret("s3cr3t-codec-longer")
    data = to_data({"s3cr3t-codec": ToolResult("is s3cr3t-codec-longer", {"x": ["s3cr3t-codec"]})})
    assert data == {"***": {"$": "ToolResult", "text": "is ***", "data": {"x": ["***"]}}}


@pytest.mark.parametrize("data", [{"$": "Nothing"}, {"$": "Span", "begin": 1}, {"$": ""}, {"$": "", "value": 1}])
def test_what_another_version_wrote_is_named(data: Any) -> None:
    with pytest.raises(StoreError, match="back"):
        from_data(data)


def test_a_place_comes_back() -> None:
    assert written(Place("a.yaml", 3)) == Place("a.yaml", 3)
