"""chunker.llm-rules passes the kit, by a file of rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dougong.testing import ChunkerConformance

RULES = [
    {"name": "chapter", "level": 1, "regex": r"^(# |第\p{Han}+章)", "keep_with_next": True},
    {"name": "section", "level": 2, "regex": r"^(## |- |\d+\.)"},
]


class TestRules(ChunkerConformance):
    name = "chunker.llm-rules"
    maximum = 24
    tokenizer = "words"
    golden = (
        ("# A\nb c\n# D\ne", ["# A\nb c", "# D\ne"]),
        ("intro\n第一章\n好的\n第二章\n再见", ["intro", "第一章\n好的", "第二章\n再见"]),
        ("# A\n## B\nc d e\n## F\ng h", ["# A\n## B\nc d e", "## F\ng h"], {"size": 8}),
    )
    refused = ({"size": 0}, {"sample": 0}, {"coverage": 1.1}, {"coverage": -0.1}, {"retries": -1}, {"retry_zh": ""})
    accepted = ({"size": 1}, {"coverage": 0}, {"coverage": 1}, {"retries": 0})

    def parameters(self) -> Mapping[str, Any]:
        path = self.folder / "rules.json"
        path.write_text(json.dumps({"version": 1, "rules": RULES}), encoding="utf-8")
        return {"llm": {"use": "scripted", "replies": ["no"]}, "rules": str(path), "size": 24}
