"""llm.cassette: records what a chat model answers, and replays it without the model, strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs
from dougong import LLM, Technique, hookimpl


def _check_mode(instance: Any, attribute: Any, value: str) -> None:
    if value != "replay" and instance.of is None:
        raise ValueError(f"must be replay where 'of' is empty; to {value} there must be a model to ask")


@attrs.frozen
class Params:
    """What is recorded, and where.

    path: the cassette, a file of JSON lines. of: the model; may be left out for replay.
    mode: ``replay`` asks the cassette only, and a request that it does not hold is an error; ``record`` asks the model
        and writes down what it answers; ``auto`` replays what is recorded and records the rest.
    model: the model's name in recorded requests; empty for what `of` calls itself, or, without `of`, for the one name
        that the cassette holds.
    """

    path: Path
    of: LLM | None = None
    mode: Literal["replay", "record", "auto"] = attrs.field(default="replay", validator=_check_mode)
    model: str = ""


@hookimpl
def dougong_llms() -> list[Technique]:
    return [
        Technique(
            "cassette",
            Params,
            "dougong_llm_cassette.cassette:Cassette",
            summary="Records what a chat model answers and replays it strictly: a miss names the nearest difference.",
            source="dougong; the idea as VCR cassettes (vcrpy), keyed by the request instead of by its order",
        )
    ]
