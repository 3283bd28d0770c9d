"""TextTiling's figures: against Hearst's definition read naively, and nltk's where it is installed."""

import math
from collections import Counter
from itertools import chain

import pytest
from dougong_chunker_semantic_rules.cohesion import block_scores, depths, smooth
from hypothesis import given, settings
from hypothesis import strategies as st

blocks = st.lists(st.lists(st.sampled_from("abcdefg"), max_size=6), min_size=2, max_size=30)


@settings(max_examples=200)
@given(blocks, st.integers(1, 6))
def test_scores_are_the_cosines_of_term_counts(blocks, k):
    found = block_scores(blocks, k)
    assert len(found) == len(blocks) - 1
    for gap, score in enumerate(found, 1):
        window = min(k, gap, len(blocks) - gap)
        left = Counter(chain(*blocks[gap - window : gap]))
        right = Counter(chain(*blocks[gap : gap + window]))
        norm = math.sqrt(sum(v * v for v in left.values())) * math.sqrt(sum(v * v for v in right.values()))
        wanted = sum(left[term] * right[term] for term in "abcdefg") / norm if norm else 0.0
        assert score == pytest.approx(wanted, abs=1e-12)


@settings(max_examples=200)
@given(st.lists(st.integers(0, 9).map(lambda number: number / 10), max_size=40))
def test_depth_is_the_climb_on_both_sides(scores):
    wanted = []
    for at, score in enumerate(scores):
        left = right = at
        while left > 0 and scores[left - 1] >= scores[left]:
            left -= 1
        while right + 1 < len(scores) and scores[right + 1] >= scores[right]:
            right += 1
        wanted.append(scores[left] - score + scores[right] - score)
    assert depths(scores) == pytest.approx(wanted)


def test_a_hand_worked_text():
    """Two subjects: the vocabulary changes between the second block and the third."""
    text = [["cat", "dog"], ["dog", "cat"], ["tax", "law"], ["law", "tax"]]
    assert block_scores(text, 2) == pytest.approx([1.0, 0.0, 1.0])
    assert depths([1.0, 0.0, 1.0]) == [0.0, 2.0, 0.0]
    assert smooth([1.0, 0.0, 1.0, 1.0]) == pytest.approx([0.5, 2 / 3, 2 / 3, 1.0])


@settings(max_examples=100)
@given(blocks, st.integers(1, 5))
def test_scores_and_depths_are_those_of_nltk(blocks, k):
    """Where its windows are ours: at the edges nltk takes one block more or less, and leaves depths out."""
    texttiling = pytest.importorskip("nltk.tokenize.texttiling")
    tiler = texttiling.TextTilingTokenizer(w=1, k=k, stopwords=[])
    sequences = [texttiling.TokenSequence(n, [(term, 0) for term in block]) for n, block in enumerate(blocks)]
    table = {
        term: texttiling.TokenTableField(
            first_pos=0,
            ts_occurences=[[n, block.count(term)] for n, block in enumerate(blocks) if term in block],
            last_tok_seq=0,
        )
        for term in {term for block in blocks for term in block}
    }
    theirs = tiler._block_comparison(sequences, table)
    mine = block_scores(blocks, k)
    assert len(theirs) == len(mine)
    for gap, (a, b) in enumerate(zip(mine, theirs), 1):
        if k <= gap <= len(blocks) - k:
            assert a == pytest.approx(b, abs=1e-12)
    clip = min(max(len(theirs) // 10, 2), 5)
    assert tiler._depth_scores(theirs)[clip:-clip] == pytest.approx(depths(theirs)[clip:-clip])
