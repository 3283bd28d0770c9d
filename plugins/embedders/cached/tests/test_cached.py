"""embedder.cached computes a text once, and loses one batch at most."""

from __future__ import annotations

import dougong
import numpy as np
import pytest
from dougong import CallError, StoreError
from dougong.testing import HashEmbedder


class Counting(HashEmbedder):
    """Notes what it is asked; fails at the text ``"fail"``."""

    def __init__(self, fingerprint=None):
        super().__init__()
        self.asked = []
        if fingerprint:
            self.fingerprint = fingerprint

    def embed(self, texts, role="passage"):
        if "fail" in texts:
            raise CallError("down")
        self.asked.extend((role, text) for text in texts)
        return super().embed(texts, role)


def made(of, path):
    return dougong.make("embedder.cached", of=of, path=str(path))


def test_a_text_is_computed_once_for_each_role(tmp_path):
    of = Counting()
    built = made(of, tmp_path / "vectors.db")
    rows = built.embed(["a", "b", "a"])
    assert (rows == HashEmbedder().embed(["a", "b", "a"])).all()
    built.embed(["b", "c"])
    built.embed(["a"], "query")
    again = made(of, tmp_path / "vectors.db")
    assert np.abs(again.embed(["c", "a"]) - HashEmbedder().embed(["c", "a"])).max() == 0
    assert of.asked == [("passage", "a"), ("passage", "b"), ("passage", "c"), ("query", "a")]


def test_models_share_a_file_and_no_vector(tmp_path):
    """What a model is, it says by its fingerprint."""
    asked = []
    for model in ("one", "two", "one"):
        of = Counting(model)
        made(of, tmp_path / "vectors.db").embed(["a"])
        asked.append(len(of.asked))
    assert asked == [1, 1, 0]


def test_what_was_computed_before_a_failure_is_kept(tmp_path):
    of = Counting()
    texts = [f"text {number}" for number in range(600)]
    with pytest.raises(CallError):
        made(of, tmp_path / "vectors.db").embed([*texts, "fail"])
    assert len(of.asked) == 512
    made(of, tmp_path / "vectors.db").embed(texts)
    assert len(of.asked) == 600


def test_a_file_that_is_no_cache_is_told(tmp_path):
    (tmp_path / "vectors.db").write_bytes(b"something else entirely" * 99)
    with pytest.raises(StoreError, match=r"vectors\.db.*delete it"):
        made(HashEmbedder(), tmp_path / "vectors.db").embed(["a"])
