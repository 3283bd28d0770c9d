from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import attrs
import dougong
import pytest
from dougong import CallError, Delta, Message, Part, Run, Sampling, Secret, StoreError, ToolCall, Usage
from dougong_llm_cassette import Params
from dougong_llm_cassette.cassette import Cassette
from dougong_llm_cassette.nearest import difference, nearest
from hypothesis import given
from hypothesis import strategies as st


class Model:
    """Answers with the replies given, in order; a reply is a list of deltas, an exception in it is raised."""

    def __init__(self, *replies, model="m"):
        self.replies, self.model, self.asked = list(replies), model, 0

    def chat(self, messages, tools=(), schema=None, sampling=None):
        self.asked += 1
        for item in self.replies.pop(0):
            if isinstance(item, BaseException):
                raise item
            yield item


@attrs.frozen
class Offered:
    name: str
    description: str = "finds"
    parameters: dict = attrs.field(factory=lambda: {"type": "object"})
    effect: str = "read"

    def call(self, arguments):
        raise AssertionError("a cassette calls no tool")


def user(text):
    return [Message("system", "be brief"), Message("user", text)]


def ask(model, text="hello", **more):
    return list(model.chat(user(text), **more))


def text(deltas):
    return "".join(delta.text for delta in deltas)


@pytest.fixture
def tape(tmp_path):
    return tmp_path / "deep" / "tape.jsonl"


def record(path, *replies, **params):
    return Cassette(Params(path, Model(*replies), "record", **params))


def replay(path, **params):
    return Cassette(Params(path, **params))


RICH = [
    Delta("你好, ", data={"reasoning": "hm"}),
    Delta("wörld 🐼"),
    Delta(tool_calls=(ToolCall("a1", "find", {"q": ["雨", 1, None]}),), data={"malformed": {"a1": "why"}}),
    Delta(finish="tool_calls", usage=Usage(9, 4, 2, money=0.25, currency="CNY", estimated=True), data={"model": "m-1"}),
]


def test_a_reply_is_replayed_delta_by_delta_without_the_model(tape):
    live = ask(record(tape, RICH), tools=[Offered("find")], schema={"type": "object"}, sampling=Sampling(0.7))
    again = ask(replay(tape), tools=[Offered("find")], schema={"type": "object"}, sampling=Sampling(0.7))
    assert live == again == RICH


def test_live_values_are_what_a_replay_gives(tape):
    given = [Delta("x", data={"scores": (1, 2)}, finish="stop")]
    assert ask(record(tape, given)) == ask(replay(tape)) == [Delta("x", data={"scores": [1, 2]}, finish="stop")]


def test_what_has_no_json_form_is_an_error_that_says_so(tape):
    with pytest.raises(CallError, match="no JSON form"):
        ask(record(tape, [Delta("x", data={"what": object()})]))


# ---------------------------------------------------------------- strictness


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"messages": user("goodbye")}, r"messages\[1\]\.content: recorded 'hello', asked 'goodbye'"),
        ({"sampling": Sampling(temperature=0.5)}, r"sampling\.temperature: recorded 0\.7, asked 0\.5"),
        ({"schema": None}, r"schema"),
        ({"tools": []}, r"tools"),
        ({"tools": [Offered("find", "seeks")]}, r"tools\[0\]\.description: recorded 'finds', asked 'seeks'"),
        (
            {"messages": [*user("hello"), Message("assistant", "hi")]},
            r"messages\[2\]\.role: asked 'assistant', not rec",
        ),
    ],
)
def test_any_difference_of_the_request_is_a_miss_that_names_it(tape, change, words):
    request = {"messages": user("hello"), "tools": [Offered("find")], "schema": {"type": "object"},
               "sampling": Sampling(0.7)}  # fmt: skip
    list(record(tape, RICH).chat(**request))
    with pytest.raises(CallError, match=words) as caught:
        list(replay(tape).chat(**{**request, **change}))
    assert (caught.value.place.file, caught.value.place.line) == (str(tape), 2)
    assert "record" in caught.value.hint


def test_another_model_is_a_miss(tape):
    ask(record(tape, RICH))
    with pytest.raises(CallError, match="model: recorded 'm', asked 'other'"):
        ask(replay(tape, model="other"))


