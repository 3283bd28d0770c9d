"""chunker.llm-boundaries passes the kit, with a model that answers well and one that never does."""

from __future__ import annotations

from dougong.testing import ChunkerConformance


def always(reply: str) -> dict[str, object]:
    return {"use": "scripted", "strict": False, "replies": [reply]}


class TestBoundaries(ChunkerConformance):
    name = "chunker.llm-boundaries"
    params = {"llm": always('{"split_after": [1]}'), "size": 24, "piece": 8, "window": 40}
    maximum = 24
    tokenizer = "words"
    golden = (("One two. Three four. Five six. Seven eight.", ["One two. Three four.", "Five six. Seven eight."]),)
    refused = ({"size": 0}, {"piece": 0}, {"piece": 25}, {"window": 15}, {"retries": -1}, {"prompt_en": " "})
    accepted = ({"size": 8}, {"piece": 24, "window": 48}, {"retries": 0})


class TestFallback(ChunkerConformance):
    name = "chunker.llm-boundaries"
    params = {"llm": always("no"), "size": 24, "piece": 8, "window": 40, "retries": 1}
    maximum = 24
    tokenizer = "words"
