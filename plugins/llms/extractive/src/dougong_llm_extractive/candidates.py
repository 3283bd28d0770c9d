"""What can be quoted: sentences, and the clause windows of sentences that are too long."""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs
from dougong_analyzer import sentences, words

_CLAUSE_END = re.compile(r"[,;:，；：、—–)）]")


@attrs.frozen
class Candidate:
    """``passages[passage].text[start:end]``, a sentence (`whole`) or clauses of one; `sentence` is its number there."""

    passage: int
    sentence: int
    start: int
    end: int
    whole: bool = True


def tokens(text: str) -> list[tuple[int, int]]:
    """Offsets of words and of the other visible characters, one by one: the tokens that quotes are measured in."""
    found: list[tuple[int, int]] = []
    done = 0
    for start, end in [*words(text), (len(text), len(text))]:
        found.extend((i, i + 1) for i in range(done, start) if not text[i].isspace())
        if end > start:
            found.append((start, end))
        done = end
    return found


def candidates(passage: int, text: str, limit: int) -> Iterator[Candidate]:
    """Every sentence of `text` of at most `limit` tokens; of a longer one, each longest run of whole clauses that fits.

    A clause longer than `limit` is cut every ``limit // 2`` tokens.
    """
    for number, (start, end) in enumerate(sentences(text)):
        cut = tokens(text[start:end])
        if not cut:
            continue
        if len(cut) <= limit:
            yield Candidate(passage, number, start + cut[0][0], start + cut[-1][1])
            continue
        edges = [0]  # token numbers at which a window may start or end
        for i, (a, b) in enumerate(cut, 1):
            if (
                i == len(cut)
                or _CLAUSE_END.fullmatch(text[start + a : start + b])
                or i - edges[-1] >= max(1, limit // 2)
            ):
                edges.append(i)
        reach = 0
        for first in edges:
            last = max(edge for edge in edges if edge - first <= limit)
            if last > reach:
                yield Candidate(passage, number, start + cut[first][0], start + cut[last - 1][1], whole=False)
                reach = last
