"""Batches, loss and metric of causal language modelling."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
import transformers
from dougong import ConfigError
from dougong.run import report
from tokenizers import Tokenizer

from dougong_objective_causal_lm import Params
from dougong_objective_causal_lm.text import documents
from dougong_objective_causal_lm.tokens import Stream, open_tokenizer, stored, stream

Batch = Mapping[str, torch.Tensor]


class CausalLM:
    """Each token is predicted from those before it: the mean of ``-ln p`` over the tokens of a batch.

    Documents are joined, each ended by `eos`, and the whole is cut into rows of `length` tokens; the last token of a
    row is the first of the next. Unless `cross_documents`, positions start at 0 with each document, by which
    transformers' mask functions keep a token's attention in its own document, and a document's first token is not
    predicted (label -100). Texts are read and tokenized when batches are first asked for.
    """

    def __init__(self, params: Params) -> None:
        self.params = params
        self._lock = threading.RLock()
        self._tokenizer: Tokenizer | None = None
        self._streams: dict[str, Stream] = {}

    def tokenizer(self) -> Tokenizer:
        """The tokenizer; trained and written first where it is missing. Raises LoadError."""
        with self._lock:
            if self._tokenizer is None:
                p = self.params
                self._tokenizer = open_tokenizer(p.tokenizer, p.vocab, [p.eos], lambda: self._texts("train"))
            return self._tokenizer

    def batches(self, split: str) -> Sequence[Batch]:
        """Batches of ``input_ids``, ``labels``, ``position_ids``, int64 ``(rows, length)``.

        ``train``: `epochs` times all whole rows in a fresh order, without the rows that fill no batch. ``validation``:
        all rows in their order, a last shorter one in a batch by itself. Raises LoadError, ConfigError
        where the texts are too short, and ValueError for a split that there is not.
        """
        rows = _Rows(self._stream(split), self.params.length, self.params.cross_documents)
        if split != "train":
            return _InOrder(rows, self.params.batch)
        if rows.whole < self.params.batch:
            raise ConfigError(
                f"the training texts fill {rows.whole} rows of {self.params.length} tokens, not one batch of "
                f"{self.params.batch}",
                hint="lower length or batch, or give more text",
            )
        return _Shuffled(rows, self.params.batch, self.params.epochs, self.params.seed)

    def loss(self, network: transformers.PreTrainedModel, batch: Batch) -> torch.Tensor:
        """transformers' loss of the network: mean cross-entropy in nats, and in training what its blocks add."""
        # Without a cache: with one, mask functions do not look for several documents in a row.
        return network(**batch, use_cache=False).loss

    def metric(self, network: transformers.PreTrainedModel, split: str) -> dict[str, float]:
        """``loss`` in nats a predicted token; ``perplexity``, its exp; ``bits_per_byte`` of the predicted text, which
        compares across tokenizers. Over the whole split."""
        found = self._stream(split)
        batches = _InOrder(_Rows(found, self.params.length, self.params.cross_documents), self.params.batch)
        total, count = evaluate(network, batches, self.loss, f"measure {split}")
        unseen = found.first_bytes[:1] if self.params.cross_documents else found.first_bytes
        loss = total / count
        return {
            "loss": loss,
            "perplexity": math.exp(loss) if loss < 700 else math.inf,
            "bits_per_byte": total / math.log(2) / max(1, found.bytes - int(unseen.sum())),
        }

    def _texts(self, split: str) -> Iterator[str]:
        p = self.params
        return documents(split, p.files, p.validation, p.holdout, p.separator, p.field)

    def _stream(self, split: str) -> Stream:
        with self._lock:
            if split not in self._streams:
                next(self._texts(split), None)  # an unknown split is told before a tokenizer is trained
                tokenizer, p = self.tokenizer(), self.params
                given = (tokenizer, lambda: self._texts(split), tokenizer.token_to_id(p.eos), split)
                found = stream(*given) if p.store is None else stored(*given, p.store)
                if len(found.ids) < 2:
                    raise ValueError(f"split {split!r} has no text; check files, validation and holdout")
                self._streams[split] = found
            return self._streams[split]


