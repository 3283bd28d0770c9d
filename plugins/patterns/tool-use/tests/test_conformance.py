import pytest
from dougong import BuildError, ToolCall, ToolResult
from dougong.testing import PatternConformance
from dougong.testing.runs import Lookup


def look(word, id="c1", name="lookup"):
    return ToolCall(id, name, {"word": word})


FACT = "x is a fact. TOOL-SAYS-OBEY-ME"
NEVER = "The call was not made: it gave the same result each time. Do something else, or answer."
EN = {"instruction_en": "SYS"}
Y = FACT.replace("x", "y", 1)


def step(text, *calls):
    names = ("name", "arguments", "result", "error")
    return {
        "text": text,
        "calls": [dict(zip(names, ("lookup", {"word": word}, result, error))) for word, result, error in calls],
    }


class TestToolUse(PatternConformance):
    name = "pattern.tool-use"
    golden = (
        (("Q", [("let me", (look("x"),), ""), "A"], "status", "text", "calls", "data", "asked"),
         ["answered", "A", ["llm", "tool", "llm"], {"steps": [step("let me", ("x", FACT, False)), step("A")]},
          [["system", "SYS"], ["user", "Q"], ["assistant", "let me"], ["tool", FACT]]], EN),
        (("问", [("", (look("x", name="nope"),), ""), "答"], "calls", "asked"),
         [["llm", "llm"],
          [["system", "系统"], ["user", "问"], ["assistant", ""],
           ["tool", "没有名为 nope 的工具。可用的工具：lookup。"]]],
         {"instruction_zh": "系统"}),
        (("Q", [("", (look("x", name="nope"),), ""), "A"], "asked"),
         [[["system", "SYS"], ["user", "Q"], ["assistant", ""], ["tool", "no nope: lookup"]]],
         {**EN, "notes_en": {"unknown": "no {name}: {tools}"}}),
        (("Q", [("a", (look("x"),), ""), ("b", (look("y"),), ""), "fin"], "status", "text", "reason", "data", "asked"),
         ["stopped", "fin", "The 2 steps were used up.",
          {"steps": [step("a", ("x", FACT, False)), step("b", ("y", Y, False)), step("fin")]},
          [["system", "SYS"], ["user", "Q"], ["assistant", "a"], ["tool", FACT], ["assistant", "b"], ["tool", Y],
           ["user", "END"]]],
         {**EN, "steps": 2, "notes_en": {"finish": "END"}}),
        (("问", [("", (look("x"),), ""), "完"], "status", "text", "reason"), ["stopped", "完", "1 步已用完。"],
         {"steps": 1}),
        (("Q", [("", (look("x"),), "")] * 4 + ["fin"], "status", "reason", "calls", "data", "asked"),
         ["stopped", "The model kept repeating one call.", ["llm", "tool", "llm", "tool", "llm", "llm", "llm"],
          {"steps": [step("", ("x", FACT, False))] * 2 + [step("", ("x", NEVER, True))] * 2 + [step("fin")]},
          [["system", "SYS"], ["user", "Q"], ["assistant", ""], ["tool", FACT], ["assistant", ""],
           ["tool", f"AGAIN\n{FACT}"], *[["assistant", ""], ["tool", NEVER]] * 2, ["user", "END"]]],
         {**EN, "repeats": 2, "notes_en": {"repeated": "AGAIN", "finish": "END"}}),
        (("问", [("", (look("x"),), "")] * 4 + ["完"], "reason"), ["模型反复发出同一个调用。"], {"repeats": 2}),
        (("Q", [("", (look("x"),), ""), ("", (look("y"),), ""), ("", (look("x"),), ""), "fin"], "status", "calls"),
         ["answered", ["llm", "tool"] * 3 + ["llm"]]),
        (("Q", [("", (look("x", "a"), look("y", "b")), ""), "fin"], "paths", "data", "asked"),
         [["0", "1[0].0", "1[1].0", "2"], {"steps": [step("", ("x", FACT, False), ("y", Y, False)), step("fin")]},
          [["system", "SYS"], ["user", "Q"], ["assistant", ""], ["tool", FACT], ["tool", Y]]], EN),
        (("Q", [("", (look("x" * 150),), ""), "fin"], "asked"),
         [[["system", "SYS"], ["user", "Q"], ["assistant", ""], ["tool", "x" * 100 + "\ncut 79"]]],
         {**EN, "max_result": 100, "notes_en": {"cut": "cut {count}"}}),
        (("Q", [("", (look("x" * 71),), ""), "fin"], "asked"),
         [[["system", "SYS"], ["user", "Q"], ["assistant", ""], ["tool", f"{'x' * 71}{FACT[1:]}"]]],
         {**EN, "max_result": 100}),
        (("问", [""], "status", "reason"), ["stopped", "模型的回复是空的。"]),
        (("Q", [" "], "status", "reason"), ["stopped", "The model replied with nothing."]),
        (("问", [("x", (), "length")], "status", "text", "reason"), ["stopped", "x", "回答达到长度上限而被截断。"]),
        (("Q", [("x", (), "length")], "status", "reason"), ["stopped", "The reply was cut at its maximum of tokens."]),
        (("问", [("x", (), "content_filter")], "status", "reason"), ["declined", "模型的内容过滤拦下了回答。"]),
        (("Q", [("x", (), "content_filter")], "status", "text", "reason"),
         ["declined", "x", "The model's content filter withheld the answer."]),
    )  # fmt: skip
    refused = ({"steps": 0}, {"repeats": 1}, {"max_result": 99}, {"instruction_en": " "}, {"instruction_zh": ""})
    accepted = ({"steps": 1}, {"repeats": 2}, {"max_result": 100})

    def test_it_keeps_its_own_promises(self):
        """Also: writes come one after the other, failures are told to the model, and tools have names of their own."""
        super().test_it_keeps_its_own_promises()
        writes, fails = Lookup(), Lookup()
        writes.effect, fails.call = "write", lambda arguments: ToolResult(str(1 // 0))
        replies = [("", (look("x", "a"), look("y", "b")), ""), "fin"]
        assert self.answer(self.build(tools=[writes]), ("Q", replies, "paths")) == [["0", "1", "2", "3"]]
        data = self.answer(self.build(tools=[fails]), ("Q", [("", (look("x"),), ""), "fin"], "data"))[0]
        wrong = {"result": "ZeroDivisionError: integer division or modulo by zero", "error": True}
        assert data["steps"][0]["calls"][0].items() >= wrong.items()
        with pytest.raises(BuildError, match="two tools are called 'lookup'"):
            self.build(tools=[Lookup(), Lookup()])
