import pytest
from dougong import ConfigError, Message, Run
from dougong.testing import LLMConformance
from dougong.testing.runs import ADD

REPLIES = [
    {"when": "How long", "text": "Refunds take one week. 退款需要一周。👍"},
    {"when": "屋檐", "text": "斗拱把屋檐的重量传给柱子。", "data": {"confidence": 0.5}},
    {"when": "integer", "text": '{"answer": 5}', "usage": {"input_tokens": 4, "output_tokens": 3}},
    {"when": "2 + 3", "tool_calls": [{"name": "add", "arguments": {"a": 2, "b": 3}}]},
]


class TestScripted(LLMConformance):
    name = "llm.scripted"
    params = {"replies": REPLIES}
    calling = (Message("user", "What is 2 + 3?"),)
    filling = (Message("user", "Give me an integer."),)
    failing = {"replies": [{"text": "It will", "error": "the network is down"}]}
    ordered = True
    golden = (
        ("How long?", "Refunds take one week. 退款需要一周。👍"),
        ("anything", "第一\nsecond", {"replies": ["第一\nsecond", "third"]}),
        ({"ask": ["two words", "中文 a", "x"]},
         [["one, 二", [], "stop", {}, 2, 3], ["b", [], "length", {"k": 1}, 9, 8],
          "llm.scripted has no reply for call 3: all fitting replies are used up (2 replies); the request ends 'x'"],
         {"replies": ["one, 二", {"text": "b", "finish": "length", "data": {"k": 1},
                                  "usage": {"input_tokens": 9, "output_tokens": 8}}], "piece": 1}),
        ({"ask": ["again", "again", "no"]},
         [["a", [], "stop", {}, 1, 1]] * 2
         + ["llm.scripted has no reply for call 3: no reply's 'when' occurs in the request (1 replies); "
            "the request ends 'no'"],
         {"replies": [{"text": "a", "when": "again"}], "strict": False}),
        ({"ask": ["b b", "b", "a", "b"]},
         [["first b", [], "stop", {}, 2, 2], ["last", [], "stop", {}, 1, 1], ["for a", [], "stop", {}, 1, 2],
          ["last", [], "stop", {}, 1, 1]],
         {"replies": [{"when": "a", "text": "for a"}, {"when": "b", "text": "first b"}, "last"], "strict": False}),
        ({"ask": ["x", "x"], "tools": (ADD,)},
         [["on it", [["add", {"a": 1, "b": 2}], ["add", {}]], "tool_calls", {}, 1, 18], "off"],
         {"replies": [{"text": "on it", "tool_calls": [{"name": "add", "arguments": {"a": 1, "b": 2}},
                                                       {"name": "add"}]},
                      {"text": "half", "error": "off"}]}),
        ({"ask": ["x"]}, ["scripted reply 1 calls the tool 'add', which this request does not offer"],
         {"replies": [{"tool_calls": [{"name": "add"}]}]}),
    )  # fmt: skip
    refused = ({"replies": []}, {"replies": [3]}, {"replies": [{"texts": "a"}]}, {"piece": 0},
               {"replies": [{"tool_calls": [{"id": "1"}]}]}, {"replies": [{"tool_calls": [{"name": "a", "x": 1}]}]},
               {"replies": [{"tool_calls": ["a"]}]})  # fmt: skip
    accepted = ({"piece": 1}, {"replies": [{}, "a", {"tool_calls": []}]})

    def test_it_keeps_its_own_promises(self):
        """Also: mistakes are named by the reply's number, and a test can ask which replies are left."""
        super().test_it_keeps_its_own_promises()
        for wrong in (3, {"texts": "a"}, {"tool_calls": ["a"]}):
            with pytest.raises(ConfigError, match="reply 2"):
                self.build(replies=["fine", wrong])
        llm, run = self.build(replies=["one", {"text": "two", "when": "b"}, "three"], strict=False), Run()
        with run.active():
            said = ["".join(delta.text for delta in llm.chat([Message("user", text)])) for text in ("b", "a", "a")]
        assert said == ["one", "three", "three"]
        assert (llm.unused(run), llm.unused(), llm.unused(Run())) == ([2], [1, 2, 3], [1, 2, 3])
