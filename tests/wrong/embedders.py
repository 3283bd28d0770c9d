"""A right embedder, and plausible wrong ones, each with the check that must catch it. Run by test_kit_knowledge.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
from dougong import Technique, hookimpl
from dougong.testing import EmbedderConformance, HashEmbedder

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
        suite = {"name": f"embedder.{name}", "plugin": __file__}
        globals()[f"Test{cls.__name__}"] = type(f"Test{cls.__name__}", (EmbedderConformance,), suite)
        CAUGHT[f"Test{cls.__name__}"] = check
        return cls

    return declare


@hookimpl
def dougong_embedders() -> list[Technique]:
    return DECLARED


@judged()
class Right(HashEmbedder):
    """The kit's own embedder."""

    def __init__(self, params: Params) -> None:
        super().__init__()


@judged("test_there_is_a_row_for_each_text")
class Doubles(Right):
    """Gives float64."""

    def embed(self, texts: Sequence[str], role: Any = "passage") -> np.ndarray:
        import numpy as np

        return super().embed(texts, role).astype(np.float64)


@judged("test_there_is_a_row_for_each_text")
class NoneIsFlat(Right):
    """Gives an array of shape (0,) for no text."""

    def embed(self, texts: Sequence[str], role: Any = "passage") -> np.ndarray:
        import numpy as np

        return super().embed(texts, role) if texts else np.zeros(0, np.float32)


@judged("test_there_is_a_row_for_each_text")
class WrongDim(Right):
    """Says another width than it gives."""

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.dim = 64

    def embed(self, texts: Sequence[str], role: Any = "passage") -> np.ndarray:
        return HashEmbedder(32).embed(texts, role)


@judged("test_rows_are_of_unit_length")
class Unnormalised(Right):
    """Leaves vectors as long as they come."""

    def embed(self, texts: Sequence[str], role: Any = "passage") -> np.ndarray:
        import numpy as np

        rows = super().embed(texts, role)
        return rows * np.array([[1 + len(text) / 10] for text in texts], np.float32).reshape(-1, 1)


@judged("test_rows_are_of_unit_length")
class NothingForNothing(Right):
    """Gives a zero vector for a blank text."""

    def embed(self, texts: Sequence[str], role: Any = "passage") -> np.ndarray:
        rows = super().embed(texts, role)
        for row, text in zip(rows, texts):
            row *= bool(text.strip())
        return rows


@judged("test_a_batch_changes_nothing")
class Centred(Right):
    """Takes the batch's mean off."""

    def embed(self, texts: Sequence[str], role: Any = "passage") -> np.ndarray:
        import numpy as np

        rows = super().embed(texts, role)
        if len(rows) > 1:
            rows = rows - rows.mean(axis=0) * np.float32(0.1)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@judged("test_a_batch_changes_nothing")
class Sorts(Right):
    """Sorts texts by length, and forgets to sort the rows back."""

    def embed(self, texts: Sequence[str], role: Any = "passage") -> np.ndarray:
        return super().embed(sorted(texts, key=len), role)


@judged("test_a_batch_changes_nothing")
class Pads(Right):
    """Pads texts to the longest of the batch, and reads the padding."""

    def embed(self, texts: Sequence[str], role: Any = "passage") -> np.ndarray:
        longest = max(map(len, texts), default=0)
        return super().embed([text.ljust(longest) for text in texts], role)


@judged("test_different_texts_differ")
class Constant(Right):
    """Always the same."""

    def embed(self, texts: Sequence[str], role: Any = "passage") -> np.ndarray:
        return super().embed(["constant"] * len(texts), role)


@judged("test_the_end_of_a_text_counts")
class Truncates(Right):
    """Reads four characters."""

    def embed(self, texts: Sequence[str], role: Any = "passage") -> np.ndarray:
        return super().embed([text[:3] if not text.isascii() else text[:20] for text in texts], role)


@judged("test_what_is_alike_is_near")
class OfTheWhole(Right):
    """Hashes the whole text: what is alike is as far as anything."""

    def embed(self, texts: Sequence[str], role: Any = "passage") -> np.ndarray:
        import hashlib

        return super().embed([hashlib.sha256(t.encode("utf-8", "surrogatepass")).hexdigest() for t in texts], role)


@judged("test_another_process_does_the_same")
class PythonHash(Right):
    """Uses `hash`, which is another one in the next process."""

    def embed(self, texts: Sequence[str], role: Any = "passage") -> np.ndarray:
        import numpy as np

        rows = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(rows, texts):
            for word in [*text.split(), text]:
                row[hash(word) % self.dim] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@judged("test_a_role_has_one_of_two_names")
class AnyRole(Right):
    """Takes any role for a passage."""

    def embed(self, texts: Sequence[str], role: Any = "passage") -> np.ndarray:
        return super().embed(texts, "query" if role == "query" else "passage")


@judged("test_results_are_the_callers_own")
class Remembers(Right):
    """Keeps the array that it gave out."""

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.kept: dict[Any, Any] = {}

    def embed(self, texts: Sequence[str], role: Any = "passage") -> np.ndarray:
        key = (tuple(texts), role)
        if key not in self.kept:
            self.kept[key] = super().embed(texts, role)
        return self.kept[key]


@judged("test_two_that_are_built_alike_behave_alike")
class Unseeded(Right):
    """Draws its projection anew for each object."""

    def __init__(self, params: Params) -> None:
        import numpy as np

        super().__init__(params)
        self.turn = np.linalg.qr(np.random.default_rng().normal(size=(self.dim, self.dim)))[0].astype(np.float32)

    def embed(self, texts: Sequence[str], role: Any = "passage") -> np.ndarray:
        return super().embed(texts, role) @ self.turn


@judged("test_threads_may_share_it")
class NotForThreads(Right):
    """Works in a buffer of its own."""

    def embed(self, texts: Sequence[str], role: Any = "passage") -> np.ndarray:
        self.texts = texts
        rows = [super(NotForThreads, self).embed([self.texts[number]], role) for number in range(len(texts))]
        import numpy as np

        return np.concatenate(rows) if rows else super().embed([], role)
