"""middleware.approval: a person is asked before a tool is called."""

from __future__ import annotations

from typing import Any, Literal

import attrs
from dougong import Technique, hookimpl

QUESTION_EN = "Call {name} with {arguments}?"
QUESTION_ZH = "调用 {name}，参数为 {arguments}，可以吗？"
REFUSAL_EN = "The person in charge did not allow this call; it was not made. Answer: {answer}"
REFUSAL_ZH = "负责人没有同意这次调用，调用没有执行。答复：{answer}"


def _shows_arguments(instance: Any, attribute: Any, value: str) -> None:
    if "{name}" not in value or "{arguments}" not in value:
        raise ValueError("must hold {name} and {arguments}; who answers must see what is allowed")


@attrs.frozen
class Params:
    """What is asked about, and in which words.

    effects: tools of these effects are asked about. names: and those whose config path fits one of these patterns.
    language: of question and refusal; ``auto`` takes Chinese where the arguments hold a Chinese character.
    question_en, question_zh: what the person is asked; ``{name}`` and ``{arguments}`` (JSON) are filled in.
    refusal_en, refusal_zh: what the model is told; ``{answer}`` is what the person said.
    """

    effects: list[Literal["read", "write"]] = attrs.field(factory=lambda: ["write"])
    names: list[str] = attrs.field(factory=list)
    language: Literal["auto", "en", "zh"] = "auto"
    question_en: str = attrs.field(default=QUESTION_EN, validator=_shows_arguments)
    question_zh: str = attrs.field(default=QUESTION_ZH, validator=_shows_arguments)
    refusal_en: str = attrs.field(default=REFUSAL_EN, validator=attrs.validators.min_len(1))
    refusal_zh: str = attrs.field(default=REFUSAL_ZH, validator=attrs.validators.min_len(1))


@hookimpl
def dougong_middleware() -> list[Technique]:
    return [
        Technique(
            "approval",
            Params,
            "dougong_middleware_approval.approval:Approval",
            summary="A person is asked before a tool that changes the world outside is called.",
            source="dougong; human-in-the-loop authorisation as in AutoGPT and openai-agents",
        )
    ]
