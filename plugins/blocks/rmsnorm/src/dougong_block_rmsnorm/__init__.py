"""Root mean square layer normalisation."""

import attrs
from dougong import Technique, hookimpl


@attrs.frozen
class Params:
    """eps: added to the mean square, so that a zero vector stays finite."""

    eps: float = attrs.field(default=1e-6, validator=attrs.validators.gt(0))


@hookimpl
def dougong_blocks() -> list[Technique]:
    return [
        Technique(
            "rmsnorm",
            Params,
            "dougong_block_rmsnorm.rmsnorm:RMSNorm",
            summary="Divides by the root mean square, then scales by a learned gain.",
            source="Zhang and Sennrich 2019, Root Mean Square Layer Normalization, equation 4",
        )
    ]
