"""What every tokenizer must do."""

from __future__ import annotations

from typing import Any, ClassVar

from dougong.testing.conformance import Conformance
from dougong.testing.texts import HOSTILE, ORDINARY, SURROGATE, examples, random_texts

TEXTS = {**ORDINARY, **HOSTILE, "surrogate": SURROGATE}


class TokenizerConformance(Conformance):
    """Offsets are int32 ``(n, 2)``, ascending, inside the text; only white space lies between; `count` is their number.

    `golden`: a text, and its tokens as strings.

    Attributes:
        parts: whether several tokens may lie in one character (bytes, byte pairs): each then has the character's place.
    """

    kind: ClassVar[str] = "tokenizer"
    parts: bool = False

    def observe(self, built: Any) -> Any:
        return [[built.offsets(text), built.count(text)] for text in TEXTS.values()]

    def answer(self, built: Any, given: Any) -> Any:
        return [given[start:end] for start, end in built.offsets(given).tolist()]

    def test_offsets_are_an_array_of_pairs(self) -> None:
        """int32 ``(n, 2)``, also where there is nothing."""
        import numpy as np

        built = self.build()
        for name, text in TEXTS.items():
            offsets = built.offsets(text)
            assert isinstance(offsets, np.ndarray), (
                f"{name!r}: offsets are {type(offsets).__name__}; give a numpy array"
            )
            assert offsets.dtype == np.int32, f"{name!r}: offsets are {offsets.dtype}; give int32"
            assert offsets.ndim == 2, f"{name!r}: offsets have {offsets.ndim} axes; give (n, 2), (0, 2) for none"
            assert offsets.shape[1] == 2, f"{name!r}: offsets are {offsets.shape}; give (n, 2), (0, 2) for none"

    def test_tokens_stand_in_order_inside_the_text(self) -> None:
        """None is empty, none overlaps the one before, none ends behind the text."""
        built = self.build()
        for name, text in TEXTS.items():
            check_order(built, text, name, self.parts)

    def test_only_white_space_lies_between_tokens(self) -> None:
        """Nothing that a reader sees is lost."""
        built = self.build()
        for name, text in TEXTS.items():
            check_gaps(built, text, name)

    def test_the_count_is_the_number_of_offsets(self) -> None:
        """Also of long texts, where a tokenizer may take a short cut."""
        built = self.build()
        for name, text in {**TEXTS, "long": "".join(TEXTS.values()) * 8}.items():
            offsets, count = built.offsets(text), built.count(text)
            assert type(count) is int, f"{name!r}: count is {type(count).__name__}; give an int"
            assert count == len(offsets), f"{name!r}: count says {count}, offsets has {len(offsets)}; make them one"

    def test_there_are_tokens_where_there_are_characters(self) -> None:
        """And offsets are of code points, not of bytes or UTF-16 units."""
        built = self.build()
        assert built.count("") == 0, "an empty text has tokens; give offsets of shape (0, 2)"
        for name, text in TEXTS.items():
            if text.strip():
                last = built.offsets(text)[-1, 1]
                assert last >= len(text.rstrip()), f"{name!r}: the last token ends at {last}, the text at {len(text)}"

    def test_random_texts(self) -> None:
        """All of the above, for texts that nobody thought of."""
        from hypothesis import given

        built = self.build()

        @examples(80)
        @given(random_texts(surrogates=True))
        def check(text: str) -> None:
            check_order(built, text, "random", self.parts)
            check_gaps(built, text, "random")
            assert built.count(text) == len(built.offsets(text)), f"count and offsets of {text!r} differ"

        check()

    def test_results_are_the_callers_own(self) -> None:
        """What one caller does to its array, no other sees."""
        built = self.build()
        text = ORDINARY["mixed"]
        first = built.offsets(text)
        kept = first.tolist()
        if first.flags.writeable:
            first += 1
        assert built.offsets(text).tolist() == kept, (
            "offsets are shared between calls; give a copy, or a read-only array"
        )


def check_order(built: Any, text: str, name: str, parts: bool = False) -> None:
    before, end = 0, 0
    for number, (start, stop) in enumerate(built.offsets(text).tolist()):
        told = f"{name!r}: token {number}, [{start}, {stop}),"
        assert start >= (before if parts else end), f"{told} starts before the one before it is over, at {end}"
        assert stop >= end, f"{told} ends before the one before it, which ends at {end}"
        assert start >= end - 1, f"{told} shares more than a character with the one before, which ends at {end}"
        assert stop > start, f"{told} is empty; leave it out"
        assert stop <= len(text), f"{told} leaves the text, which ends at {len(text)}"
        before, end = start, stop


def check_gaps(built: Any, text: str, name: str) -> None:
    end = 0
    for start, stop in [*built.offsets(text).tolist(), (len(text), len(text))]:
        gap = text[end:start]
        assert not gap.strip(), f"{name!r}: {gap!r} at {end} is in no token; only white space may lie between them"
        end = stop