def evaluate(
    network: transformers.PreTrainedModel,
    batches: Sequence[Batch],
    loss: Callable[[transformers.PreTrainedModel, Batch], torch.Tensor],
    stage: str,
) -> tuple[float, int]:
    """The sum of the losses of all predicted tokens, in nats, and their number. Leaves the network as it was."""
    training, total, count = network.training, 0.0, 0
    network.eval()
    try:
        with torch.no_grad():
            for number, batch in enumerate(batches, 1):
                here = {name: value.to(network.device) for name, value in batch.items()}
                predicted = int((batch["labels"][:, 1:] != -100).sum())
                if predicted:
                    total += loss(network, here).item() * predicted
                    count += predicted
                report(stage, number, len(batches))
    finally:
        network.train(training)
    if not count:
        raise ValueError("there is no token to predict; give more text, or set cross_documents")
    return total, count


class _Rows:
    """The rows of a stream: row i is ``ids[i * (length - 1) :][:length]``."""

    def __init__(self, stream: Stream, length: int, cross_documents: bool) -> None:
        self._stream, self._length, self._cross = stream, length, cross_documents
        self.whole, rest = divmod(len(stream.ids) - 1, length - 1)
        self.count = self.whole + bool(rest)

    def batch(self, rows: Sequence[int] | np.ndarray) -> Batch:
        """Rows of one length as tensors."""
        ids = np.stack([self._ids(row) for row in rows]).astype(np.int64)
        positions = np.tile(np.arange(ids.shape[1]), (len(ids), 1))
        labels = ids.copy()
        if not self._cross:
            for position, label, row in zip(positions, labels, rows):
                for start in self._starts(row, ids.shape[1]):
                    position[start:] = np.arange(ids.shape[1] - start)
                    label[start] = -100
        named = {"input_ids": ids, "labels": labels, "position_ids": positions}
        return {name: torch.from_numpy(array) for name, array in named.items()}

    def _ids(self, row: int) -> np.ndarray:
        at = int(row) * (self._length - 1)
        return self._stream.ids[at : at + self._length]

    def _starts(self, row: int, length: int) -> np.ndarray:
        """Where documents start in a row."""
        at, starts = int(row) * (self._length - 1), self._stream.starts
        return starts[np.searchsorted(starts, at) : np.searchsorted(starts, at + length)] - at


class _Batches(Sequence[Batch]):
    """Batches made when asked for; `index` says the rows of batch i."""

    def __init__(self, rows: _Rows, batch: int) -> None:
        self._rows, self._batch = rows, batch

    def __getitem__(self, number: int) -> Batch:  # type: ignore[override]  # no slices: a batch at a time
        if not 0 <= number < len(self):
            raise IndexError(number)
        return self._rows.batch(self._index(number))

    def _index(self, number: int) -> Sequence[int] | np.ndarray:
        raise NotImplementedError


class _InOrder(_Batches):
    def __len__(self) -> int:
        return math.ceil(self._rows.whole / self._batch) + (self._rows.count - self._rows.whole)

    def _index(self, number: int) -> Sequence[int]:
        first = number * self._batch
        return range(first, min(first + self._batch, self._rows.whole)) or [self._rows.whole]


class _Shuffled(_Batches):
    def __init__(self, rows: _Rows, batch: int, epochs: int, seed: int) -> None:
        super().__init__(rows, batch)
        self._each, self._epochs, self._seed = rows.whole // batch, epochs, seed
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0))

    def __len__(self) -> int:
        return self._each * self._epochs

    def _index(self, number: int) -> np.ndarray:
        epoch, place = divmod(number, self._each)
        at, order = self._order
        if at != epoch:
            order = np.random.default_rng([self._seed, epoch]).permutation(self._rows.whole)
            self._order = (epoch, order)
        return order[place * self._batch : (place + 1) * self._batch]
