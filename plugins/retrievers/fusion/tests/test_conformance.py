"""retriever.fusion passes the kit, with a model that writes one other query and one that fails."""

from __future__ import annotations

from dougong import CallError
from dougong.testing import MemoryIndex, RetrieverConformance, ScriptedLLM, chunks


class TestFusion(RetrieverConformance):
    name = "retriever.fusion"
    params = {"of": [MemoryIndex(chunks())], "llm": ScriptedLLM('{"queries": ["zzz"]}', again=True)}
    exact = False  # scores are of ranks: a filter moves them
    golden = (
        ("attention attention cache", [(5, 1 / 61), (2, 1 / 62)]),
        ("attention attention cache", [(5, 2 / 61), (2, 2 / 62)],
         {"llm": ScriptedLLM('{"queries": ["cache attention"]}', again=True)}),
        ("attention attention cache", [(5, 1 / 11), (2, 1 / 12)],
         {"llm": ScriptedLLM(CallError("down"), again=True), "rank_constant": 10}),
    )  # fmt: skip
    refused = ({"queries": 0}, {"queries": 21}, {"pool": 0}, {"rank_constant": 0}, {"temperature": -0.1},
               {"temperature": 2.1}, {"prompt_en": ""}, {"prompt_zh": " "})  # fmt: skip
    accepted = ({"queries": 1}, {"queries": 20}, {"pool": 1}, {"rank_constant": 1}, {"temperature": 0.0},
                {"temperature": 2.0})  # fmt: skip
