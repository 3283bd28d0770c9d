"""middleware.redact: personal data stay here; models see placeholders."""

from __future__ import annotations

import re
from typing import Any, Literal

import attrs
from dougong import Technique, hookimpl

Kind = Literal["email", "cn-id", "card", "cn-mobile", "phone", "ip"]
KINDS: tuple[Kind, ...] = ("email", "cn-id", "card", "cn-mobile", "phone", "ip")


def _patterns(instance: Any, attribute: Any, value: dict[str, str]) -> None:
    for label, pattern in value.items():
        if not re.fullmatch(r"[A-Z][A-Z_]*", label):
            raise ValueError(f"must have labels in capitals; write {label!r} as CUSTOMER_NUMBER, say")
        try:
            empty = re.compile(pattern).match("")
        except re.error as error:
            raise ValueError(f"must be regular expressions; {label}: {error}") from None
        if empty:
            raise ValueError(f"must be expressions that match something; {label} matches the empty string")


@attrs.frozen
class Params:
    """What is replaced, and where.

    kinds: ``email``; ``cn-id``, Chinese identity numbers by checksum; ``card``, payment cards by checksum;
        ``cn-mobile``; ``phone``, international, Chinese landline and North American; ``ip``, both versions.
    patterns: further regular expressions by label, ``{CUSTOMER: "K-[0-9]{6}"}`` gives ``[CUSTOMER_1]``; they win.
    restore: put the values back into the model's reply and its tool calls.
    results: also replace what tools give back, for good and without numbers (``[EMAIL]``). What retrievers give back
        is evidence and stays as it is; on its way to a model it is replaced like everything else.
    """

    kinds: list[Kind] = attrs.field(factory=lambda: list(KINDS))
    patterns: dict[str, str] = attrs.field(factory=dict, validator=_patterns)
    restore: bool = True
    results: bool = False


@hookimpl
def dougong_middleware() -> list[Technique]:
    return [
        Technique(
            "redact",
            Params,
            "dougong_middleware_redact.redact:Redact",
            summary="Personal data replaced in what models are sent, and put back in what they reply.",
            source="GB 11643-1999 and ISO 7064 (identity numbers); ISO/IEC 7812-1, Luhn (cards); RFC 5321, RFC 4291",
        )
    ]
