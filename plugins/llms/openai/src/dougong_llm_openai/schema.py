"""Holds a reply to the JSON Schema that was asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from dougong import Delta
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import SchemaError, best_match  # type: ignore[import-untyped]
from jsonschema.validators import validator_for  # type: ignore[import-untyped]
from referencing import Registry
from referencing.exceptions import Unresolvable

from dougong_llm_openai.reply import Fail

_WRAPPING = re.compile(r"\s*(?:<think>.*?</think>\s*)?(?:```\w*\s*\n(?P<fenced>.*?)\n\s*```|(?P<plain>.*?))\s*", re.S)


def validator(schema: Mapping[str, Any], fail: Fail) -> Any:
    """A validator that fetches nothing. Raises EndpointError where `schema` is none."""
    cls = validator_for(schema, Draft202012Validator)
    try:
        cls.check_schema(schema)
    except SchemaError as error:
        raise fail(f"not asked: the schema is no JSON Schema: {error.message}", kind="bad-request",
                   hint="mend the schema") from None  # fmt: skip
    return cls(schema, registry=Registry())


def checked(deltas: Iterator[Delta], validator: Any, whole: bool, fail: Fail) -> Iterator[Delta]:
    """`deltas`, and at their end an EndpointError if their text is not what the schema wants.

    `whole` holds the text back to its end and frees it from a code fence or a thinking block. A reply of tool calls
    is no final reply and is not checked.
    """
    pieces: list[str] = []
    calls = refused = False
    for delta in deltas:
        pieces.append(delta.text)
        calls, refused = calls or bool(delta.tool_calls), refused or "refusal" in delta.data
        if not delta.finish:
            if not whole:
                yield delta
            elif delta.tool_calls or delta.data:
                yield Delta(tool_calls=delta.tool_calls, data=delta.data)
            continue
        text = "".join(pieces)
        if refused or delta.finish == "content_filter":
            raise fail(f"the model refused: {text[:300]}" if refused else "the reply was filtered",
                       kind="content-filter")  # fmt: skip
        if whole and not calls:
            match = _WRAPPING.fullmatch(text)
            text = (match["fenced"] or match["plain"] or "") if match else text
        if not calls:
            _check(text, validator, delta.finish, fail)
        if whole and text:
            yield Delta(text)
        yield delta


def _check(text: str, validator: Any, finish: str, fail: Fail) -> None:
    cut = " (it was cut at its maximum of tokens)" if finish == "length" else ""
    try:
        error = best_match(validator.iter_errors(json.loads(text)))
    except (ValueError, RecursionError) as wrong:
        raise fail(f"the reply is not JSON{cut}: {wrong}: {text[:200]!r}", kind="schema") from None
    except Unresolvable as wrong:
        raise fail(f"the schema refers to what it does not hold: {wrong}", kind="bad-request",
                   hint="put the definition into the schema") from None  # fmt: skip
    if error is not None:
        raise fail(f"the reply does not satisfy the schema at {error.json_path}: {error.message[:300]}", kind="schema")
