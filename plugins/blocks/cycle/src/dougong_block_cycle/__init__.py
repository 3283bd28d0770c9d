"""Blocks in turn."""

import attrs
from attrs.validators import min_len
from dougong import Block, Builder, Technique, hookimpl


@attrs.frozen
class Params:
    """of: the blocks; layer i has number i modulo their count. What stands outside the layers is the first."""

    of: list[Builder[Block]] = attrs.field(validator=min_len(1))


@hookimpl
def dougong_blocks() -> list[Technique]:
    return [
        Technique(
            "cycle",
            Params,
            "dougong_block_cycle.cycle:cycle",
            summary="Takes blocks in turn: every n-th layer is another, or has another part.",
            source="Lieber et al. 2024 (Jamba), section 2; Fedus et al. 2021 (Switch), experts every other layer",
        )
    ]