def test_the_nearest_of_many_is_named_and_the_place_inside_a_long_text(tape):
    model = record(tape, *[[Delta(str(n))] for n in range(3)])
    long = "这是一段很长的开头，" * 10
    for question in ("what is a bracket?", long + "斗拱是什么？", "when was it built?"):
        ask(model, question)
    with pytest.raises(CallError, match=r"character 100: recorded '.*斗拱是什么？', asked '.*榫卯是什么？'") as caught:
        ask(replay(tape), long + "榫卯是什么？")
    assert caught.value.place.line == 3


def test_a_miss_never_reaches_the_model(tape):
    ask(record(tape, RICH))
    model = Model(RICH)
    with pytest.raises(CallError):
        ask(Cassette(Params(tape, model, "replay")), "goodbye")
    assert model.asked == 0


def test_scores_that_differ_in_their_last_bits_are_the_same_request(tape):
    def passages(score):
        return [Message("user", (Part("rain", "data", "1", {"score": score}), Part("why?")))]

    list(record(tape, RICH).chat(passages(1.2345678901)))
    assert list(replay(tape).chat(passages(1.2345678902))) == RICH
    with pytest.raises(CallError, match=r"meta\.score"):
        list(replay(tape).chat(passages(1.24)))


# ---------------------------------------------------------------- order


def test_the_same_request_is_answered_in_recorded_order_and_no_more_often(tape):
    model = record(tape, [Delta("a")], [Delta("b")])
    assert [text(ask(model)) for _ in range(2)] == ["a", "b"]
    played = replay(tape)
    assert [text(ask(played)) for _ in range(2)] == ["a", "b"]
    with pytest.raises(CallError, match=r"holds this request 2 times \(line 2, 3\); this is time 3"):
        ask(played)


def test_every_run_begins_anew(tape):
    model = record(tape, [Delta("a")], [Delta("b")])
    with Run().active():
        ask(model), ask(model)
    played = replay(tape)
    for _ in range(2):
        with Run().active():
            assert [text(ask(played)) for _ in range(2)] == ["a", "b"]


def test_recording_again_appends_and_the_later_answer_counts(tape):
    ask(record(tape, [Delta("old")]))
    ask(record(tape, [Delta("new")]))
    assert text(ask(replay(tape))) == "new"
    assert "old" in tape.read_text("utf-8")


def test_auto_replays_what_is_there_and_records_the_rest(tape):
    model = Model([Delta("a")], [Delta("b")])
    auto = Cassette(Params(tape, model, "auto"))
    for _ in range(2):
        with Run().active():
            assert (text(ask(auto, "one")), text(ask(auto, "two"))) == ("a", "b")
    assert model.asked == 2


def test_auto_asks_again_where_the_model_had_failed(tape):
    auto = Cassette(Params(tape, Model([CallError("down")], [Delta("up")]), "auto"))
    with Run().active(), pytest.raises(CallError, match="down"):
        ask(auto)
    with Run().active():
        assert text(ask(auto)) == "up"
    assert text(ask(replay(tape))) == "up"


# ---------------------------------------------------------------- failures and early ends


class Limited(CallError):
    kind, status, retry_after = "rate-limit", 429, 2.5


def test_a_failure_is_replayed_after_the_deltas_before_it(tape):
    with pytest.raises(Limited):
        ask(record(tape, [Delta("half"), Limited("slow down", hint="wait")]))
    deltas = replay(tape).chat(user("hello"))
    assert next(deltas).text == "half"
    with pytest.raises(CallError, match="slow down; wait") as caught:
        next(deltas)
    error = caught.value
    assert (type(error).__name__, error.kind, error.status, error.retry_after) == ("Limited", "rate-limit", 429, 2.5)


def test_a_reply_closed_by_its_reader_is_recorded_as_far_as_it_was_read(tape):
    deltas = record(tape, [Delta("a"), Delta("b")]).chat(user("hello"))
    next(deltas)
    deltas.close()
    again = replay(tape).chat(user("hello"))
    assert next(again).text == "a"
    with pytest.raises(CallError, match="recording ends here"):
        next(again)


