"""loader.text: plain text, whatever its encoding."""

from __future__ import annotations

import attrs
from dougong import Technique, hookimpl


@attrs.frozen
class Params:
    """Parameters of the text loader.

    encoding: a codec of Python's (``gb18030``); None detects it.
    max_megabytes: larger files are refused, in megabytes of 1,000,000 bytes.
    """

    encoding: str | None = attrs.field(default=None)
    max_megabytes: float = attrs.field(default=64.0)

    @encoding.validator
    def _encoding_is_known(self, attribute: object, value: str | None) -> None:
        if value is not None:
            try:
                "".encode(value)
            except (LookupError, ValueError):
                raise ValueError("must be an encoding of Python's; utf-8, gb18030, big5, cp1252...") from None

    @max_megabytes.validator
    def _max_is_positive(self, attribute: object, value: float) -> None:
        if not value > 0:
            raise ValueError("must be above 0; 64 is usual")


@hookimpl
def dougong_loaders() -> list[Technique]:
    return [
        Technique(
            "text",
            Params,
            "dougong_loader_text.text:TextLoader",
            summary="Plain text: encoding detected, paragraphs between blank lines.",
            source="charset-normalizer; Unicode byte order marks",
        )
    ]
