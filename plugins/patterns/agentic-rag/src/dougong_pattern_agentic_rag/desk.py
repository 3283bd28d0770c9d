"""What every step of a run shares: the question, its language, decisions by the model, and the record of it all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from dougong import Hit, Part, Run
from dougong_analyzer import language

from dougong_pattern_agentic_rag import Params
from dougong_pattern_agentic_rag.ask import decided, messages
from dougong_pattern_agentic_rag.plan import Step, Unusable

T = TypeVar("T")

_REASONS = {
    "nothing": ("No passage was found for the question.", "没有检索到与问题相关的段落。"),
    "missing": ("The sources do not hold what the question needs", "资料中没有问题所需的内容"),
    "unsupported": ("No statement of the answer is borne out by the passages.", "回答中没有一个论断得到段落的支持。"),
    "unclear": ("The question can be understood in different ways.", "这个问题可以有不同的理解。"),
    "cut": ("The reply was cut at its maximum of tokens.", "回答达到长度上限而被截断。"),
    "filter": ("The model's content filter withheld the answer.", "模型的内容过滤拦下了回答。"),
    "empty": ("The model replied with nothing.", "模型的回复是空的。"),
    "tool": ("The tool failed and there is no source to search", "工具调用失败，也没有可检索的资料来源"),
}


class Desk:
    """One run's question and what is known of it. `data` becomes the answer's.

    Branches only read it and give back values; it is changed between them, so that a run replays. `degraded` alone may
    grow in a branch, and is put in order at the end.
    """

    def __init__(self, params: Params, task: str, run: Run) -> None:
        self.p, self.run = params, run
        self.task = self.question = task
        self.chinese = language(task) == "zh"
        self.prompts = params.prompts_zh if self.chinese else params.prompts_en
        self.data: dict[str, Any] = {"route": "single", "corrections": [], "degraded": []}

    def decide(
        self,
        step: str,
        prompt: str,
        data: Sequence[Part],
        schema: Mapping[str, Any],
        read: Callable[[dict[str, Any]], T],
    ) -> T | None:
        """The model's decision; None, and named in ``degraded``, where it makes none that can be read."""
        try:
            return decided(self.p.llm, messages(prompt, data, self.task), schema, read, self.prompts.retry)
        except Unusable as error:
            self.run.emit("degraded", step=step, reason=str(error))
            self.data["degraded"].append({"step": step, "reason": str(error)})
            return None

    def correct(self, cause: str, action: str, step: Step | None = None) -> None:
        """Take note that something failed, and what is done about it."""
        done = {"cause": cause, "action": action, **({"step": step.id} if step else {})}
        self.run.emit("correct", **done)
        self.data["corrections"].append(done)

    def put(self) -> list[Part]:
        """The question in full, where it was put so."""
        return [Part(self.question, "data", "question")] if self.question != self.task else []

    def listed(self, prompt: str) -> str:
        """`prompt` with the sources in it."""
        return prompt.replace("{sources}", listing({name: self.p.about.get(name, "") for name in self.p.sources}))

    def limits(self, prompt: str, questions: int, hops: int) -> str:
        """`prompt` with how much may be asked in it."""
        return prompt.replace("{questions}", str(questions)).replace("{hops}", str(hops))

    def reason(self, key: str) -> str:
        """Why an answer is none, in the language of the task."""
        return _REASONS[key][self.chinese]


def listing(named: Mapping[str, str]) -> str:
    """Names with what is said about them, a line each."""
    return "\n".join(f"- {name}: {about}" if about else f"- {name}" for name, about in named.items()) or "-"


def name_of(hit: Hit) -> tuple[str, str]:
    """What a passage is known by: ids are unique in one library only."""
    return hit.chunk.id, hit.chunk.text


def passage(hit: Hit, label: int) -> Part:
    """A passage as a model sees it."""
    return Part(hit.chunk.text, "data", str(label), {"headings": list(hit.chunk.headings)})


def labelled(hits: Sequence[Hit]) -> list[Part]:
    """Passages by number, from 1."""
    return [passage(hit, label) for label, hit in enumerate(hits, 1)]