@pytest.mark.parametrize("error", [dougong.Cancelled("stop"), ZeroDivisionError(), KeyboardInterrupt()])
def test_what_is_no_answer_is_not_recorded(tape, error):
    with pytest.raises(type(error)):
        ask(record(tape, [Delta("a"), error]))
    assert not tape.exists()


# ---------------------------------------------------------------- secrets


SECRET = 'sk-cassette-秘密-"quoted"'


def test_secrets_never_reach_the_file_and_the_key_does_not_depend_on_them(tape):
    """In messages, arguments, keys, errors, and spread over deltas; a replay in a process with another key finds it."""
    Secret(SECRET)
    reply = [
        Delta(f"the key is {SECRET[:7]}", data={"reasoning": SECRET[:3]}),
        Delta(SECRET[7:9], data={"reasoning": SECRET[3:]}),
        Delta(f"{SECRET[9:]}, yes"),
        Delta(tool_calls=(ToolCall("a", "send", {"auth": SECRET, SECRET: 1}),)),
        CallError(f"401 for {SECRET}"),
    ]
    with pytest.raises(CallError):
        list(record(tape, reply).chat(user(f"use {SECRET}"), schema={SECRET: {"const": SECRET}}))
    raw = tape.read_text("utf-8")
    assert SECRET not in raw
    assert json.dumps(SECRET, ensure_ascii=False)[1:-1] not in raw
    assert "秘密" not in raw
    assert "quoted" not in raw
    played = replay(tape).chat(user("use ***"), schema={"***": {"const": "***"}})
    again = [next(played) for _ in range(4)]
    with pytest.raises(CallError, match=r"401 for \*\*\*"):
        next(played)
    assert text(again) == "the key is ***, yes"
    assert "".join(delta.data.get("reasoning", "") for delta in again) == "***"


@given(st.lists(st.integers(0, 20), max_size=6))
def test_a_secret_cut_anywhere_is_scrubbed(cuts):
    from dougong_llm_cassette.tape import scrubbed_stream

    Secret("tok-0123456789")
    whole = "a tok-0123456789 b"
    bounds = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    deltas = [{"$": "Delta", "text": whole[a:b]} for a, b in pairwise(bounds)]
    assert "".join(delta["text"] for delta in scrubbed_stream(deltas)) == "a *** b"


# ---------------------------------------------------------------- the file


def test_a_person_can_read_it(tape):
    ask(record(tape, RICH), "下雨了吗？")
    head, entry = tape.read_text("utf-8").splitlines()
    assert json.loads(head) == {"cassette": 1}
    assert "下雨了吗？" in entry
    assert "wörld 🐼" in entry
    assert list(json.loads(entry)) == ["key", "turn", "request", "deltas", "end"]


def test_an_unfinished_last_line_is_passed_over_and_cut_off_by_the_next(tape):
    ask(record(tape, [Delta("a")]), "one")
    whole = tape.read_bytes()
    for torn in (b'{"key": "x", "tu', "斗".encode()[:2], b"{" * 200_000):
        tape.write_bytes(whole + torn)
        assert text(ask(replay(tape), "one")) == "a"
        ask(record(tape, [Delta("b")]), "two")
        assert tape.read_bytes().startswith(whole + b'{"key"')
        assert text(ask(replay(tape), "two")) == "b"


def test_a_torn_first_line_is_an_empty_cassette(tape):
    tape.parent.mkdir()
    tape.write_bytes(b'{"casse')
    with pytest.raises(CallError, match="empty"):
        ask(replay(tape))
    ask(record(tape, [Delta("a")]))
    assert text(ask(replay(tape))) == "a"


