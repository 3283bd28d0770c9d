import re

import pytest
from dougong import BuildError, CallError, Message, Part, Run, StoreError, make
from dougong.testing import LLMConformance
from dougong.testing.runs import ADD, said

REPLIES = [
    {"when": "How long", "text": "Refunds take one week. 👍"},
    {"when": "屋檐", "text": "斗拱把屋檐的重量传给柱子。", "data": {"confidence": 0.5}},
    {"when": "integer", "text": '{"answer": 5}'},
    {"when": "2 + 3", "tool_calls": [{"name": "add", "arguments": {"a": 2, "b": 3}}]},
    {"when": "fail", "error": "the network is down"},
]
MODEL = {"use": "scripted", "replies": REPLIES, "strict": False}
SUM, NUMBER = (Message("user", "What is 2 + 3?"),), (Message("user", "Give me an integer."),)


class TestRecording(LLMConformance):
    """Records what it is asked for the first time, and plays the rest."""

    name = "llm.cassette"
    calling, filling = SUM, NUMBER
    failing = {"of": {"use": "scripted", "replies": [{"error": "the network is down"}]}}

    def parameters(self):
        return {"path": self.folder / "tape.jsonl", "of": MODEL, "mode": "auto"}


class TestReplaying(LLMConformance):
    """Plays a cassette that was recorded before; there is no model."""

    name = "llm.cassette"
    calling, filling, ordered = SUM, NUMBER, True
    golden = (("How long?", "Refunds take one week. 👍"), ("How long, and again", "Refunds take one week. 👍"))

    def parameters(self):
        path = self.folder / "tape.jsonl"
        if not path.exists():
            recorder = make("llm.cassette", path=path, of=MODEL, mode="record")
            for messages in (self.messages, self.other, *((Message("user", text),) for text, _ in self.golden)):
                self.ask(recorder, messages)
            self.ask(recorder, SUM, tools=(ADD,))
            self.ask(recorder, NUMBER, schema=self.schema)
        return {"path": path}

    def test_it_keeps_its_own_promises(self):
        """Also: what is missing is told by its nearest difference; turns, failures and versions are kept."""
        super().test_it_keeps_its_own_promises()
        path, asked = (
            self.folder / "other.jsonl",
            (Message("user", "say it"), Message("user", (Part("x", meta={"n": 0.1234567}),))),
        )
        recorder = make("llm.cassette", path=path, of=SCRIPT, mode="record", model="m")
        with Run().active():
            first = [self.told(recorder, asked) for _ in range(3)]
        assert first == ["one", "two", "CallError: down; scripted reply 3 says so"]
        with path.open("ab") as file:
            file.write(b'{"key": "torn')
        model = self.build(path=path)
        for _ in range(2):
            with Run().active():
                near = (asked[0], Message("user", (Part("x", meta={"n": 0.12345671}),)))
                assert [self.told(model, messages) for messages in (near, asked, asked)] == first
                missed = (
                    f"CallError: {path}:4: the cassette holds this request 3 times (line 2, 3, 4); this is time 4; "
                )
                assert self.told(model, asked) == missed + "record it with mode: record, or mode: auto"
        for question, difference in (
            ("say that", "messages[0].content: recorded 'say it', asked 'say that'"),
            (
                "say it" + "!" * 30,
                "messages[0].content: recorded 'say it', asked 'say it!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!'",
            ),
        ):
            found = self.told(model, (Message("user", question), asked[1]))
            assert found.split("differs at ")[1].split(";")[0] == difference
        assert "messages[2].role: asked 'user', not recorded" in self.told(model, (*asked, Message("user", "c")))
        assert "messages[1].role: recorded 'user', not asked" in self.told(model, asked[:1])
        other = Message("user", (Part("x", meta={"n": 0.12}),))
        assert "messages[1].content[0].meta.n: recorded 0.123457, asked 0.12;" in self.told(model, (asked[0], other))
        long = (Message("user", "say it again, and slowly now"), Message("user", "please"), Message("user", "do"))
        self.told(make("llm.cassette", path=path, of=SCRIPT, mode="record", model="m"), long)
        found = self.told(self.build(path=path), (Message("user", "say it again, and slowly NOW"), *long[1:]))
        assert "messages[0].content, character 25: recorded 'in, and slowly now', asked 'in, and slowly NOW';" in found
        self.told(make("llm.cassette", path=path, of=SCRIPT, mode="record", model="n"), SUM)
        with pytest.raises(BuildError, match="several models: m, n"):
            self.build(path=path)
        with path.open("ab") as file:
            file.write(b'{"key": "torn')
        with Run().active():  # a torn line is taken away by the next append
            assert self.told(make("llm.cassette", path=path, of=SCRIPT, mode="auto", model="m"), SUM) == "one"
        assert b"torn" not in path.read_bytes()
        for text, says in (
            ('{"cassette": 2}\n', "is of version 2; this plugin reads up to 1"),
            ("{}\n", "other.jsonl"),
            ('{"cassette": 1}\n[]\n', "other.jsonl:2"),
        ):
            path.write_text(text, "utf-8")
            with pytest.raises(StoreError, match=re.escape(says)):
                self.build(path=path)
        path.write_text('{"cassette": 1}\n', "utf-8")
        assert "the cassette is empty" in self.told(self.build(path=path), SUM)

    def told(self, llm, messages):
        try:
            return said(llm.chat(messages))
        except CallError as error:
            return f"CallError: {error}"


SCRIPT = {"use": "scripted", "replies": ["one", "two", {"text": "half", "error": "down"}]}
