"""Key-value cache in fixed blocks that sequences share."""

import attrs
from attrs.validators import ge
from dougong import Technique, hookimpl


@attrs.frozen
class Params:
    """
    block: tokens in a block.
    share: sequences that begin alike keep their common full blocks once. Turn it off where rows with the same tokens
        are computed differently: adapters chosen row by row.
    """

    block: int = attrs.field(default=16, validator=ge(1))
    share: bool = True


@hookimpl
def dougong_caches() -> list[Technique]:
    return [
        Technique(
            "paged",
            Params,
            "dougong_cache_paged.paged:Paged",
            summary="Keys and values in blocks: no padding stored, common prefixes and beams stored once; exact.",
            source="Kwon et al. 2023 (PagedAttention), section 4",
        )
    ]
