"""Clusters: the optimum of all segmentations, Chroma's own code on inputs where it is right, sizes."""

from itertools import combinations, pairwise

import dougong
import numpy as np
import pytest
from dougong import Document
from dougong.testing import HashEmbedder
from dougong_chunker_semantic_embedding import ClusterParams
from dougong_chunker_semantic_embedding.cluster import SemanticCluster, best_clusters
from dougong_tokenizer_words.words import Words
from hypothesis import given, settings
from hypothesis import strategies as st

WORDS = Words(None)


def rows(seed, count, dim=6):
    found = np.random.default_rng(seed).normal(size=(count, dim))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def reward(matrix, cuts):
    """Sum of the matrix over the squares that the cuts leave on its diagonal."""
    return sum(matrix[a:b, a:b].sum() for a, b in pairwise([0, *cuts, len(matrix)]))


def rewards(vectors):
    """Chroma's matrix: similarities less their mean over all pairs, and nothing on the diagonal."""
    matrix = vectors @ vectors.T
    matrix = matrix - matrix[np.triu_indices(len(matrix), k=1)].mean()
    np.fill_diagonal(matrix, 0)
    return matrix


def chroma(matrix, longest):
    """``ClusterSemanticChunker._optimal_segmentation`` from its definition: the cuts, and their total."""
    count = len(matrix)
    dp, segmentation = np.zeros(count), np.zeros(count, int)
    for i in range(count):
        for size in range(1, longest + 1):
            if i - size + 1 >= 0:
                adjusted = matrix[i - size + 1 : i + 1, i - size + 1 : i + 1].sum()
                if i - size >= 0:
                    adjusted += dp[i - size]
                if adjusted > dp[i]:
                    dp[i], segmentation[i] = adjusted, i - size + 1
    clusters, i = [], count - 1
    while i >= 0:
        clusters.append(segmentation[i])
        i = segmentation[i] - 1
    return [int(first) for first in reversed(clusters)][1:], dp[-1]


@settings(max_examples=150)
@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(1, 9))
def test_clusters_are_the_best_of_all(seed, count, longest):
    vectors = rows(seed, count)
    matrix = rewards(vectors)
    found = best_clusters(vectors, longest)
    assert all(b - a <= longest for a, b in pairwise([0, *found, count]))
    ways = [way for number in range(count) for way in combinations(range(1, count), number)]
    best = max(reward(matrix, way) for way in ways if all(b - a <= longest for a, b in pairwise([0, *way, count])))
    assert reward(matrix, found) == pytest.approx(best, abs=1e-9)


@settings(max_examples=100)
@given(st.integers(0, 10**6), st.integers(5, 60), st.integers(2, 8))
def test_the_total_is_chromas(seed, count, longest):
    """Its total, not its cuts: where nothing is gained, Chroma's walk back begins a cluster at row 0."""
    vectors = rows(seed, count)
    matrix = rewards(vectors)
    _, total = chroma(matrix, longest)
    assert reward(matrix, best_clusters(vectors, longest)) == pytest.approx(total, abs=1e-9)


def test_cuts_are_chromas_where_clusters_are_plain():
    vectors = np.repeat(np.eye(4), [3, 4, 2, 4], axis=0) + 0.05 * rows(1, 13, 4)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert best_clusters(vectors, 5) == [3, 7, 9] == chroma(rewards(vectors), 5)[0]


def test_rows_that_are_not_numbers_are_like_no_other():
    vectors = np.eye(3, dtype=np.float32)[[0, 0, 1, 2, 2]]
    vectors[2] = np.nan
    assert best_clusters(vectors, 3) in ([2, 3], [2], [3])
    assert best_clusters(np.full((4, 3), np.nan, np.float32), 2) != []
    assert best_clusters(vectors[:1], 3) == []


def test_a_chunk_has_pieces_that_fit_into_its_size():
    text = " ".join(f"Sentence number {n} is here." for n in range(60)) + "\n\n" + "这是第一句话。" * 60
    params = ClusterParams(size=60, piece=12, embedder=HashEmbedder(), tokenizer=WORDS)
    found = list(SemanticCluster(params).chunk(Document("d", text)))
    assert max(chunk.tokens for chunk in found) <= 60
    assert "".join("".join(chunk.text for chunk in found).split()) == "".join(text.split())


def test_it_is_built_by_name_with_its_default_embedder():
    cats = "Cats purr when they are happy. A kitten plays with a ball of wool. My cat sleeps on the sofa. "
    law = "The parliament passed a tax law. Income above a threshold is taxed. The ministry collects the tax."
    chunker = dougong.make("chunker.semantic-cluster", size=60, piece=10)
    assert [chunk.text for chunk in chunker.chunk(Document("d", cats + law))] == [cats.strip(), law]


def test_params_are_checked():
    with pytest.raises(ValueError, match=r"must be 1 or more and at most size \(40\)"):
        ClusterParams(size=40, piece=50, embedder=HashEmbedder(), tokenizer=WORDS)
