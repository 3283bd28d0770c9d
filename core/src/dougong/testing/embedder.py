"""What every embedder must do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from dougong.testing.conformance import Conformance
from dougong.testing.texts import CORPUS, HOSTILE, ORDINARY, examples, random_texts

Role = Literal["passage", "query"]
ROLES: tuple[Role, ...] = ("passage", "query")


class EmbedderConformance(Conformance):
    """Rows of unit length, one a text, whatever stands beside it in the batch.

    `golden`: a pair of texts and the cosine of their vectors (the first as a query, the second as a passage); or one
    text and the first six numbers of its vector.

    Attributes:
        batch: how far a text's vector may depend on what else is embedded with it, in each number. A model in half
            precision needs more.
        alike: three texts each; the first is nearer to the second than to the third. Empty for one without meaning.
    """

    kind: ClassVar[str] = "embedder"
    across_processes: ClassVar[bool] = True
    batch: float = 1e-5
    tolerance: float = 1e-5
    alike: Sequence[tuple[str, str, str]] = (
        ("Dougong brackets join columns and beams.", "Dougong brackets join the columns and the beams.", "Who pays?"),
        ("斗拱连接柱与梁。", "斗拱连接大殿的柱与梁。", "今天下雨吗？"),
    )

    def observe(self, built: Any) -> Any:
        return [built.dim, built.embed(list(CORPUS)), built.embed(["斗拱", "What is dougong?"], "query")]

    def answer(self, built: Any, given: Any) -> Any:
        if isinstance(given, str):
            return built.embed([given])[0, :6]
        query, passage = given
        return float(built.embed([query], "query")[0] @ built.embed([passage])[0])

    def test_there_is_a_row_for_each_text(self) -> None:
        """float32 ``(len(texts), dim)``, also for no text, one text, a tuple of texts."""
        import numpy as np

        built = self.build()
        assert type(built.dim) is int, f"dim is {type(built.dim).__name__}; give an int"
        assert built.dim > 0, f"dim is {built.dim}"
        for role in ROLES:
            for texts in ([], ["one"], list(CORPUS), CORPUS[:3]):
                rows = built.embed(texts, role)
                assert isinstance(rows, np.ndarray), f"embed gives a {type(rows).__name__}; give a numpy array"
                assert rows.dtype == np.float32, f"rows are {rows.dtype}; give float32"
                wanted = (len(texts), built.dim)
                assert rows.shape == wanted, f"{len(texts)} texts give {rows.shape}; give {wanted}"

    def test_rows_are_of_unit_length(self) -> None:
        """Of hostile texts too: empty, blank, very long, with a lone surrogate."""
        import numpy as np

        built = self.build()
        texts = {**ORDINARY, **HOSTILE, "surrogate": "a lone \ud800 surrogate", "long": ORDINARY["english"] * 150}
        for role in ROLES:
            for name, text in texts.items():
                row = built.embed([text], role)[0]
                assert np.isfinite(row).all(), f"the vector of {name!r} is not finite"
                length = float(np.linalg.norm(row.astype(np.float64)))
                assert abs(length - 1) < 1e-3, f"the vector of {name!r} has length {length:.4f}; normalise it"

    def test_a_batch_changes_nothing(self) -> None:
        """A text has the same vector alone, in a batch, beside a long text, and in another order."""
        import numpy as np

        built = self.build()
        texts = [*CORPUS, ORDINARY["english"], "", CORPUS[0], "a"]
        rows = built.embed(texts)
        for what, other in {
            "alone": np.concatenate([built.embed([text]) for text in texts]),
            "in reverse": built.embed(texts[::-1])[::-1],
            "in two parts": np.concatenate([built.embed(texts[:5]), built.embed(texts[5:])]),
            "sixteen times": built.embed(texts * 16)[-len(texts) :],
        }.items():
            off = float(np.abs(rows - other).max())
            assert off <= self.batch, f"embedded {what}, a vector changes by {off:.2g}; at most {self.batch:g}"

    def test_different_texts_differ(self) -> None:
        """And equal ones do not."""
        import numpy as np

        rows = self.build().embed([*CORPUS, CORPUS[0]])
        assert np.abs(rows[0] - rows[-1]).max() <= self.batch, "the same text has two vectors"
        for number in range(1, len(CORPUS)):
            same = float(rows[0] @ rows[number])
            assert same < 0.9999, f"{CORPUS[0]!r} and {CORPUS[number]!r} have one vector; does it read the whole text?"

    def test_the_end_of_a_text_counts(self) -> None:
        """Two passages that differ in their last word only have two vectors."""
        import numpy as np

        for one, other in (("The bracket is made of oak", "The bracket is made of steel"), ("斗拱用木", "斗拱用铁")):
            rows = self.build().embed([one, other])
            assert np.abs(rows[0] - rows[1]).max() > 1e-4, f"{one!r} and {other!r} have one vector"

    def test_what_is_alike_is_near(self) -> None:
        """`alike`, in English and in Chinese."""
        built = self.build()
        for text, near, far in self.alike:
            one, two, three = built.embed([text, near, far])
            assert one @ two > one @ three, f"{text!r} is nearer to {far!r} than to {near!r}"

    def test_a_role_has_one_of_two_names(self) -> None:
        """The default is a passage; another name is a ValueError, not a silent passage."""
        import numpy as np

        built = self.build()
        told = np.abs(built.embed(["text"]) - built.embed(["text"], role="passage")).max()
        assert told <= self.batch, "the default role is not 'passage'"
        try:
            built.embed(["text"], "document")
        except ValueError:
            return
        raise AssertionError("role='document' is taken; raise ValueError('role must be passage or query')")

    def test_results_are_the_callers_own(self) -> None:
        """What one caller does to its array, no other sees; the list of texts stays as it is."""
        built = self.build()
        texts = ["first", "第二"]
        rows = built.embed(texts)
        kept = rows.copy()
        if rows.flags.writeable:
            rows *= 0
        assert abs(built.embed(texts) - kept).max() <= self.batch, "vectors are shared between calls; give a copy"
        assert texts == ["first", "第二"], "the list of texts was changed"

    def test_random_texts(self) -> None:
        """Unit rows, the same alone, for texts that nobody thought of."""
        import numpy as np
        from hypothesis import given
        from hypothesis import strategies as st

        built = self.build()

        @examples(20)
        @given(st.lists(random_texts(surrogates=True), min_size=1, max_size=4))
        def check(texts: list[str]) -> None:
            rows = built.embed(texts)
            assert np.abs(np.linalg.norm(rows, axis=1) - 1).max() < 1e-3, f"a vector of {texts!r} is not of unit length"
            alone = np.concatenate([built.embed([text]) for text in texts])
            assert np.abs(rows - alone).max() <= self.batch, f"a vector depends on the others in {texts!r}"

        check()
