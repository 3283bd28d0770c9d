from dougong.testing import PatternConformance

EN, ZH = "The documents do not answer this.", "文档没有回答这个问题。"


class TestRAG(PatternConformance):
    name = "pattern.rag"
    golden = (
        (("How?", ["“It carries the roof of a hall.” [1] and “no” [2], see [3]"], "status", "quotes", "calls", "data"),
         ["answered", ["It carries the roof of a hall."], ["retriever", "llm"],
          {"unverified": [{"label": "2", "quote": "no"}], "uncited": ["3"]}]),
        (("如何？", ['「把屋檐的重量传给柱子」 [2]"A dougong is a bracket" [1, 2]'],
          "status", "quotes", "lines", "data"),
         ["answered", ["把屋檐的重量传给柱子", "A dougong is a bracket"], [5, 3],
          {"unverified": [{"label": "2", "quote": "A dougong is a bracket"}], "uncited": []}]),
        (("How?", ["x"], "asked"),
         [[["system", f"S {EN}"],
           ["user", "A dougong is a bracket of interlocking blocks. It carries the roof of a hall.\nHow?"]]],
         {"k": 1, "instruction_en": "S {declined}"}),
        (("如何？", ["x"], "asked"),
         [[["system", "S 无"],
           ["user", "A dougong is a bracket of interlocking blocks. It carries the roof of a hall.\n如何？"]]],
         {"k": 1, "instruction_zh": "S {declined}", "declined_zh": "无"}),
        (("How?", [EN], "status", "reason"), ["declined", "The model found no answer in the passages."]),
        (("如何？", [f" {ZH} "], "status", "reason"), ["declined", "模型未能从检索到的段落中找到答案。"]),
        (("How?", [f"{EN} Yet “It carries the roof” [1]."], "status", "quotes"), ["answered", ["It carries the roof"]]),
        (("如何？", [("截断", (), "length")], "status", "text", "reason"),
         ["stopped", "截断", "回答达到长度上限而被截断。"]),
        (("How?", [("cut “It carries” [1]", (), "length")], "status", "quotes", "reason"),
         ["stopped", ["It carries"], "The reply was cut at its maximum of tokens."]),
        (("How?", [("x", (), "content_filter")], "status", "reason"),
         ["declined", "The model's content filter withheld the answer."]),
        (("如何？", [("x", (), "content_filter")], "status", "reason"), ["declined", "模型的内容过滤拦下了回答。"]),
        (("Q“x”?", ["“a” [9] “roof” [1][2] “of a  hall” [1] “lines «not here» so” [1] bare [1]"], "quotes", "data"),
         [["roof", "of a hall"],
          {"unverified": [{"label": "9", "quote": "a"}, {"label": "2", "quote": "roof"},
                          {"label": "1", "quote": "lines «not here» so"}], "uncited": ["1"]}]),
        (("How?", ["It holds: “It carries the roof” [1][3]. It sinks: “It sinks” [1]. 又“交错叠成” [2]。So."],
          "status", "text", "quotes", "data"),
         ["answered", "It holds: “It carries the roof” [1][3]. 又“交错叠成” [2]。", ["It carries the roof", "交错叠成"],
          {"unverified": [{"label": "3", "quote": "It carries the roof"}, {"label": "1", "quote": "It sinks"}],
           "uncited": [], "dropped": ["It sinks: “It sinks” [1].", "So."]}],
         {"unverified": "drop"}),
        (("How?", ["It sinks. Bare [1]"], "status", "text", "reason", "data"),
         ["declined", EN, "No statement is borne out by the passages.",
          {"unverified": [], "uncited": ["1"], "dropped": ["It sinks. Bare [1]"]}], {"unverified": "drop"}),
        (("如何？", ["它会沉。"], "status", "text", "reason"), ["declined", ZH, "没有一个论断得到段落的支持。"],
         {"unverified": "drop"}),
        (("How?", [EN], "status", "text", "reason"),
         ["declined", EN, "The model found no answer in the passages."], {"unverified": "drop"}),
        (("How?", [("“It carries” [1] and cut", (), "length")], "status", "text"), ["stopped", "“It carries” [1]"],
         {"unverified": "drop"}),
    )  # fmt: skip
    refused = ({"k": 0}, {"instruction_en": " "}, {"declined_zh": ""})
    accepted = ({"k": 1},)
