"""Gaps between sentences, scored by what is written there, and the best way to cut them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from dougong import Chunk, Document
from dougong_analyzer import terms

from dougong_chunker_semantic_rules.cohesion import block_scores, depths, smooth
from dougong_chunker_semantic_rules.units import Unit, Units

if TYPE_CHECKING:
    from dougong_chunker_semantic_rules import Params

W, K = 20, 10  # TextTiling: terms a block, blocks on each side
HEADING, PARAGRAPH, LINE, CUE, VALLEY = 2.0, 0.75, 0.5, 0.5, 1.0
LIST = -0.5  # between two items of a list, and between a list and the line that announces it
AFTER_HEADING = -100.0
_SHORT = 10.0  # what a chunk below the minimum costs: more than all that a gap can score


class SemanticRules:
    """Chunks of at most `size` tokens whose cuts have the greatest total of ``score - threshold``.

    A gap between two sentences scores `HEADING` where a heading follows (less for deeper ones), `PARAGRAPH` where a
    block ends, `LINE` where a line does, `CUE` more where the next sentence begins with one of `turns` and less where
    with one of `ties`, `LIST` between items, and up to `VALLEY` where the vocabulary changes. A gap below a heading is
    cut only where size demands it. Dynamic programming finds the best cuts exactly, under the maximum and with a price
    for chunks below the minimum; a greedy walk would miss the gap that a later one makes better.

    ``tokenizer.count(chunk.text) <= size`` always, but for a single grapheme that has more tokens: `oversize` is set.
    """

    def __init__(self, params: Params) -> None:
        self.size, self.minimum, self.threshold = params.size, params.minimum, params.threshold
        self.tokenizer = params.tokenizer
        self._turns, self._ties = _cues(params.turns), _cues(params.ties)

    def chunk(self, document: Document) -> Iterator[Chunk]:
        """The chunks of `document`, in order, not overlapping."""
        units = Units(document, self.tokenizer, self.size)
        if len(units):
            scores = self.scores(units)
            yield from units.chunks(best_cuts(scores - self.threshold, units, self.size, self.minimum))

    def scores(self, units: Units) -> np.ndarray:
        """Score of the gap before each unit, but for the first: float64 ``(len(units) - 1,)``."""
        found = valleys(units.text, units.units)
        for number, (before, after) in enumerate(zip(units.units, units.units[1:])):
            found[number] += self._marks(units.text, before, after)
        return found

    def _marks(self, text: str, before: Unit, after: Unit) -> float:
        if before.kind == "heading":
            return AFTER_HEADING
        if after.kind == "heading":
            return HEADING - 0.1 * after.level
        score = 0.0
        if before.block != after.block:
            score += PARAGRAPH
            announced = text[before.end - 1] in ":：" and after.block == before.block + 1
            if announced or (before.kind == after.kind == "item"):
                score += LIST
        elif "\n" in text[before.end : after.start]:
            score += LINE  # in much plain text a line is a paragraph
        for cues, value in ((self._turns, CUE), (self._ties, -CUE)):
            if cues and cues.match(text, after.start):
                return score + value
        return score


def valleys(text: str, units: list[Unit]) -> np.ndarray:
    """Scores of the gaps between `units` for change of vocabulary, 0 to `VALLEY`: float64 ``(len(units) - 1,)``.

    Blocks of `W` terms are compared; each gap deeper than the mean depth less half its deviation counts for the
    nearest gap between units, by how far it is deeper.
    """
    found = np.zeros(max(0, len(units) - 1))
    words: list[str] = []
    ends = []  # number of terms up to the end of each unit
    for unit in units:
        words.extend(terms(text[unit.start : unit.end]))
        ends.append(len(words))
    blocks = [words[first : first + W] for first in range(0, len(words), W)]
    if len(blocks) < 3 or not len(found):
        return found
    depth = np.array(depths(smooth(block_scores(blocks, K))))
    cutoff, deviation = depth.mean() - depth.std() / 2, depth.std()
    places = np.array(ends[:-1])
    for gap in np.flatnonzero(depth > cutoff) if deviation > 1e-9 else ():
        at = (gap + 1) * W
        nearest = int(np.abs(places - at).argmin()) if len(places) < 64 else _nearest(places, at)
        found[nearest] = max(found[nearest], VALLEY * min(1.0, (depth[gap] - cutoff) / (3 * deviation)))
    return found


def _nearest(ascending: np.ndarray, value: int) -> int:
    right = int(np.searchsorted(ascending, value))
    around = [number for number in (right - 1, right) if 0 <= number < len(ascending)]
    return min(around, key=lambda number: abs(int(ascending[number]) - value))


def best_cuts(gains: np.ndarray, units: Units, size: int, minimum: int) -> list[int]:
    """The units before which to cut, so that the cuts' total gain is greatest.

    Every chunk has at most `size` tokens; one of fewer than `minimum` costs `_SHORT`. Ties go to the longer chunk.
    ``best[j]`` is the greatest total for the units before `j`.
    """
    count = len(units)
    best, before = np.zeros(count + 1), np.zeros(count + 1, np.intp)
    gain = np.concatenate([[0.0], gains])
    opens = np.zeros(count)  # best[i] + gain[i]: what a chunk that begins with unit i has behind it
    for stop in range(1, count + 1):
        begin = stop - 1
        opens[begin] = best[begin] + gain[begin]
        end = units.after[stop - 1]
        # Chunks [first, stop) within size are those with first >= low; within minimum, first >= short.
        low = min(begin, int(np.searchsorted(units.before, end - size)))
        short = min(stop, max(low, int(np.searchsorted(units.before, end - minimum, "right"))))
        total = -np.inf
        if short > low:
            at = low + int(opens[low:short].argmax())
            total, before[stop] = opens[at], at
        if short < stop:
            at = short + int(opens[short:stop].argmax())
            if opens[at] - _SHORT > total:
                total, before[stop] = opens[at] - _SHORT, at
        best[stop] = total
    cuts: list[int] = []
    at = int(before[count])
    while at > 0:
        cuts.append(at)
        at = int(before[at])
    return cuts[::-1]


def _cues(listed: str) -> re.Pattern[str] | None:
    """A pattern of the words, whole ones where they are spaced."""
    cues = sorted({cue.strip() for cue in listed.replace("，", ",").split(",")} - {""}, key=len, reverse=True)
    spelt = [re.escape(cue) + (r"\b" if cue.isascii() else "") for cue in cues]
    return re.compile("|".join(spelt), re.IGNORECASE) if spelt else None
