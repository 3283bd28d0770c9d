from dougong import CallError
from dougong.testing import MiddlewareConformance


class Busy(CallError):
    """A server's wish to be left alone for so many seconds."""

    kind, status = "rate-limit", 429

    def __init__(self, seconds=None):
        super().__init__("slow down", hint="wait")
        self.retry_after = seconds


class TestRetry(MiddlewareConformance):
    name = "middleware.retry"
    params = {"base": 0.0, "on": ["CallError", "ValueError"]}
    tight = {"on": ["CallError"]}
    may_repeat = True
    golden = (
        ([("llm", "hi", ValueError("1"), ValueError("2"), "there")], [[["hi"] * 3, "there"]]),
        ([("llm", "hi", *[ValueError("no")] * 3)], [[["hi"] * 3, "ValueError"]]),
        ([("tool", "roof", ValueError("1"), "up")], [[["roof"] * 2, "up"]]),
        ([("llm", "hi", KeyError("1"), "there")], [[["hi"], "KeyError"]]),
        ([("writer", "roof", ValueError("1"), "up")], [[["roof"], "ValueError"]]),
        ([("writer", "roof", ValueError("1"), "up")], [[["roof"] * 2, "up"]], {"writes": True}),
        ([("llm", "hi", ValueError("1"), "there")], [[["hi"], "ValueError"]], {"attempts": 1}),
        ([("llm", "hi", ValueError("1"), "x"), ("tool", "y", ValueError("1"), "z")],
         [[["hi"], "ValueError"], [["y"] * 2, "z"]], {"names": ["*.tool"]}),
        ([("llm", "hi", Busy(3), Busy(3), "x"), ("seen", "retry")],
         [[["hi"] * 3, "x"], {"slept": [5.0, 7.0], "asked": [], "retry": 2}], {"base": 2.0, "on": ["rate-limit"]}),
        ([("llm", "hi", *[Busy()] * 4, "x"), ("seen",)],
         [[["hi"] * 5, "x"], {"slept": [4.0, 8.0, 10.0, 10.0], "asked": []}],
         {"base": 4.0, "longest": 10.0, "attempts": 5, "on": ["429"]}),
        ([("llm", "hi", Busy(10), "x"), ("llm", "a", Busy(11), "y"), ("seen",)],
         [[["hi"] * 2, "x"], [["a"], "Busy"], {"slept": [10.0], "asked": []}],
         {"longest": 10.0, "base": 4.0, "on": ["Busy"]}),
        ([("llm", "hi", Busy(), "x"), ("seen",)], [[["hi"], "Busy"], {"slept": [], "asked": []}], {"on": ["timeout"]}),
    )  # fmt: skip
    refused = ({"attempts": 0}, {"on": []}, {"names": []}, {"base": -0.1}, {"base": 2.0, "longest": 1.9})
    accepted = ({"attempts": 1}, {"base": 2.0, "longest": 2.0}, {"base": 0.0, "longest": 0.0})
