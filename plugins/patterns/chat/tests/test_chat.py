import json
import multiprocessing
import threading
from pathlib import Path

import attrs
import pytest
from dougong import CallError, Exhausted, Message, Part, Run, Secret, StoreError, make
from dougong.journal import Journal
from dougong.kinds import LLM
from dougong.proxies import proxied
from dougong_llm_scripted import Params as Script
from dougong_llm_scripted.script import Scripted
from dougong_pattern_chat import SYSTEM_EN, SYSTEM_ZH, Params, dougong_patterns
from dougong_pattern_chat.chat import Chat
from dougong_pattern_chat.store import Conversations


class Characters:
    """A token a character, so that limits can be counted by hand."""

    def count(self, text):
        return len(text)


class Model:
    """Answers from the script, remembering what it was asked."""

    def __init__(self, *replies):
        self._script, self.asked = Scripted(Script([*replies])), []

    def chat(self, messages, tools=(), schema=None, sampling=None):
        self.asked.append(messages)
        yield from self._script.chat(messages)


@attrs.define
class Talk:
    """One conversation: each call of `say` is a run of its own, of the same or another process."""

    path: Path
    params: dict = attrs.field(factory=dict)
    asked: list = attrs.field(factory=list)

    def say(self, text, *replies, session="alice", **options):
        model = Model(*(replies or (f"re: {text}",)))
        self.asked = model.asked
        run = Run(session=session, **options)
        with run.active():
            pattern = Chat(Params(proxied(LLM, model, "llm"), self.path, tokenizer=Characters(), **self.params))
            return run.end(pattern.run(text, run))

    def sent(self, request=-1):
        """A request as (role, text), data parts in brackets, without the system message."""
        return [
            (m.role, "|".join(part.text if part.kind == "text" else f"[{part.text}]" for part in m.parts))
            for m in self.asked[request]
            if m.role != "system"
        ]

    def lines(self, session="alice"):
        return Conversations(self.path).load(session)


@pytest.fixture
def talk(tmp_path):
    return Talk(tmp_path / "chat")


def test_a_conversation_is_remembered_from_run_to_run(talk):
    talk.say("My name is Li Jie.", "Hello, Li Jie.")
    answer = talk.say("What is my name?", "Li Jie.")
    assert talk.sent() == [
        ("user", "My name is Li Jie."),
        ("assistant", "Hello, Li Jie."),
        ("user", "What is my name?"),
    ]
    assert (answer.text, answer.data) == ("Li Jie.", {"session": "alice", "turns": 1, "shown": 1})
    assert [(line["user"], line["assistant"]) for line in talk.lines()] == [
        ("My name is Li Jie.", "Hello, Li Jie."),
        ("What is my name?", "Li Jie."),
    ]


@pytest.mark.parametrize("text", ["Hi", "你好", 'a\nb\u2028c\x00d"{}\\', "😀" * 1000])
def test_what_was_said_comes_back_as_it_was(talk, text):
    talk.say(text, text)
    talk.say("and?")
    assert talk.sent()[:2] == [("user", text), ("assistant", text)]


def test_the_language_of_the_message_chooses_the_system_message(talk):
    for text, system in (("Hello", SYSTEM_EN), ("你好", SYSTEM_ZH)):
        talk.say(text)
        assert talk.asked[0][0] == Message("system", system)
    talk.params["system_zh"] = "简短些。"
    talk.say("你好")
    assert talk.asked[0][0].text == "简短些。"


# ---------------------------------------------------------------- sessions


def test_sessions_are_apart_whatever_their_names(talk):
    names = ["alice", "Alice", "李诫", "a/b", "a-b", "../x", "a b", "con.x", "x" * 300, "a/b/c"]
    for name in names:
        talk.say(f"I am {name[:20]}", session=name)
    assert [talk.lines(name)[0]["user"] for name in names] == [f"I am {name[:20]}" for name in names]
    files = list(talk.path.parent.rglob("*.jsonl"))
    assert len(files) == len(names)
    assert {file.parent for file in files} == {talk.path}
    heads = [json.loads(file.read_text("utf-8").splitlines()[0]) for file in files]
    assert sorted(head["session"] for head in heads) == sorted(names)


def test_a_run_without_a_session_remembers_nothing_unless_the_config_names_one(talk):
    for session in ("", "/writer"):  # the second is a child of the first
        assert talk.say("secret", session=session).data["session"] == ""
    assert not talk.path.exists()
    talk.params["session"] = "default"
    talk.say("one", session="")
    talk.say("two", session="/writer")
    assert [len(talk.lines(name)) for name in ("default", "default/writer")] == [1, 1]


# ---------------------------------------------------------------- what is shown when it grows


def fill(talk, count):
    for number in range(count):
        talk.say(f"q{number}", f"a{number}")  # four tokens a turn


