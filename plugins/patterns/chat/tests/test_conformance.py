import pytest
from dougong import Run, StoreError
from dougong.testing import PatternConformance
from dougong.testing.runs import lived

EN, ZH = {"system_en": "SYS"}, {"system_zh": "系统"}


class TestChat(PatternConformance):
    name = "pattern.chat"
    golden = (
        (("Hello", ["Hi"], "status", "text", "data", "asked"),
         ["answered", "Hi", {"session": "", "turns": 0, "shown": 0}, [["system", "SYS"], ["user", "Hello"]]], EN),
        (("你好", ["你好！"], "status", "asked"), ["answered", [["system", "系统"], ["user", "你好"]]], ZH),
        (("你好", [("x", (), "length")], "status", "reason"), ["stopped", "回答达到长度上限而被截断。"]),
        (("Hello", [("x", (), "length")], "status", "reason"),
         ["stopped", "The reply was cut at its maximum of tokens."]),
        (("Hello", [" "], "status", "reason"), ["stopped", "The model replied with nothing."]),
        (("你好", [""], "status", "reason"), ["stopped", "模型的回复是空的。"]),
        (("Hello", [("x", (), "content_filter")], "status", "reason"),
         ["declined", "The model's content filter withheld the answer."]),
        (("你好", [("", (), "content_filter")], "status", "reason"), ["declined", "模型的内容过滤拦下了回答。"]),
    )  # fmt: skip
    refused = ({"max_tokens": 0}, {"max_turns": 0}, {"system_en": ""}, {"summary_zh": " "})
    accepted = ({"max_tokens": 1}, {"max_turns": 1})

    def parameters(self):
        return {**super().parameters(), "path": self.folder / "conversations"}


class TestRemembers(TestChat):
    """The same with a session: what was said is shown again, as much of it as the limits allow."""

    golden = ()

    def talk(self, *tasks, session="s", **params):
        """What the model was shown at the last of `tasks`, without the system message, and the answers' data."""
        pattern, data = self.build(path=self.folder / "talk", **params), []
        self.model.reply = lambda messages, tools, schema: (
            "short" if messages[0].role == "user" else f"re {messages[-1].text}"
        )
        for task in tasks:
            run = Run(session=session)
            with run.active():
                data.append(dict(pattern.run(task, run).data))
        return [part.text for m in self.model.requests[-1]["messages"][1:] for part in m.parts], data

    def test_it_keeps_its_own_promises(self):
        """Turns are shown to the limit of turns and of tokens; older ones are dropped or stand in a summary."""
        shown, data = self.talk("one", "two", "three", max_turns=1)
        assert shown == ["two", "re two", "three"]
        assert data == [{"session": "s", "turns": n, "shown": min(n, 1)} for n in range(3)]
        shown, data = self.talk("four", max_tokens=6)  # "three" and "re three" are three tokens, and two more are six
        assert shown == ["two", "re two", "three", "re three", "four"]
        assert self.talk("five", max_tokens=5)[0] == ["four", "re four", "five"]
        shown, data = self.talk("a", "b", "c", "d", session="t", max_turns=2, older="summarise")
        assert shown == ["c", "re c", "d"]
        assert data[-1] == {"session": "t", "turns": 3, "shown": 1, "summary": "short"}
        request = self.model.requests[-2]["messages"]
        assert request[0].parts[0].text == "User: a\nAssistant: re a\nUser: b\nAssistant: re b"
        assert self.model.requests[-1]["messages"][0].parts[1].kind == "data", "a summary is quoted material"
        shown, data = self.talk("e", session="t", max_turns=2, older="summarise")
        assert shown == ["c", "re c", "d", "re d", "e"]
        assert (data[-1]["summary"], len(self.model.requests)) == ("short", 1), "a summary is kept until it is too old"
        file = self.folder / "talk" / "t.jsonl"
        whole = file.read_bytes()
        for torn in (b'{"turn": "x", "user"', b"[1]"):
            file.write_bytes(whole + torn)
            assert self.talk("f", session="t")[1][-1]["turns"] == 5, (
                "a line that a crash left unfinished is passed over"
            )
        for damaged in (whole + b"[1]\n" + whole, whole[:-9] + b"\n" + whole, whole.replace(b'"v":1', b'"v":2')):
            file.write_bytes(damaged)
            with pytest.raises(StoreError, match=r"t\.jsonl:\d+.*(damaged|has version 2)"):
                self.talk("g", session="t")

    def test_replay_gives_the_same_without_a_model(self):
        """Also where the conversation goes on meanwhile."""
        pattern = self.build(session="s")
        live = lived(self.folder, lambda run: run.end(pattern.run("one", run)))
        with Run().active() as run:
            pattern.run("two", run)
        pattern = self.build(session="s")
        assert lived(self.folder, lambda run: run.end(pattern.run("one", run)), replay=True) == live
        assert not self.model.requests
