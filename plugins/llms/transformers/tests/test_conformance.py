import pytest
from dougong import Message
from dougong.testing import LLMConformance


class TestTransformers(LLMConformance):
    """A random network that says what comes, and must call a tool where one is offered."""

    name = "llm.transformers"
    calling = (Message("user", "What is 2 + 3?"),)
    filling = (Message("user", "An integer, please."),)
    failing = {"context": 8}
    honours = ("max_tokens", "stop")
    across_processes = False  # the other process has no fixtures
    refused = ({"max_tokens": 0}, {"batch": 0}, {"context": 1}, {"adapter": "a"}, {"device": ""}, {"call_end": " "},
               {"call_begin": '{"'}, {"schema_note_en": "x"}, {"tools_note_zh": "{tools}"}, {"adapters": {"a.b": "x"}},
               {"dtype": "int8"}, {"fallback_template": ""})  # fmt: skip
    accepted = ({"max_tokens": 1}, {"batch": 1}, {"context": 2}, {"tools_note_en": ""}, {"call_begin": "[CALL]"})

    @pytest.fixture(autouse=True)
    def _saved(self, checkpoint):
        self.checkpoint = checkpoint

    def parameters(self):
        return {"folder": self.checkpoint, "max_tokens": 60, "tool_choice": "required"}


class TestAdapted(LLMConformance):
    """The bare network of a model that has none worn."""

    name = "llm.adapted"
    calling, filling = TestTransformers.calling, TestTransformers.filling
    honours = ("max_tokens", "stop")
    across_processes = False

    @pytest.fixture(autouse=True)
    def _saved(self, checkpoint):
        self.checkpoint = checkpoint

    def parameters(self):
        return {"of": {"use": "transformers", "folder": self.checkpoint, "max_tokens": 60, "tool_choice": "required"}}
