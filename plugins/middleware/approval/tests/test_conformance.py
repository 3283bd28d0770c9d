from dougong.testing import MiddlewareConformance

NO = "The person in charge did not allow this call; it was not made. Answer: not now"
NO_ZH = "负责人没有同意这次调用，调用没有执行。答复：not now"


class TestApproval(MiddlewareConformance):
    name = "middleware.approval"
    golden = (
        ([("tool", "roof", "is up"), ("writer", "roof", "built")], [[["roof"], "is up"], [["roof"], "built"]]),
        ([("person", "not now"), ("writer", "roof", "x"), ("writer", "屋顶", "x"), ("tool", "a", "b"),
          ("llm", "a", "b")],
         [[[], NO], [[], NO_ZH], [["a"], "b"], [["a"], "b"]]),
        ([("person", "not now"), ("tool", "roof", "up"), ("writer", "roof", "x")],
         [[[], NO], [["roof"], "x"]], {"effects": ["read"]}),
        ([("person", "not now"), ("tool", "roof", "up")], [[[], NO_ZH]], {"names": ["*.tool"], "language": "zh"}),
        ([("person", "no"), ("writer", "a", "b"), ("person", "yes"), ("writer", "a", "b")],
         [[[], "{name}: no"], [["a"], "b"]], {"refusal_en": "{name}: {answer}"}),
        ([("writer", "a\u202eb{name}", "x"), ("writer", "屋", "x"), ("seen",)],
         [[["a\u202eb{name}"], "x"], [["屋"], "x"],
          {"slept": [], "asked": ['Call kit.writer with {"word": "a\\u202eb{name}"}?',
                                  '调用 kit.writer，参数为 {"word": "屋"}，可以吗？']}]),
        ([("writer", "a", "x"), ("seen",)], [[["a"], "x"], {"slept": [], "asked": ['zh kit.writer {"word": "a"}']}],
         {"question_zh": "zh {name} {arguments}", "language": "zh"}),
    )  # fmt: skip
    refused = ({"question_en": "{name}"}, {"question_zh": "{arguments}"}, {"refusal_en": ""}, {"refusal_zh": ""})
    accepted = ({"question_en": "{name}{arguments}"}, {"refusal_zh": "x"})
