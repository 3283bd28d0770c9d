"""The figures of tests/benchmarks/chroma.py are those of their definition, read character by character."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

FOLDER = Path(__file__).parent / "benchmarks"


@pytest.fixture(scope="module")
def chroma():
    sys.path.insert(0, str(FOLDER))
    try:
        spec = importlib.util.spec_from_file_location("chroma_benchmark", FOLDER / "chroma.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(FOLDER))


ranges = st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@settings(max_examples=300)
@given(
    references=st.lists(ranges, min_size=1, max_size=4),
    found=st.lists(st.tuples(st.sampled_from(["here", "there"]), ranges), max_size=6),
)
def test_recall_precision_and_iou(chroma, references, found):
    """Sets of characters; what is read twice counts twice, as in Chroma's code."""
    wanted = {at for a, b in references for at in range(a, b)}
    hit = {at for corpus, (a, b) in found if corpus == "here" for at in range(a, b)} & wanted
    read = [at for _, (a, b) in found for at in range(a, b)]
    scores = chroma.scores(found, chroma.Question("?", "here", tuple(references)))
    assert scores.recall == pytest.approx(len(hit) / sum(b - a for a, b in references), abs=1e-9)
    assert scores.precision == pytest.approx(len(hit) / len(read) if read else 0, abs=1e-9)
    assert scores.iou == pytest.approx(len(hit) / (len(read) + len(wanted - hit)), abs=1e-9)


@settings(max_examples=300)
@given(references=st.lists(ranges, min_size=1, max_size=4), chunks=st.lists(ranges, max_size=8))
def test_precision_omega(chroma, references, chunks):
    wanted = {at for a, b in references for at in range(a, b)}
    holding = [set(range(a, b)) for a, b in chunks if wanted & set(range(a, b))]
    read = set().union(*holding)
    expected = len(read & wanted) / len(read | wanted)
    assert chroma.precision_omega(chunks, references) == pytest.approx(expected, abs=1e-9)


def test_a_hand_worked_question(chroma):
    """20 characters wanted, 10 of them found in 40 read, 30 of those in another corpus."""
    question = chroma.Question("?", "here", ((10, 30),))
    scores = chroma.scores([("here", (20, 30)), ("there", (0, 30))], question)
    assert (scores.recall, scores.precision, scores.iou) == (0.5, 0.25, 0.2)
    assert chroma.precision_omega([(0, 20), (20, 40), (40, 60)], [(10, 30)]) == 0.5
