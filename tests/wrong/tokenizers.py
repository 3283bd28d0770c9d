"""A right tokenizer, and plausible wrong ones, each with the check that must catch it. Run by test_kit_knowledge.py."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs
from dougong import Technique, hookimpl
from dougong.testing import TokenizerConformance

if TYPE_CHECKING:
    import numpy as np

DECLARED: list[Technique] = []
CAUGHT: dict[str, str] = {}


@attrs.frozen
class Params:
    """None."""


def judged(check: str = "") -> Any:
    """Make the class a technique with a suite of its own; `check` must fail, no check where it is empty."""

    def declare(cls: type) -> type:
        name = cls.__name__.lower()
        DECLARED.append(Technique(name, Params, f"{__name__}:{cls.__name__}", f"{cls.__doc__}", "none"))
        suite = {"name": f"tokenizer.{name}", "plugin": __file__}
        globals()[f"Test{cls.__name__}"] = type(f"Test{cls.__name__}", (TokenizerConformance,), suite)
        CAUGHT[f"Test{cls.__name__}"] = check
        return cls

    return declare


@hookimpl
def dougong_tokenizers() -> list[Technique]:
    return DECLARED


@judged()
class Right:
    """Runs of letters and digits, and every other character."""

    pattern = re.compile(r"\w+|[^\w\s]")

    def __init__(self, params: Params) -> None:
        pass

    def pairs(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in self.pattern.finditer(text)]

    def offsets(self, text: str) -> np.ndarray:
        import numpy as np

        return np.array(self.pairs(text), np.int32).reshape(-1, 2)

    def count(self, text: str) -> int:
        return len(self.offsets(text))


@judged("test_offsets_are_an_array_of_pairs")
class Wide(Right):
    """Gives int64, numpy's own."""

    def offsets(self, text: str) -> np.ndarray:
        import numpy as np

        return np.array(self.pairs(text), np.int64).reshape(-1, 2)


@judged("test_offsets_are_an_array_of_pairs")
class EmptyIsFlat(Right):
    """Gives an array of shape (0,) for an empty text."""

    def offsets(self, text: str) -> np.ndarray:
        import numpy as np

        return np.array(self.pairs(text), np.int32)


@judged("test_offsets_are_an_array_of_pairs")
class AList(Right):
    """Gives a list of pairs."""

    def offsets(self, text: str) -> Any:
        return self.pairs(text)


@judged("test_only_white_space_lies_between_tokens")
class WordsOnly(Right):
    """Leaves punctuation out."""

    pattern = re.compile(r"\w+")


@judged("test_only_white_space_lies_between_tokens")
class AsciiOnly(Right):
    """Knows Latin letters only."""

    pattern = re.compile(r"[A-Za-z0-9]+|[!-/:-@\[-`{-~]")


@judged("test_tokens_stand_in_order_inside_the_text")
class InclusiveEnds(Right):
    """Ends a token at its last character: one of a single character is empty."""

    def pairs(self, text: str) -> list[tuple[int, int]]:
        return [(start, end - 1) for start, end in super().pairs(text)]


@judged("test_tokens_stand_in_order_inside_the_text")
class Bytes(Right):
    """Counts bytes of UTF-8."""

    def pairs(self, text: str) -> list[tuple[int, int]]:
        size = [0]
        for character in text:
            size.append(size[-1] + len(character.encode("utf-8", "surrogatepass")))
        return [(size[start], size[end]) for start, end in super().pairs(text)]


@judged("test_tokens_stand_in_order_inside_the_text")
class Finds(Right):
    """Looks for each token from the start."""

    def pairs(self, text: str) -> list[tuple[int, int]]:
        tokens = self.pattern.findall(text)
        return [(text.find(token), text.find(token) + len(token)) for token in tokens]


@judged("test_the_count_is_the_number_of_offsets")
class Estimates(Right):
    """Counts four characters as a token."""

    def count(self, text: str) -> int:
        return -(-len(text) // 4)


@judged("test_the_count_is_the_number_of_offsets")
class Splits(Right):
    """Counts words by white space, faster."""

    def count(self, text: str) -> int:
        return len(text.split())


@judged("test_there_are_tokens_where_there_are_characters")
class AlwaysOne(Right):
    """Sees a token in an empty text, as models that add a mark at the start do."""

    def offsets(self, text: str) -> np.ndarray:
        import numpy as np

        return np.array([(0, 0), *self.pairs(text)], np.int32)


@judged("test_results_are_the_callers_own")
class Remembers(Right):
    """Keeps the array that it gave out."""

    def __init__(self, params: Params) -> None:
        self.kept: dict[str, Any] = {}

    def offsets(self, text: str) -> np.ndarray:
        return self.kept.setdefault(text, super().offsets(text))


@judged("test_threads_may_share_it")
class NotForThreads(Right):
    """Works in a buffer of its own."""

    def pairs(self, text: str) -> list[tuple[int, int]]:
        self.buffer = []
        for match in self.pattern.finditer(text):
            self.buffer.append(match.span())
        return self.buffer


@judged("test_the_count_is_the_number_of_offsets")
class NoSurrogates(Right):
    """Encodes, and so fails where a lone surrogate stands."""

    def pairs(self, text: str) -> list[tuple[int, int]]:
        text.encode()
        return super().pairs(text)


@judged("test_what_it_builds_meets_its_protocol")
class OtherNames(Right):
    """Calls its parameter by another name than the protocol."""

    def offsets(self, string: str) -> np.ndarray:
        return super().offsets(string)
