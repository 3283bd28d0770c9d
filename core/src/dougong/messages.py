"""Messages in the user's language. English is the source; ``locale/zh.json`` maps it to Chinese."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path


@cache
def language() -> str:
    """``zh`` or ``en``, from ``DOUGONG_LANG``, else the first set of ``LC_ALL LC_MESSAGES LANG``."""
    for variable in ("DOUGONG_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(variable, "")
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


@cache
def _chinese() -> dict[str, str]:
    text = Path(__file__).with_name("locale").joinpath("zh.json").read_text(encoding="utf-8")
    table: dict[str, str] = json.loads(text)
    return table


def known(text: str) -> str:
    """`text` in the user's language where it is a text of ours; as it is otherwise. Has no fields."""
    return _chinese().get(text, text) if language() == "zh" else text


def t(template: str, /, **values: object) -> str:
    """`template` in the user's language, its ``{fields}`` filled; a brace itself is written twice."""
    if language() == "zh":
        template = _chinese().get(template, template)
    return template.format(**values)
