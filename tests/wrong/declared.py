"""A technique that is declared well, and some that are not, each with the check that must catch it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
from dougong import Chunk, Document, Span, Technique, Tokenizer, hookimpl
from dougong.testing import ChunkerConformance

DECLARED: list[Technique] = []
CAUGHT: dict[str, str] = {}


class Whole:
    """One chunk a document."""

    def __init__(self, params: Any) -> None:
        pass

    def chunk(self, document: Document) -> Iterator[Chunk]:
        span = Span(0, len(document.text))
        if document.text.strip():
            yield Chunk(Chunk.name(document.id, span), document.id, document.text, span)


def judged(check: str = "", *, factory: str = "Whole", summary: str = "A chunk.", source: str = "none") -> Any:
    """Make the class the params of a technique; `check` must fail, no check where it is empty."""

    def declare(cls: type) -> type:
        name = cls.__name__.lower()
        DECLARED.append(Technique(name, cls, f"{__name__}:{factory}", summary, source))
        suite = {"name": f"chunker.{name}", "plugin": __file__, "headings": False}
        globals()[f"Test{cls.__name__}"] = type(f"Test{cls.__name__}", (ChunkerConformance,), suite)
        CAUGHT[f"Test{cls.__name__}"] = check
        return cls

    return declare


@hookimpl
def dougong_chunkers() -> list[Technique]:
    return DECLARED


def positive(instance: Any, attribute: Any, value: float) -> None:
    if not value > 0:
        raise ValueError("must be above 0; 1 is usual")


@judged()
@attrs.frozen
class Right:
    """size: characters; ratio: a share; tokenizer: what counts."""

    size: int = attrs.field(default=30, validator=attrs.validators.ge(1))
    ratio: float = attrs.field(default=0.5, validator=positive)
    tokenizer: Tokenizer | None = None


@judged("test_every_parameter_is_documented")
@attrs.frozen
class Undocumented:
    """size: characters."""

    size: int = 30
    overlap: int = 0


@judged("test_numbers_out_of_range_are_told")
@attrs.frozen
class LetsNanPass:
    """ratio: a share."""

    ratio: float = attrs.field(default=0.5)

    @ratio.validator
    def _positive(self, attribute: Any, value: float) -> None:
        if value <= 0:
            raise ValueError("must be above 0; 0.5 is usual")


@judged("test_numbers_out_of_range_are_told")
@attrs.frozen
class Crashes:
    """size: characters; every: of which one in so many counts."""

    size: int = 30
    every: int = attrs.field(default=1)

    @every.validator
    def _divides(self, attribute: Any, value: int) -> None:
        if self.size % value:
            raise ValueError("must divide size; 1 does")


@judged("test_numbers_out_of_range_are_told")
@attrs.frozen
class NoCure:
    """size: characters."""

    size: int = attrs.field(default=30)

    @size.validator
    def _wrong(self, attribute: Any, value: int) -> None:
        if value < 1:
            raise ValueError("bad size")


@judged("test_a_wrong_type_is_told")
@attrs.frozen
class Lax:
    """size: characters, or how else it is said."""

    size: Any = 30


@judged("test_the_params_are_right")
@attrs.frozen
class WrongDefault:
    """size: characters."""

    size: int = attrs.field(default=0, validator=attrs.validators.ge(1))


@judged("test_params_survive_being_shown")
@attrs.frozen
class NotPlain:
    """form: a shape, as an object."""

    form: Any = attrs.field(factory=lambda: frozenset({"square"}))


@judged("test_summary_and_source_are_said", summary="chunks things")
@attrs.frozen
class NoSentence:
    """None."""


@judged("test_summary_and_source_are_said", source=" ")
@attrs.frozen
class NoSource:
    """None."""


class ClosesOnce(Whole):
    """Can be closed once."""

    def __init__(self, params: Any) -> None:
        self.open = True

    def close(self) -> None:
        if not self.open:
            raise RuntimeError("closed already")
        self.open = False


@judged("test_closing_twice_is_harmless", factory="ClosesOnce")
@attrs.frozen
class Closing:
    """None."""


class Renamed(Whole):
    """Calls the document doc."""

    def chunk(self, doc: Document) -> Iterator[Chunk]:
        return super().chunk(doc)


@judged("test_what_it_builds_meets_its_protocol", factory="Renamed")
@attrs.frozen
class OtherSignature:
    """None."""