@pytest.mark.parametrize(
    ("limits", "shown"),
    [({"max_tokens": 12}, 3), ({"max_tokens": 11}, 2), ({"max_tokens": 3}, 0), ({"max_turns": 2}, 2), ({}, 5)],
)
def test_the_last_turns_within_the_limits_are_shown(talk, limits, shown):
    fill(talk, 5)
    talk.params.update(limits)
    answer = talk.say("now")
    assert [text for role, text in talk.sent() if role == "user"] == [f"q{n}" for n in range(5 - shown, 5)] + ["now"]
    assert (answer.data["turns"], answer.data["shown"]) == (5, shown)
    assert len(talk.lines()) == 6, "nothing is dropped from what is stored"


def test_a_message_longer_than_the_limit_is_sent(talk):
    talk.params["max_tokens"] = 3
    talk.say("longer than three")
    assert talk.sent() == [("user", "longer than three")]


def test_older_turns_are_summarised_once_and_the_summary_is_renewed(talk):
    talk.params.update(older="summarise", max_tokens=16)
    fill(talk, 4)
    talk.say("q4", "a4")  # 16 tokens before it: just within
    assert len(talk.asked) == 1
    answer = talk.say("q5", "S1", "a5")  # 20 before it: all but the last 8 go
    assert talk.sent(0)[0][1].startswith("[User: q0\nAssistant: a0\nUser: q1\nAssistant: a1\nUser: q2\nAssistant: a2]|")
    assert talk.sent() == [("user", "q3"), ("assistant", "a3"), ("user", "q4"), ("assistant", "a4"), ("user", "q5")]
    assert talk.asked[1][0].parts == (Part(SYSTEM_EN), Part("S1", "data", "summary"))
    assert (answer.text, answer.data["summary"], answer.data["shown"]) == ("a5", "S1", 2)
    talk.say("q6", "a6")  # 12 after the summary
    assert len(talk.asked) == 1
    assert talk.sent()[0] == ("user", "q3")
    talk.say("q7", "a7")  # 16
    talk.say("q8", "S2", "a8")  # 20: the summary before is part of the next
    assert talk.sent(0)[0][1].startswith("[S1]|[User: q3\n")
    assert talk.sent()[0] == ("user", "q6")
    lines = talk.lines()
    assert [line["turns"] for line in lines if "summary" in line] == [3, 6]
    assert len([line for line in lines if "user" in line]) == 9


def test_a_chinese_message_asks_for_a_chinese_summary(talk):
    talk.params.update(older="summarise", max_turns=1)
    fill(talk, 2)
    talk.say("现在呢？", "小结", "好")
    assert talk.sent(0)[0][1].startswith("[用户：q0\n助手：a0")
    assert talk.asked[0][0].text == Params(None).summary_zh


# ---------------------------------------------------------------- stored once


@pytest.mark.parametrize("number", range(4), ids=["turn id", "conversation", "summary", "turn"])
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_and_a_resume_store_each_turn_once(talk, tmp_path, monkeypatch, number, after):
    """The process dies before or after a value reaches the journal; the file may be ahead of the journal."""
    talk.params.update(older="summarise", max_turns=1)
    fill(talk, 2)
    script = [{"when": "Summarise", "text": "sum"}, "reply"]  # each run starts anew: what is read back is not asked
    write, values = Journal.write, []

    def dies(self, line, **options):
        if line.get("e") == "value":
            values.append(line)
        if len(values) > number:
            if after:
                write(self, line, **options)
            raise KeyboardInterrupt
        write(self, line, **options)

    journal = Journal(tmp_path / "run.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", dies)
        with pytest.raises(KeyboardInterrupt):
            talk.say("new", *script, journal=journal)
    journal.close()
    for _ in range(2):
        journal = Journal(tmp_path / "run.jsonl")
        answer = talk.say("new", *script, journal=journal)
        journal.close()
        assert answer.text == "reply"
    lines = talk.lines()
    assert [line.get("user", "summary") for line in lines] == ["q0", "q1", "summary", "new"]


def test_a_replay_stores_nothing_and_gives_the_same_answer(talk, tmp_path):
    answers = []
    for replay in (False, True):
        journal = Journal(tmp_path / "run.jsonl")
        answers.append(talk.say("hello", "hi", journal=journal, replay=replay))
        journal.close()
    assert answers[0] == answers[1]
    assert len(talk.lines()) == 1


def test_a_turn_that_failed_is_not_stored(talk):
    with pytest.raises(CallError, match="line dropped"):
        talk.say("one", {"text": "half", "error": "line dropped"})
    assert talk.lines() == []


