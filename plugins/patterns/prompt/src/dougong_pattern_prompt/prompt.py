"""From the parts to messages, and from the reply to the answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from dougong import Answer, CallError, Exhausted, Message, Part, Run
from dougong_analyzer import language

from dougong_pattern_prompt import FIELD, Params, Texts


def fill(template: str, values: Mapping[str, str]) -> str:
    """`template` with its fields replaced, in one pass: braces in a value are never looked into."""
    return FIELD.sub(lambda match: f"{{{match[1]}}}" if match[1] else values.get(match[2], match[0]), template)


@attrs.define
class Reply:
    text: str = ""
    finish: str = ""


class Prompt:
    """Asks once, or with chain of thought twice: "think step by step", then for the answer alone.

    `Answer.data` holds ``prompt``, the messages of the last request as plain data, ``reasoning`` where there is one
    and, with a schema, ``value``. A ``prompt`` event carries the messages of each request. Source: Brown et al. 2020;
    Wei et al. 2022 (examples with reasoning); Kojima et al. 2022 (zero-shot, two stages).
    """

    def __init__(self, params: Params) -> None:
        self._params = params

    def run(self, task: str, run: Run) -> Answer:
        """The answer to `task`. Raises CallError for an empty task, for a reply that a schema wanted as JSON and that
        is none, and what the model raises."""
        if not task.strip():
            raise CallError("the task is empty", hint="say what is to be done")
        p = self._params
        chinese = language(task) == "zh"
        texts = p.texts_zh if chinese else p.texts_en
        messages = self.messages(task, texts)
        data: dict[str, Any] = {}
        reply = Reply()
        try:
            if p.chain_of_thought:
                reasoning = Reply()
                self._ask(messages, reasoning, data, run, final=False)
                data["reasoning"] = reasoning.text
                messages += [Message("assistant", reasoning.text), Message("user", texts.extract)]
            self._ask(messages, reply, data, run, final=True)
        except Exhausted as error:
            return Answer(reply.text, status="stopped", reason=error.message, usage=run.usage, data=data)
        return self._answer(reply, data, run, chinese)

    def messages(self, task: str, texts: Texts) -> list[Message]:
        """The prompt for `task`: what the first request sends."""
        p = self._params
        values = {**p.fields, "input": task}
        shown = [(fill(p.template, {**p.fields, "input": e["input"]}), _output(e)) for e in p.examples]
        asked = fill(p.template, values)
        parts = [Part(fill(p.context, p.fields), "data", "context")] if p.context else []
        turns: list[Message] = []
        if p.examples_as == "turns":
            for given, wanted in shown:
                turns += [Message("user", given), Message("assistant", wanted)]
        elif shown:
            parts.append(Part("\n\n".join(fill(texts.example, {"input": a, "output": b}) for a, b in shown)))
            asked = fill(texts.example, {"input": asked, "output": ""}).rstrip()
        if p.chain_of_thought:
            asked += f"\n\n{texts.think}" if p.examples_as == "turns" or not shown else f" {texts.think}"
        parts.append(Part(asked))
        system = fill(p.instruction, p.fields) if p.instruction.strip() else texts.instruction
        content = asked if len(parts) == 1 else tuple(parts)
        return [Message("system", system), *turns, Message("user", content)]

    def _ask(self, messages: Sequence[Message], reply: Reply, data: dict[str, Any], run: Run, *, final: bool) -> None:
        p, sent = self._params, tuple(messages)
        data["prompt"] = [
            {"role": message.role, "parts": [{"kind": part.kind, "text": part.text} for part in message.parts]}
            for message in sent
        ]
        run.emit("prompt", messages=sent)
        for delta in p.llm.chat(sent, schema=p.schema if final else None, sampling=p.sampling):
            reply.text += delta.text
            reply.finish = delta.finish or reply.finish
            if delta.text and final:  # the reasoning is no part of the answer
                run.say(delta.text)

    def _answer(self, reply: Reply, data: dict[str, Any], run: Run, chinese: bool) -> Answer:
        if reply.finish == "content_filter":
            reason = "模型的内容过滤拦下了回答。" if chinese else "The model's content filter withheld the answer."
            return Answer(reply.text, status="declined", reason=reason, usage=run.usage, data=data)
        reason = ""
        if reply.finish == "length":
            reason = "回答达到长度上限而被截断。" if chinese else "The reply was cut at its maximum of tokens."
        elif not reply.text.strip():
            reason = "模型的回复是空的。" if chinese else "The model replied with nothing."
        if reason:
            return Answer(reply.text, status="stopped", reason=reason, usage=run.usage, data=data)
        if self._params.schema is not None:
            try:
                data["value"] = json.loads(reply.text)
            except ValueError as error:
                raise CallError(
                    f"the reply is not JSON: {error}: {reply.text[:200]!r}",
                    hint="use a model that holds to a schema; llm.openai has schema_mode",
                ) from None
        return Answer(reply.text, usage=run.usage, data=data)


def _output(example: Mapping[str, str]) -> str:
    """What the example's model said: with a reasoning, that first."""
    return f"{example['reasoning']}\n\n{example['output']}" if "reasoning" in example else example["output"]
