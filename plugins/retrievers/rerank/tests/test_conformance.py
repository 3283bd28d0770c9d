"""retriever.rerank passes the kit, with a model that keeps the order and one that turns it round."""

from __future__ import annotations

from dougong.testing import MemoryIndex, RetrieverConformance, ScriptedLLM, chunks


def count(request):
    return len([part for part in request.messages[1].parts if part.kind == "data"])


def kept(request):
    return " > ".join(f"[{number}]" for number in range(1, count(request) + 1))


def turned(request):
    return " > ".join(f"[{number}]" for number in range(count(request), 0, -1))


class TestRerank(RetrieverConformance):
    name = "retriever.rerank"
    params = {"of": MemoryIndex(chunks()), "llm": ScriptedLLM(kept, again=True), "window": 4, "step": 2}
    exact = False  # scores are ranks: a filter moves them
    golden = (
        ("attention attention cache", [(5, 1.0), (2, 0.5)]),
        ("attention attention cache", [(2, 1.0), (5, 0.5)], {"llm": ScriptedLLM(turned, again=True)}),
        ("attention attention cache", [(2, 1.0), (5, 0.5)], {"llm": ScriptedLLM("2, 2, 9", again=True)}),
    )
    refused = ({"pool": 1}, {"window": 1}, {"step": 0}, {"step": 4}, {"words": 0}, {"prompt_en": " "},
               {"prompt_zh": ""})  # fmt: skip
    accepted = ({"pool": 2}, {"window": 2, "step": 1}, {"step": 3}, {"words": 1})
