"""A drafted answer as statements, each with the quotes that stand for it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs
from dougong import Citation, Hit

from dougong_pattern_rag.citations import claims

_TRAILING = re.compile(r"[\s.。;；,，]*")


@attrs.define(eq=False)
class Statement:
    """A stretch of the draft up to its last label.

    Attributes:
        text: as it was written. words: without quotes and labels.
        citations: quotes that their passages contain; empty for a statement that must not stand.
        passages: the hits cited.
        fault: why it does not stand: ``no-quote``, or what a further check says; empty while it does.
    """

    text: str
    words: str
    citations: tuple[Citation, ...] = ()
    passages: tuple[Hit, ...] = ()
    fault: str = ""

    @property
    def bare(self) -> bool:
        """Nothing but quotes: there is no claim beyond them."""
        return not re.search(r"\w", self.words)


def split(draft: str, hits: Sequence[Hit]) -> list[Statement]:
    """The statements of `draft`, in order; joined, their texts are the draft."""
    found: list[Statement] = []
    marked = sorted(claims(draft, hits), key=lambda claim: (claim.end, claim.start))
    at = 0
    for number, claim in enumerate(marked):
        following = marked[number + 1] if number + 1 < len(marked) else None
        if following and not re.search(r"\w", draft[claim.end : following.mark]):
            continue  # one quote with several labels, or a label right after another
        end = _TRAILING.match(draft, claim.end).end()  # type: ignore[union-attr]  # it matches the empty text
        inside = [c for c in marked if at <= c.start and c.end <= end]
        words, last = "", at
        for c in sorted(inside, key=lambda c: c.start):
            words, last = words + draft[last : max(last, c.start)], max(last, c.end)
        good = [c for c in inside if c.citation]
        cited = {c.label: hits[int(c.label) - 1] for c in good}
        found.append(
            Statement(
                draft[at:end],
                words + draft[last:end],
                tuple(c.citation for c in good if c.citation),
                tuple(cited.values()),
                "" if good else "no-quote",
            )
        )
        at = end
    if draft[at:].strip():
        fault = "no-quote" if re.search(r"\w", draft[at:]) else ""
        found.append(Statement(draft[at:], draft[at:], fault=fault))
    return found
