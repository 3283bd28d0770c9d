"""embedder.sentence-transformers over a tiny random BERT: prefixes, faults, no download."""

from __future__ import annotations

import socket

import dougong
import numpy as np
import pytest
from dougong import LoadError
from dougong.testing import CORPUS

DIM = 24


def made(folder, **params):
    return dougong.make("embedder.sentence-transformers", model=str(folder), device="cpu", **params)


def test_vectors_are_those_of_the_library(folder):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    for role, prompt in (("query", "search: "), ("passage", "text: ")):
        wanted = model.encode([prompt + text for text in CORPUS], normalize_embeddings=True)
        assert np.abs(made(folder, batch=3).embed(list(CORPUS), role) - wanted).max() < 1e-5


def test_prefixes_are_the_models_unless_they_are_given(folder, plain):
    text, own = ["brackets"], made(folder)
    assert np.abs(own.embed(text, "query") - own.embed(text)).max() > 1e-3
    none = made(folder, query_prefix="", passage_prefix="")
    bare = made(plain)
    assert np.abs(none.embed(text, "query") - bare.embed(text)).max() < 1e-5
    given = made(plain, query_prefix="search: ", passage_prefix="text: ")
    for role in ("query", "passage"):
        assert np.abs(given.embed(text, role) - own.embed(text, role)).max() < 1e-5


def test_a_name_on_the_hub_is_not_fetched(monkeypatch):
    """Not even looked for."""
    asked = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **more: asked.append(arguments))
    monkeypatch.setattr(socket.socket, "connect", lambda *arguments: asked.append(arguments))
    with pytest.raises(LoadError, match=r"(?s)no-one/no-such-model cannot be loaded.*download: true"):
        made("no-one/no-such-model").embed(["text"])
    assert not asked


def test_a_folder_that_holds_no_model_is_told(tmp_path, folder):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(LoadError, match="cannot be loaded"):
        made(tmp_path).embed(["text"])


def test_a_dimension_is_checked(folder):
    assert made(folder).dim == DIM
    with pytest.raises(LoadError, match="length 24, not 25"):
        made(folder, dim=25).embed(["text"])


def test_building_it_loads_nothing(tmp_path):
    """Nor does `dim`, where it is said."""
    assert made(tmp_path / "nowhere", dim=7).dim == 7


def test_the_fingerprint_follows_the_content(tmp_path, folder, plain):
    assert made(folder).fingerprint == made(folder, batch=1).fingerprint
    prints = {made(folder).fingerprint, made(plain).fingerprint, made(plain, query_prefix="q").fingerprint}
    assert len(prints) == 3


def test_long_texts_and_short_ones_together(folder):
    texts = ["a", "bracket " * 300, "斗拱", "", "b" * 50]
    built = made(folder, batch=2)
    rows = built.embed(texts)
    for row, text in zip(rows, texts):
        assert np.abs(built.embed([text])[0] - row).max() < 1e-5
