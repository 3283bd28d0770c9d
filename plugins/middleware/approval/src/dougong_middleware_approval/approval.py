"""The question, and what becomes of the answer."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from dougong import Call, Delta, Result, Secret, ToolResult
from dougong.run import active_run

from dougong_middleware_approval import Params

Items = Iterator[Delta | Result]
_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")


class Approval:
    """Asks before a tool is called. ``yes`` allows this one attempt; anything else is refused, and the model reads why.

    Whoever is asked sees the arguments whole, without secrets, and with every character that could move or hide text
    on a terminal written out. Questions of parallel branches come one after the other. Answers are in the journal.
    """

    def __init__(self, params: Params) -> None:
        self._params = params

    def around(self, call: Call, proceed: Callable[[Call], Items]) -> Items:
        """The tool's result, or a result with ``error=True``. Raises CallError where nobody can be asked."""
        p = self._params
        asks = call.effect in p.effects or any(fnmatchcase(call.name, name) for name in p.names)
        if call.kind != "tool" or not asks:
            yield from proceed(call)
            return
        run = active_run()
        assert run is not None, "middleware stands in a run"
        arguments = shown(call.arguments["arguments"])
        chinese = p.language == "zh" or (p.language == "auto" and _HAN.search(arguments) is not None)
        question = _filled(p.question_zh if chinese else p.question_en, name=call.name, arguments=arguments)
        with run.memory(self, threading.Lock):
            answer = run.ask(question, ("yes", "no"))
        if answer == "yes":
            yield from proceed(call)
            return
        refusal = _filled(p.refusal_zh if chinese else p.refusal_en, answer=answer)
        yield Result(ToolResult(refusal, error=True))


def shown(arguments: Any) -> str:
    """JSON that hides nothing: characters that move or hide text are written as escapes; secrets as ``***``."""
    text = Secret.scrub(json.dumps(arguments, ensure_ascii=False, default=str))
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _filled(template: str, **values: str) -> str:
    """`template` with its fields; one pass, so that a value that looks like a field stays a value."""
    return re.sub(r"\{(\w+)\}", lambda field: values.get(field[1], field[0]), template)
