from dougong import Delta, Message, ToolCall
from dougong.testing import MiddlewareConformance
from dougong.testing.runs import Model, through


def asking_inside():
    """Hits that took a model to find."""
    return list(through("llm", Model(lambda *request: "x"), "kit.inner").chat([Message("user", "a")]))[:0]


class TestBudget(MiddlewareConformance):
    name = "middleware.budget"
    params = {"tokens": 100_000, "steps": 100}
    changes = ("sampling",)
    tight = {"model_calls": 2, "tool_calls": 2}
    golden = (
        ([("llm", "a", "b"), ("llm", "c", "d"), ("tool", "e", "f")],
         [[["a"], "b"], [[], "Exhausted"], [["e"], "f"]], {"steps": 1}),
        ([("tool", "a", "b"), ("writer", "c", "d"), ("llm", "e", "f"), ("retriever", "g", [])],
         [[["a"], "b"], [[], "Exhausted"], [["e"], "f"], [["g"], []]], {"tool_calls": 1}),
        ([("llm", "a", ValueError("lost"), "b"), ("llm", "a", "b")],
         [[["a"], "ValueError"], [[], "Exhausted"]], {"model_calls": 1}),
        ([("llm", "a", "b")], [[[], "Exhausted"]], {"tokens": 100, "max_output": 100}),
        ([("llm", "a", "b")] * 3, [[["a"], "b"]] * 3, {"tokens": 200, "max_output": 100}),
        ([("llm", "a", "b")] * 5, [[["a"], "b"]] * 4 + [[[], "Exhausted"]], {"tokens": 20, "max_output": 5}),
        ([("llm", "a", "b")] * 5, [[["a"], "b"]] * 4 + [[[], "Exhausted"]],
         {"money": 20.0, "max_output": 5, "prices": {"*.llm": {"input": 1e6, "output": 1e6}}}),
        ([("llm", "a", "b")] * 3, [[["a"], "b"]] * 2 + [[[], "Exhausted"]],
         {"money": 30.0, "max_output": 5,
          "prices": {"no": {"input": 9e9, "output": 0}, "*": {"input": 0, "output": 5e6}}}),
        ([("llm", "中文中文中文", "b")], [[[], "Exhausted"]], {"tokens": 18, "max_output": 5}),
        ([("llm", "中文中文中文", "b")], [[["中文中文中文"], "b"]], {"tokens": 19, "max_output": 5}),
        ([("llm", "a", "b"), ("tool", "a", "b")], [[[], "Exhausted"]] * 2, {"seconds": 1e-9}),
        ([("llm", "a", "b")] * 3, [[["a"], "b"]] * 3, {"seconds": 600.0}),
        ([("llm", "a", [Delta("1234567")]), ("llm", "a", "b")], [[["a"], "1234567"], [["a"], "b"]],
         {"tokens": 25, "max_output": 5}),  # the request of 9 and its 2 tokens are estimated where no usage came
        ([("llm", "a", [Delta("12345678")]), ("llm", "a", "b")], [[["a"], "12345678"], [[], "Exhausted"]],
         {"tokens": 25, "max_output": 5}),
        ([("llm", "a", [Delta(tool_calls=(ToolCall("c", "f", {"x": 1}),))]), ("llm", "a", "b")],
         [[["a"], ""], [[], "Exhausted"]], {"tokens": 25, "max_output": 5}),
        ([("retriever", "q", asking_inside), ("retriever", "q", asking_inside), ("llm", "a", "b"), ("llm", "a", "b")],
         [[["q"], []], [["q"], []], [["a"], "b"], [[], "Exhausted"]], {"steps": 1}),
        ([("retriever", "q", asking_inside), ("retriever", "q", asking_inside)], [[["q"], []], [["q"], "Exhausted"]],
         {"model_calls": 1}),
        ([("llm", "a", ValueError("x")), ("llm", "a", "b")], [[["a"], "ValueError"], [["a"], "b"]],
         {"tokens": 14, "max_output": 5}),
    )  # fmt: skip
    refused = tuple(
        {name: 0} for name in ("steps", "model_calls", "tool_calls", "tokens", "money", "seconds", "max_output")
    )
    accepted = ({"steps": 1}, {"model_calls": 1}, {"tool_calls": 1}, {"tokens": 1}, {"money": 0.01}, {"max_output": 1})

    def test_the_params_are_right(self) -> None:
        """A budget has at least one limit, whichever: without any it is refused, and the message says so."""
        (problem,) = self.problems(tokens=None, steps=None)
        assert "at least one of steps, model_calls" in f"{problem}"