def test_killed_while_it_writes_it_holds_what_was_finished(tape):
    """A process that records without end is killed; every line but the last is whole, and all of them replay."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom dougong import Delta, Message\n"
        "from dougong_llm_cassette import Params\nfrom dougong_llm_cassette.cassette import Cassette\n"
        "class M:\n    model = 'm'\n    def chat(self, m, *a): yield Delta(m[0].content * 2000)\n"
        "c = Cassette(Params(Path(sys.argv[1]), M(), 'record'))\nn = 0\n"
        "while True:\n    list(c.chat([Message('user', str(n))])); n += 1; print(n, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tape)], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if int(line) >= 20:
            break
    process.kill()
    done = [int(line) for line in process.stdout] or [20]
    process.wait()
    played = replay(tape)
    for n in range(done[-1]):
        assert text(played.chat([Message("user", str(n))])) == str(n) * 2000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"cassette": 2}\n', "version 2.*reads up to 1"),
        (b"hello\n", "no cassette"),
        (b'{"v": 1}\n', "no cassette"),
        (b'["cassette"]\n', "no cassette"),
        (b'{"cassette": 1}\n{"key": 1\n', ":2: this line is damaged"),
        (b'{"cassette": 1}\n{"key": "k", "turn": 0, "request": {}}\n', ":2: this line is damaged"),
    ],
)
def test_a_file_that_is_newer_foreign_or_damaged_is_refused_by_line(tape, content, words):
    tape.parent.mkdir()
    tape.write_bytes(content)
    for mode in ("replay", "record", "auto"):
        with pytest.raises(StoreError, match=words):
            Cassette(Params(tape, Model(), mode))
    assert tape.read_bytes() == content


def test_a_missing_cassette_is_named(tape):
    with pytest.raises(StoreError, match=r"tape\.jsonl: there is no cassette; record it"):
        replay(tape)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="rights do not hold here")
def test_a_file_that_cannot_be_written_is_named(tape):
    ask(record(tape, RICH))
    tape.chmod(0o400)
    with pytest.raises(StoreError, match="cannot be written"):
        ask(record(tape, RICH))


def test_lone_surrogates_survive(tape):
    given = [Delta("a\ud800b")]
    assert ask(record(tape, given)) == ask(replay(tape)) == given


def test_threads_record_and_replay_side_by_side(tape):
    class Echo:
        model = "m"

        def chat(self, messages, *rest):
            for word in messages[-1].content.split():
                yield Delta(f"{word} ")

    questions = [f"q{n} a b c" for n in range(100)]
    recorder, start = Cassette(Params(tape, Echo(), "record")), threading.Barrier(16)

    def work(model, question):
        if question in questions[:16]:
            start.wait(10)
        return text(ask(model, question))

    for mode in ("record", "replay"):
        model = recorder if mode == "record" else replay(tape)
        with ThreadPoolExecutor(16) as threads:
            assert list(threads.map(lambda q, m=model: work(m, q), questions)) == [f"{q} " for q in questions]
    assert len(tape.read_text("utf-8").splitlines()) == 101


# ---------------------------------------------------------------- parameters


def test_recording_needs_a_model():
    with pytest.raises(ValueError, match="there must be a model"):
        Params("x.jsonl", None, "record")


def test_without_a_model_the_name_is_the_recorded_one_and_several_must_be_told_apart(tape):
    ask(Cassette(Params(tape, Model([Delta("a")], model="big"), "record")))
    assert replay(tape).model == "big"
    ask(Cassette(Params(tape, Model([Delta("b")], model="small"), "record")))
    with pytest.raises(dougong.BuildError, match="big, small"):
        replay(tape)
    assert text(ask(replay(tape, model="small"))) == "b"


def test_it_is_built_by_name(tape):
    scripted = {"use": "scripted", "replies": ["hi"]}
    assert text(ask(dougong.make("llm.cassette", path=str(tape), mode="record", of=scripted))) == "hi"
    with pytest.raises(dougong.ConfigError, match="must be replay where 'of' is empty"):
        dougong.make("llm.cassette", path=str(tape), mode="auto")
    assert text(ask(dougong.make("llm.cassette", path=str(tape)))) == "hi"


def test_likeness_prefers_the_like_and_difference_is_none_of_equals():
    entries = [(2, {"request": {"a": "rain in the hills"}}), (3, {"request": {"a": "sun"}}), (4, {"request": {"b": 1}})]
    assert nearest({"a": "rain on the hills"}, entries)[0] == 2
    assert nearest({"b": 2, "c": 1}, []) is None
    assert difference({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}) == "a[1].b: recorded 2, asked 3"
    assert difference({"a": 1, "b": 2}, {"a": 1}) == "b: recorded 2, not asked"
