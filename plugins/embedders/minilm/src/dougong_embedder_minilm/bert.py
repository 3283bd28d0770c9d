"""The forward pass of BERT on numpy, over the tokens of many texts at once and without padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
_ROWS = 128  # tokens that the feed-forward part takes at a time: its inner layer then stays in the cache


class Bert:
    """A BERT encoder without its pooler. Holds weights only: safe to share between threads.

    Args:
        weights: tensors by the names that transformers saves a ``BertModel`` under.
        config: its ``config.json``.

    Source: Devlin et al. 2019; transformers' ``BertModel``, dropout off.
    """

    def __init__(self, weights: dict[str, Any], config: dict[str, Any]) -> None:
        self.heads = config["num_attention_heads"]
        self.epsilon = np.float32(config["layer_norm_eps"])

        def norm(name: str) -> tuple[Array, Array]:
            return weights[f"{name}.LayerNorm.weight"], weights[f"{name}.LayerNorm.bias"]

        def dense(*names: str) -> tuple[Array, Array]:
            matrix = np.concatenate([weights[f"{name}.weight"] for name in names])
            return np.ascontiguousarray(matrix.T), np.concatenate([weights[f"{name}.bias"] for name in names])

        self.tokens: Array = weights["embeddings.word_embeddings.weight"]
        kind = weights["embeddings.token_type_embeddings.weight"][0]
        self.positions: Array = weights["embeddings.position_embeddings.weight"] + kind
        self.embedding_norm = norm("embeddings")
        self.layers = []
        for number in range(config["num_hidden_layers"]):
            name = f"encoder.layer.{number}"
            attention = f"{name}.attention.self"
            self.layers.append(
                (
                    dense(f"{attention}.query", f"{attention}.key", f"{attention}.value"),
                    dense(f"{name}.attention.output.dense"),
                    norm(f"{name}.attention.output"),
                    dense(f"{name}.intermediate.dense"),
                    dense(f"{name}.output.dense"),
                    norm(f"{name}.output"),
                )
            )

    def mean(self, texts: Sequence[Sequence[int]]) -> Array:
        """Mean of the last hidden states over each text's tokens: float32 ``(len(texts), width)``.

        Every text has at least one token. Texts of one length that stand together share a matrix product.
        """
        lengths = [len(text) for text in texts]
        hidden = self.tokens[np.concatenate(texts)]  # (all tokens, width): one text after the other
        hidden += self.positions[np.concatenate([np.arange(length) for length in lengths])]
        self._normalise(hidden, self.embedding_norm)
        for qkv, output, attention_norm, inner, outer, norm in self.layers:
            hidden += _affine(self._attend(_affine(hidden, qkv), lengths), output)
            self._normalise(hidden, attention_norm)
            for first in range(0, len(hidden), _ROWS):
                rows = hidden[first : first + _ROWS]
                rows += _affine(_gelu(_affine(rows, inner)), outer)
            self._normalise(hidden, norm)
        starts = np.cumsum([0, *lengths[:-1]])
        return np.add.reduceat(hidden, starts, axis=0) / np.array(lengths, np.float32)[:, None]

    def _attend(self, qkv: Array, lengths: Sequence[int]) -> Array:
        """Softmax attention inside each text; `qkv` is ``(all tokens, 3 * width)``."""
        width = qkv.shape[1] // 3
        found = np.empty((len(qkv), width), np.float32)
        scale = np.float32((width // self.heads) ** -0.5)
        for first, count, length in _runs(lengths):
            last = first + count * length
            shaped = qkv[first:last].reshape(count, length, 3, self.heads, -1).transpose(2, 0, 3, 1, 4)
            query, key, value = shaped  # (texts, heads, length, width of a head)
            scores = (query * scale) @ key.swapaxes(2, 3)
            scores -= scores.max(axis=-1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(axis=-1, keepdims=True)
            found[first:last] = (scores @ value).transpose(0, 2, 1, 3).reshape(-1, width)
        return found

    def _normalise(self, hidden: Array, norm: tuple[Array, Array]) -> None:
        """Layer normalisation, in place."""
        hidden -= hidden.mean(axis=1, keepdims=True)
        variance = np.einsum("ij,ij->i", hidden, hidden)[:, None] / np.float32(hidden.shape[1])
        hidden /= np.sqrt(variance + self.epsilon)
        hidden *= norm[0]
        hidden += norm[1]


def _affine(rows: Array, layer: tuple[Array, Array]) -> Array:
    product: Array = rows @ layer[0]
    product += layer[1]
    return product


def _gelu(x: Array) -> Array:
    """``x * Phi(x)`` to 1.5e-7, in place: ``max(x, 0) - |x| * erfc(|x| / sqrt 2) / 2``.

    Source: Abramowitz and Stegun 7.1.26 for erfc.
    """
    size = np.abs(x)
    t = size * np.float32(0.3275911 * 0.5**0.5)
    t += np.float32(1)
    np.reciprocal(t, out=t)
    tail = t * np.float32(1.061405429 / 2)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail += np.float32(coefficient / 2)
        tail *= t
    np.square(size, out=t)
    t *= np.float32(-0.5)
    np.exp(t, out=t)
    tail *= t
    tail *= size
    np.maximum(x, 0, out=x)
    x -= tail
    return x


def _runs(lengths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """First token, number of texts and their length, of each run of texts of one length."""
    first = 0
    for length, run in groupby(lengths):
        count = sum(1 for _ in run)
        yield first, count, length
        first += count * length
