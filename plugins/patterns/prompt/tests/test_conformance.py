from dougong.testing import PatternConformance

ASKED = ("status", "text", "reason", "calls", "asked")
EXAMPLE = {"input": "a", "output": "b"}
EN, ZH = {"instruction": "SYS"}, {"texts_zh": {"think": "想。", "extract": "答？", "instruction": "系统"}}


class TestPrompt(PatternConformance):
    name = "pattern.prompt"
    golden = (
        (("Sum {x}", ["5"], *ASKED), ["answered", "5", "", ["llm"], [["system", "SYS"], ["user", "Sum {x}"]]], EN),
        (("求和", ["想一想", "5"], *ASKED),
         ["answered", "5", "", ["llm"] * 2,
          [["system", "系统"], ["user", "求和\n\n想。"], ["assistant", "想一想"], ["user", "答？"]]],
         {"chain_of_thought": True, **ZH}),
        (("in {x}", ["out"], *ASKED),
         ["answered", "out", "", ["llm"],
          [["system", "Be me."], ["user", "<a>"], ["assistant", "b"], ["user", "ctx me {x}\n<in {x}>"]]],
         {"examples": [EXAMPLE], "context": "ctx {who} {{x}}", "fields": {"who": "me"}, "instruction": "Be {who}.",
          "template": "<{input}>"}),
        (("q", ["out"], *ASKED),
         ["answered", "out", "", ["llm"], [["system", "SYS"], ["user", "Input: a\nOutput: b\nInput: q\nOutput:"]]],
         {"examples": [EXAMPLE], "examples_as": "text", **EN}),
        (("q", ["r", "out"], *ASKED),
         ["answered", "out", "", ["llm"] * 2,
          [["system", "SYS"], ["user", "Input: a\nOutput: since\n\nb\nInput: q\nOutput: Let's think step by step."],
           ["assistant", "r"], ["user", "Therefore, the answer is? Reply with the answer only."]]],
         {"examples": [{**EXAMPLE, "reasoning": "since"}], "examples_as": "text", "chain_of_thought": True, **EN}),
        (("q", ["r", "out"], "data"),
         [{"prompt": [{"role": role, "parts": [{"kind": "text", "text": text}]}
                      for role, text in (("system", "SYS"), ("user", "q\n\nLet's think step by step."),
                                         ("assistant", "r"),
                                         ("user", "Therefore, the answer is? Reply with the answer only."))],
           "reasoning": "r"}],
         {"chain_of_thought": True, **EN}),
        (("q", ['{"a": [1]}'], "text", "data"),
         ['{"a": [1]}', {"prompt": [{"role": "system", "parts": [{"kind": "text", "text": "SYS"}]},
                                    {"role": "user", "parts": [{"kind": "data", "text": "c"},
                                                               {"kind": "text", "text": "q"}]}],
                         "value": {"a": [1]}}],
         {"schema": {"type": "object"}, "context": "c", **EN}),
        (("q", [("half", (), "length")], "status", "text", "reason"),
         ["stopped", "half", "The reply was cut at its maximum of tokens."]),
        (("问", [("half", (), "length")], "status", "reason"), ["stopped", "回答达到长度上限而被截断。"]),
        (("q", [("x", (), "content_filter")], "status", "reason"),
         ["declined", "The model's content filter withheld the answer."]),
        (("问", [("x", (), "content_filter")], "status", "reason"), ["declined", "模型的内容过滤拦下了回答。"]),
        (("问", [""], "status", "reason"), ["stopped", "模型的回复是空的。"]),
        (("q", [" \n"], "status", "reason"), ["stopped", "The model replied with nothing."]),
    )  # fmt: skip
    refused = (
        {"template": "no field"},
        {"examples": [{"input": "a"}]},
        {"examples": [{**EXAMPLE, "reasoning": "only with chain_of_thought"}]},
        {"examples": [{**EXAMPLE, "x": "y"}]},
        {"fields": {"input": "x"}},
    )
    accepted = ({"template": "{input}"}, {"examples": [EXAMPLE]}, {"instruction": "a", "fields": {"unused": "x"}})
