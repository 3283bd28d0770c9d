import pytest
from dougong import CallError, Exhausted, Message
from dougong.testing import LLMConformance

DOWN = {"use": "scripted", "replies": [{"error": "the network is down"}], "strict": False}
FIRST = {
    "use": "scripted",
    "replies": [
        {"when": "How long", "text": "Refunds take one week. 👍"},
        {"when": "half", "text": "half", "error": "cut"},
    ],
    "strict": False,
}
SECOND = {
    "use": "scripted",
    "replies": [
        {"when": "屋檐", "text": "斗拱把屋檐的重量传给柱子。"},
        {"when": "integer", "text": '{"answer": 5}'},
        {"when": "2 + 3", "tool_calls": [{"name": "add", "arguments": {"a": 2, "b": 3}}]},
    ],
    "strict": False,
}


class TestFallback(LLMConformance):
    """The first model of three that can answer does. They are scripts, which count their calls in what they say."""

    name = "llm.fallback"
    params = {"of": [DOWN, FIRST, SECOND], "on": ["CallError"]}
    calling = (Message("user", "What is 2 + 3?"),)
    filling = (Message("user", "Give me an integer."),)
    failing = {"of": [DOWN, DOWN]}
    ordered = True
    golden = (
        ("How long?", "Refunds take one week. 👍"),
        ("屋檐？", "斗拱把屋檐的重量传给柱子。"),
        ({"ask": ["How long?"]},
         [["Refunds take one week. 👍", [], "stop",
           {"fallback": {"answered": "of[1]", "failed": {"of[0]": "CallError, the network is down"}}}, 3, 6]]),
        ({"ask": ["How long?"]},
         [["Refunds take one week. 👍", [], "stop", {"fallback": {"answered": "of[0]", "failed": {}}}, 3, 6]],
         {"of": [FIRST, DOWN]}),
        ({"ask": ["half"]}, ["cut"]),
        ({"ask": ["How long?"]}, ["the network is down"], {"on": ["timeout"]}),
        ({"ask": ["x"]},
         ["all 2 models failed: of[0]: CallError, the network is down; of[1]: CallError, the network is down"],
         {"of": [DOWN, DOWN]}),
    )  # fmt: skip
    refused = ({"on": []},)
    accepted = ({"of": [FIRST]}, {"on": ["rate-limit"]})

    def observe(self, built):
        """Also who answered, and why those before did not, and what is not passed on."""
        told = [delta.data.get("fallback") for delta in self.ask(built, self.other)]
        assert told[1:] == [None] * (len(told) - 1)
        return [
            *super().observe(built),
            told[0],
            self.refusal(built, "half"),
            self.refusal(self.build(on=["timeout"]), "x"),
        ]

    def refusal(self, built, text):
        try:
            return self.ask(built, (Message("user", text),))
        except Exception as error:
            return [type(error).__name__, str(error), getattr(error, "__notes__", [])]

    def test_it_keeps_its_own_promises(self):
        """Also: the last hint and the shortest wait stand for all, and the end of a budget is no model's failure."""
        super().test_it_keeps_its_own_promises()
        with pytest.raises(CallError) as caught:
            self.ask(
                self.build(
                    of=[Raises(Busy("a", 3.0)), Raises(Busy("b", 2.0)), Raises(ValueError("c"))], on=["Exception"]
                )
            )
        assert (caught.value.hint, caught.value.retry_after, caught.value.kind) == ("", 2.0, "")
        with pytest.raises(CallError) as caught:
            self.ask(self.build(of=[Raises(ValueError("c")), Raises(Busy("b", 2.0))], on=["Exception"]))
        assert (caught.value.hint, caught.value.kind) == ("hint of b", "rate-limit")
        assert "of[0]: ValueError, c; of[1]: rate-limit, b" in str(caught.value)
        with pytest.raises(Exhausted):
            self.ask(self.build(of=[Raises(Exhausted("out")), FIRST], on=["Exception"]))


class Busy(CallError):
    kind = "rate-limit"

    def __init__(self, name, seconds):
        super().__init__(name, hint=f"hint of {name}")
        self.retry_after = seconds


class Raises:
    """A model that fails before it says anything."""

    def __init__(self, error):
        self.error = error

    def chat(self, messages, tools=(), schema=None, sampling=None):
        raise self.error
        yield