def test_an_exhausted_budget_gives_what_there_is_and_stores_nothing(talk):
    class Tired:
        def around(self, call, proceed):
            yield next(iter(proceed(call)))
            raise Exhausted("no seconds are left", what="seconds")

    answer = talk.say("one", "12345678 and more", middleware=[Tired()])
    assert (answer.text, answer.status, answer.reason) == ("12345678", "stopped", "no seconds are left")
    assert talk.lines() == []


@pytest.mark.parametrize(
    ("reply", "status", "stored"),
    [({"text": "1", "finish": "length"}, "stopped", 1), ({"text": " "}, "stopped", 0),
     ({"text": "", "finish": "content_filter"}, "declined", 0)],
)  # fmt: skip
def test_how_the_reply_ended_is_the_status(talk, reply, status, stored):
    answer = talk.say("one", reply)
    assert (answer.status, len(talk.lines())) == (status, stored)
    assert answer.reason


# ---------------------------------------------------------------- the file


def test_a_torn_last_line_is_passed_over_and_taken_away_by_the_next_turn(talk):
    fill(talk, 2)
    path = Conversations(talk.path).path("alice")
    whole = path.read_bytes()
    for cut in range(1, len(whole.splitlines(keepends=True)[-1]) + 1):
        path.write_bytes(whole[:-cut])
        assert [line["user"] for line in talk.lines()] == ["q0"]
    talk.say("q9", "a9")
    assert [line["user"] for line in talk.lines()] == ["q0", "q9"]
    path.write_bytes(whole[:7])  # the first line itself
    talk.say("q0")
    assert [line["user"] for line in talk.lines()] == ["q0"]


def test_a_damaged_line_is_an_error_that_names_it(talk):
    fill(talk, 3)
    path = Conversations(talk.path).path("alice")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"{nonsense\n", *lines[3:]]))
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"alice\.jsonl:3: the conversation is damaged"):
        talk.say("x")
    with pytest.raises(StoreError, match="damaged"):
        Conversations(talk.path).append("alice", {"turn": "t", "user": "u", "assistant": "a"})
    assert path.read_bytes() == before


def test_a_newer_version_is_refused(talk):
    talk.path.mkdir()
    Conversations(talk.path).path("alice").write_text('{"v": 2}\n')
    with pytest.raises(StoreError, match="version 2; this plugin reads 1"):
        talk.say("x")


def test_a_path_that_is_no_folder_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot (read|write) the conversation"):
        Talk(tmp_path / "file").say("x")


def test_a_turn_is_appended_once(tmp_path):
    store = Conversations(tmp_path)
    for _ in range(3):
        store.append("s", {"turn": "t1", "user": "u", "assistant": "a"})
        store.append("s", {"turn": "t1", "summary": "x", "turns": 1})
    assert len(store.load("s")) == 2


def test_secrets_are_not_written(talk):
    Secret("hunter2-hunter2")
    talk.say("my key is hunter2-hunter2", "hunter2-hunter2, noted")
    assert b"hunter2" not in b"".join(file.read_bytes() for file in talk.path.rglob("*"))


def append_many(folder, who):
    store = Conversations(folder)
    for number in range(20):
        store.append("s", {"turn": f"{who}-{number}", "user": "问" * 500, "assistant": "答" * 500})


def test_appends_of_threads_and_processes_are_whole_and_all_there(tmp_path):
    threads = [threading.Thread(target=append_many, args=(tmp_path, f"t{n}")) for n in range(4)]
    processes = [
        multiprocessing.get_context("fork").Process(target=append_many, args=(tmp_path, f"p{n}")) for n in range(2)
    ]
    for worker in (*processes, *threads):
        worker.start()
    for worker in (*processes, *threads):
        worker.join()
    found = [line["turn"] for line in Conversations(tmp_path).load("s")]
    assert sorted(found) == sorted(f"{who}-{n}" for who in ("t0", "t1", "t2", "t3", "p0", "p1") for n in range(20))


# ---------------------------------------------------------------- params


def test_a_config_builds_it_with_the_tokenizer_of_words(tmp_path):
    built = make("pattern.chat", llm={"use": "llm.scripted", "replies": ["你好"]}, path=str(tmp_path), session="s")
    for turns in range(2):
        run = Run()
        with run.active():
            assert built.run("你好", run).data["turns"] == turns


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_message_is_an_error(talk, text):
    with pytest.raises(CallError, match="empty"):
        talk.say(text, "x")


@pytest.mark.parametrize("wrong", [{"max_tokens": 0}, {"max_turns": 0}, {"system_en": " "}])
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        Params(None, tokenizer=Characters(), **wrong)


def test_the_declared_technique_builds():
    (technique,) = dougong_patterns()
    module, _, name = technique.factory.partition(":")
    assert (technique.name, module, name) == ("chat", Chat.__module__, "Chat")
