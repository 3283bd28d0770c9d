"""Rules from a model: what it is shown, how its rules are tried, what is written down."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from dougong import CallError, Document, Message, Part, Tokenizer
from dougong.origin import origin
from dougong_analyzer import language

from dougong_chunker_llm_rules import Params
from dougong_chunker_llm_rules.engine import Engine, covered
from dougong_chunker_llm_rules.rules import DEEPEST, MOST_RULES, Rules, Unusable, check_lines, parse, unusable

VERSION = 1
_TASK = {"en": "each passage treats one subject", "zh": "每个段落只讲一个主题"}
_SHOWN = 6  # documents, at most, of which excerpts are shown
_REGEX = {"type": "string", "minLength": 1}
_RULE = {
    "name": {"type": "string"},
    "level": {"type": "integer", "minimum": 1, "maximum": DEEPEST},
    "regex": _REGEX,
    "keep_with_next": {"type": "boolean"},
}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "rules": {
            "type": "array",
            "items": {"type": "object", "properties": _RULE, "required": list(_RULE), "additionalProperties": False},
            "minItems": 1,
            "maxItems": MOST_RULES,
        },
        "ignore": {"type": "array", "items": _REGEX, "maxItems": MOST_RULES},
        "max": {"type": "integer", "minimum": 1},
    },
    "required": ["rules", "ignore", "max"],
    "additionalProperties": False,
}


class RulesError(CallError):
    """The model wrote no rules that can be used. The message holds the last reason."""


def learn(params: Params, documents: Sequence[Document]) -> dict[str, Any]:
    """What the file of rules holds: asks for rules until they pass, ``retries`` times again at most.

    Every third document is held out: never shown, part of the check. Of one document alone the model sees excerpts, and
    all of it is the check. Raises RulesError, and what the model raises.
    """
    documents = [document for document in documents if document.text.strip()]
    if not documents:
        raise RulesError("there is no text to learn rules from", hint="give documents that are not empty")
    numbers = [number for number in range(len(documents)) if number % 3 != 2][: 1 if len(documents) == 2 else _SHOWN]
    shown = [documents[number] for number in numbers]
    held = [document for number, document in enumerate(documents) if number not in numbers] or documents
    lang = "zh" if language(params.task or documents[0].text) == "zh" else "en"
    prompt, retry = (params.prompt_zh, params.retry_zh) if lang == "zh" else (params.prompt_en, params.retry_en)
    prompt = prompt.replace("{task}", params.task or _TASK[lang]).replace("{size}", str(params.size))
    excerpts = tuple(
        Part(excerpt(document.text, params.sample // len(shown), params.tokenizer), "data", str(number))
        for number, document in enumerate(shown, 1)
    )
    messages = [Message("system", prompt), Message("user", excerpts)]
    reason: Unusable | None = None
    for _ in range(params.retries + 1):
        reply = "".join(delta.text for delta in params.llm.chat(messages, schema=SCHEMA))
        try:
            rules = parse(_json(reply, lang), lang)
            check_lines(rules, [document.text for document in documents], lang)
            check = tried(rules, params, held, lang)
        except Unusable as problem:
            reason = problem
            said = retry.replace("{reason}", str(problem))
            messages = [*messages[:2], Message("assistant", reply), Message("user", said)]
            continue
        check = {"documents": len(documents), "held_out": len(documents) - len(shown), **check}
        return {"version": VERSION, "made_for": made_for(params), **rules.as_data(), "check": check}
    raise RulesError(
        f"the model wrote no rules that can be used, after {params.retries + 1} replies: {reason}",
        hint=f"say more in 'task', take a stronger model, lower 'coverage', or write {params.rules} by hand",
    )


def tried(rules: Rules, params: Params, documents: Sequence[Document], lang: str) -> dict[str, Any]:
    """How the rules do on documents: coverage, and a histogram of chunk sizes. Raises Unusable below the coverage."""
    engine = Engine(rules, params.size, params.tokenizer)
    good = total = largest = 0
    tenths = [0] * 10
    for document in documents:
        pieces = list(engine.cut(document))
        for piece in pieces:
            largest = max(largest, piece.tokens)
            tenths[min(9, piece.tokens * 10 // (engine.size + 1))] += 1
        some, all_ = covered(pieces, document.text)
        good, total = good + some, total + all_
    share = good / total
    if share < params.coverage:
        raise unusable(lang, "coverage", share=share, least=params.coverage)
    return {"coverage": round(share, 4), "chunks": sum(tenths), "sizes_in_tenths_of_max": tenths, "largest": largest}


def made_for(params: Params) -> dict[str, str]:
    """The task and the model that rules are written for and by, in words and as a hash."""
    built = origin(params.llm)
    settings = dict(built.params) if built else {}
    model = " ".join(
        filter(None, [built.technique if built else type(params.llm).__name__, str(settings.get("model", ""))])
    )
    digest = sha256(json.dumps([params.task, settings], sort_keys=True, default=str).encode()).hexdigest()
    return {"task": params.task, "model": model, "sha256": digest}


def excerpt(text: str, tokens: int, tokenizer: Tokenizer) -> str:
    """At most about `tokens` of `text`, in whole lines where they are short: two thirds from its front, the rest from
    its middle, where headings look as they mostly do."""
    offsets = tokenizer.offsets(text)
    if len(offsets) <= tokens:
        return text
    front = _line_end(text, int(offsets[max(0, tokens * 2 // 3 - 1), 1]))
    middle = bisect_right(offsets[:, 0], max(front, len(text) // 2))
    if middle >= len(offsets):
        return text[:front]
    begin = _line_end(text, int(offsets[middle, 0]))
    last = min(len(offsets), bisect_right(offsets[:, 0], begin) + tokens // 3) - 1
    end = int(offsets[last, 1])
    return f"{text[:front]}\n[...]\n{text[begin:end]}" if end > begin else text[:front]


def _line_end(text: str, at: int) -> int:
    """Behind the next line break, unless it is far."""
    end = text.find("\n", at, at + 500)
    return end + 1 if end >= 0 else at


def _json(reply: str, lang: str) -> Any:
    try:
        return json.loads(reply[reply.index("{") : reply.rindex("}") + 1])
    except (ValueError, RecursionError):
        raise unusable(lang, "json") from None


def read(data: Any, params: Params) -> Rules:
    """The rules of a file's content. Raises Unusable."""
    if not isinstance(data, Mapping):
        raise unusable("en", "json")
    if data.get("version") != VERSION:
        raise Unusable(f"'version' is {data.get('version')!r}, this version of the plugin reads {VERSION}")
    made = data.get("made_for")
    if isinstance(made, Mapping) and made.get("task", params.task) != params.task:
        raise Unusable(f"they were written for another task, {made['task']!r}")
    return parse({key: value for key, value in data.items() if key not in ("version", "made_for", "check", "note")})
