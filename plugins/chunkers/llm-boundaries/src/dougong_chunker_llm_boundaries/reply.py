"""What a model may answer, and what of it can be used."""

from __future__ import annotations

import json
from typing import Any


class Unusable(ValueError):
    """A reply that sets no boundaries; its message says why, in the language of the prompt."""


_REASONS = {
    "json": ("it is no JSON object with a list 'split_after'", "它不是含有列表 split_after 的 JSON 对象"),
    "whole": ("split_after holds something that is no whole number", "split_after 中有不是整数的内容"),
    "range": (
        "split_after holds {number}, but the pieces are 1 to {count}",
        "split_after 中有 {number}，但小片编号是 1 到 {count}",
    ),
    "order": (
        "split_after is not ascending: {number} comes after {before}",
        "split_after 没有升序排列：{number} 在 {before} 之后",
    ),
    "few": ("split_after is empty, but the document goes on", "split_after 是空的，但文档后面还有内容"),
}


def schema_of(count: int, least: int) -> dict[str, Any]:
    """The JSON Schema of a reply about `count` pieces that names at least `least`."""
    number = {"type": "integer", "minimum": 1, "maximum": count}
    return {
        "type": "object",
        "properties": {"split_after": {"type": "array", "items": number, "minItems": least, "maxItems": count}},
        "required": ["split_after"],
        "additionalProperties": False,
    }


def split_after(reply: str, count: int, least: int, lang: str) -> list[int]:
    """The numbers in `reply`: ascending, 1 to `count`, at least `least` of them. Raises Unusable.

    Words or a fence around the JSON object are passed over: not every endpoint holds a model to a schema.
    """

    def wrong(key: str, **values: object) -> Unusable:
        return Unusable(_REASONS[key][lang == "zh"].format(**values))

    try:
        data = json.loads(reply[reply.index("{") : reply.rindex("}") + 1])
    except (ValueError, RecursionError):
        raise wrong("json") from None
    numbers = data.get("split_after") if isinstance(data, dict) else None
    if not isinstance(numbers, list):
        raise wrong("json")
    before = 0
    for number in numbers:
        if not isinstance(number, int) or isinstance(number, bool):
            raise wrong("whole")
        if not 1 <= number <= count:
            raise wrong("range", number=number, count=count)
        if number <= before:
            raise wrong("order", number=number, before=before)
        before = number
    if len(numbers) < least:
        raise wrong("few")
    return numbers
